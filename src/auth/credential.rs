//! The credential of a signature: `ACCESSKEY/YYYYMMDD/REGION/SERVICE/aws4_request`.

use http::StatusCode;
use strata_storage::Timestamp;

use crate::error::S3Error;
use crate::time::parse_amz_date;

const TERMINATOR: &str = "aws4_request";

/// The region that signatures for global services name, wherever the server is.
const GLOBAL_REGION: &str = "us-east-1";

/// A service that this server is, by the name that signatures are scoped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// S3 and S3 Control.
    S3,
    /// Users, groups, roles, policies.
    Iam,
    /// Temporary credentials.
    Sts,
    /// Keys.
    Kms,
}

impl Service {
    /// The name in a credential's scope.
    pub fn name(self) -> &'static str {
        match self {
            Service::S3 => "s3",
            Service::Iam => "iam",
            Service::Sts => "sts",
            Service::Kms => "kms",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Service> {
        [Service::S3, Service::Iam, Service::Sts, Service::Kms].into_iter().find(|service| service.name() == text)
    }

    /// Whether its signatures may name this region on a server in `own`.
    fn is_in(self, region: &str, own: &str) -> bool {
        region == own || matches!(self, Service::Iam | Service::Sts) && region == GLOBAL_REGION
    }
}

/// Where a signature was given, which decides the words of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query string.
    Query,
}

impl Form {
    /// What is wrong with the credential.
    fn malformed(self, detail: &str) -> S3Error {
        match self {
            Form::Header => header_malformed(detail),
            Form::Query => query_malformed(format!("Error parsing the X-Amz-Credential parameter; {detail}")),
        }
    }
}

/// 400 `AuthorizationHeaderMalformed`.
pub(super) fn header_malformed(detail: &str) -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "AuthorizationHeaderMalformed",
        format!("The authorization header is malformed; {detail}"),
    )
}

/// 400 `AuthorizationQueryParametersError`.
pub(super) fn query_malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", message)
}

/// A credential whose region, service and terminator are right.
#[derive(Debug)]
pub(super) struct Credential<'a> {
    /// The access key id.
    pub(super) access_key: &'a str,
    /// The date as sent.
    pub(super) date: &'a str,
    /// The date as a moment: its midnight.
    pub(super) day: Timestamp,
    /// The region.
    pub(super) region: &'a str,
    /// The service.
    pub(super) service: Service,
}

impl<'a> Credential<'a> {
    /// Reads a credential that must be for `region`.
    pub(super) fn parse(text: &'a str, form: Form, region: &str) -> Result<Credential<'a>, S3Error> {
        let parts: Vec<&'a str> = text.split('/').collect();
        let &[access_key, date, sent_region, service, terminator] = &parts[..] else {
            return Err(form.malformed(
                "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
            ));
        };
        if access_key.is_empty() {
            return Err(form.malformed("a non-empty Access Key (AKID) must be provided in the credential."));
        }
        let Some(day) = parse_amz_date(&format!("{date}T000000Z")) else {
            return Err(form.malformed(&format!(
                "incorrect date format \"{date}\". This date in the credential must be in the format \"yyyyMMdd\"."
            )));
        };
        let known = Service::parse(service);
        if !known.unwrap_or(Service::S3).is_in(sent_region, region) {
            let detail = format!("the region '{sent_region}' is wrong; expecting '{region}'");
            return Err(form.malformed(&detail).with("Region", region));
        }
        let Some(service) = known else {
            let detail = format!("incorrect service \"{service}\". This endpoint belongs to \"s3\".");
            return Err(form.malformed(&detail));
        };
        if terminator != TERMINATOR {
            return Err(
                form.malformed(&format!("incorrect terminal \"{terminator}\". This endpoint uses \"{TERMINATOR}\"."))
            );
        }
        Ok(Credential { access_key, date, day, region: sent_region, service })
    }

    /// Checks that a signature made at `amz_date` carries its date.
    pub(super) fn check_date(&self, amz_date: &str, form: Form) -> Result<(), S3Error> {
        if amz_date.starts_with(self.date) {
            return Ok(());
        }
        let detail = format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
            self.date,
            amz_date.get(..8).unwrap_or(amz_date)
        );
        Err(form.malformed(&detail))
    }

    /// `YYYYMMDD/REGION/SERVICE/aws4_request`, as it is signed.
    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{Credential, Form};

    #[test]
    fn faults() {
        fn check(text: &str, form: Form, message: &str) {
            let error = Credential::parse(text, form, "us-east-1").map(|_| ()).expect_err(text);
            let code = match form {
                Form::Header => "AuthorizationHeaderMalformed",
                Form::Query => "AuthorizationQueryParametersError",
            };
            assert_eq!(error.code, code, "{text}");
            assert!(error.message.ends_with(message), "{text}: {}", error.message);
        }
        for form in [Form::Header, Form::Query] {
            let shape = "expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
            check("", form, shape);
            check("AK/20260102/us-east-1/s3", form, shape);
            check("A/K/20260102/us-east-1/s3/aws4_request", form, shape);
            check(
                "/20260102/us-east-1/s3/aws4_request",
                form,
                "a non-empty Access Key (AKID) must be provided in the credential.",
            );
            check("AK/2026012/us-east-1/s3/aws4_request", form, "in the format \"yyyyMMdd\".");
            check("AK/20261302/us-east-1/s3/aws4_request", form, "in the format \"yyyyMMdd\".");
            check(
                "AK/20260102/eu-west-1/s3/aws4_request",
                form,
                "the region 'eu-west-1' is wrong; expecting 'us-east-1'",
            );
            check("AK/20260102/us-east-1/ec2/aws4_request", form, "service \"ec2\". This endpoint belongs to \"s3\".");
            check("AK/20260102/us-east-1/s3/aws5", form, "terminal \"aws5\". This endpoint uses \"aws4_request\".");
        }
        // Only the global services are also signed for in the first region.
        for (service, accepted) in [("iam", true), ("sts", true), ("kms", false), ("s3", false)] {
            let text = format!("AK/20260102/us-east-1/{service}/aws4_request");
            assert_eq!(Credential::parse(&text, Form::Header, "eu-west-1").is_ok(), accepted, "{service}");
        }
        let error = Credential::parse("AK/20260102/x/s3/aws4_request", Form::Header, "us-east-1").expect_err("region");
        assert_eq!(
            (&error.message[..], &error.fields[..]),
            (
                "The authorization header is malformed; the region 'x' is wrong; expecting 'us-east-1'",
                &[("Region", "us-east-1".to_owned())][..]
            )
        );
    }
}

//! Signatures in the fields of a form: what is signed is the form's policy, as it stands in its field.

use std::sync::Arc;

use strata_storage::Timestamp;

use super::credential::{Credential, Form};
use super::{
    ALGORITHM, ALGORITHM_ASYMMETRIC, Authenticator, SKEW_MAX, Signing, SigningPlace, asymmetric_not_implemented,
    mismatch,
};
use super::{unknown_access_key, unsupported_mechanism};
use crate::error::S3Error;
use crate::identity::Identity;
use crate::time::{amz_date, iso8601_second, parse_amz_date};

/// How long a signing key is valid, and so a signature made with it.
const VALID_SECONDS: u64 = 604_800;

/// The fields of a form that say who sends it.
#[derive(Debug, Clone, Copy)]
pub struct FormSignature<'a> {
    /// `x-amz-algorithm`
    pub algorithm: &'a str,
    /// `x-amz-credential`
    pub credential: &'a str,
    /// `x-amz-date`
    pub date: &'a str,
    /// `x-amz-signature`
    pub signature: &'a str,
    /// `policy`, in base64.
    pub policy: &'a str,
    /// `x-amz-security-token`
    pub token: Option<&'a str>,
}

impl Authenticator {
    /// Checks who signed the policy of a form, and says who, and when. Whether the policy permits the form is for others to
    /// say.
    pub fn authenticate_form(
        &self,
        form: &FormSignature<'_>,
        now: Timestamp,
    ) -> Result<(Arc<Identity>, Signing), S3Error> {
        match form.algorithm {
            ALGORITHM => {}
            ALGORITHM_ASYMMETRIC => return Err(asymmetric_not_implemented("x-amz-algorithm")),
            _ => return Err(unsupported_mechanism()),
        }
        let credential = Credential::parse(form.credential, Form::Query, &self.region)?;
        let time = parse_amz_date(form.date).ok_or_else(|| {
            let message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";
            S3Error::invalid_argument(message, "X-Amz-Date", form.date)
        })?;
        credential.check_date(form.date, Form::Query)?;
        let found = self.find(form.token, credential.access_key, now)?;
        let secret = found.as_ref().map_or(&self.nobodys, |found| &found.secret);
        let verified = check_time(time, now).and_then(|()| {
            let key = self.keys.key(secret, &credential);
            let holds = key.verifies(form.policy, form.signature);
            if holds { Ok(()) } else { Err(mismatch(credential.access_key, form.policy, form.signature)) }
        });
        let Some(found) = found else { return Err(unknown_access_key(credential.access_key)) };
        verified?;
        self.note_use(&found, &credential, now);
        Ok((found.identity, Signing { place: SigningPlace::Form, time }))
    }
}

fn check_time(time: Timestamp, now: Timestamp) -> Result<(), S3Error> {
    let refused = |message| {
        Err(S3Error::access_denied(message).with("X-Amz-Date", amz_date(time)).with("ServerTime", iso8601_second(now)))
    };
    if time.since(now) > SKEW_MAX {
        return refused("Request is not valid yet");
    }
    if now.since(time).as_secs() > VALID_SECONDS {
        return refused("Request has expired");
    }
    Ok(())
}

//! The form of a query API: an action, and its parameters as `Name=value`, lists as `Tags.member.1.Key=value`.

use std::collections::BTreeMap;

use crate::error::S3Error;
use crate::query_api::Fault;

/// The most parameters of one call: 50 tags of two, and room for the rest.
const PARAMETERS_MAX: usize = 1000;

/// The parameters of one call.
#[derive(Debug, Clone, Default)]
pub struct Form {
    action: String,
    version: Option<String>,
    parameters: BTreeMap<String, String>,
}

impl Form {
    /// Reads `application/x-www-form-urlencoded`. `Err` if it is not UTF-8, or names a parameter twice.
    pub fn parse(body: &[u8]) -> Result<Form, S3Error> {
        let malformed = || {
            S3Error::new(http::StatusCode::BAD_REQUEST, "MalformedQueryString", "The form of the request is malformed.")
        };
        let mut form = Form::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(middle) => (&pair[..middle], &pair[middle + 1..]),
                None => (pair, &[][..]),
            };
            let (name, value) = (decoded(name).ok_or_else(malformed)?, decoded(value).ok_or_else(malformed)?);
            if form.parameters.insert(name, value).is_some() || form.parameters.len() > PARAMETERS_MAX {
                return Err(malformed());
            }
        }
        // What signs a request in its query is no parameter of the call.
        form.parameters.retain(|name, _| !name.starts_with("X-Amz-"));
        form.action = form.parameters.remove("Action").unwrap_or_default();
        form.version = form.parameters.remove("Version");
        Ok(form)
    }

    /// What is to be done; empty if nothing is said.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The version of the API that the call is written for.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| {
            Fault::validation(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
                member(name)
            ))
        })
    }

    /// A parameter that is a whole number within bounds.
    pub fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_digits && (least..=most).contains(number));
        let constraint = format!("Member must have a value from {least} to {most}");
        number.map(Some).ok_or_else(|| Fault::constraint(name, text, &constraint))
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => Err(Fault::constraint(name, text, "Member must be true or false")),
        }
    }

    /// The members of a list of texts, in order.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let members = (1..).map_while(|index| self.get(&format!("{name}.member.{index}")));
        members.collect()
    }

    /// The members of a list of structures: each gives one of its fields.
    pub fn members<'f>(&'f self, name: &str) -> impl Iterator<Item = Member<'f>> + 'f {
        let start = format!("{name}.member.");
        let mut index = 0;
        std::iter::from_fn(move || {
            index += 1;
            let prefix = format!("{start}{index}.");
            let mut range = self.parameters.range(prefix.clone()..);
            range.next().is_some_and(|(name, _)| name.starts_with(&prefix)).then_some(Member { form: self, prefix })
        })
    }

    /// Refuses parameters that the action does not have: what a client means by them would not be done.
    pub fn check(&self, known: &[&str]) -> Result<(), Fault> {
        for name in self.parameters.keys() {
            let first = name.split('.').next().unwrap_or(name);
            if !known.contains(&first) {
                return Err(Fault::validation(format!("The parameter {name} is not supported for this action.")));
            }
            self.check_index(name)?;
        }
        Ok(())
    }

    /// Refuses members of lists that begin later than at 1 or have a gap: they would be passed over.
    fn check_index(&self, name: &str) -> Result<(), Fault> {
        let Some((list, rest)) = name.split_once(".member.") else { return Ok(()) };
        let (index, rest) = rest.split_once('.').map_or((rest, ""), |(index, rest)| (index, rest));
        let gap = || Fault::validation(format!("The parameter {name} does not follow the member before it."));
        let index: usize = index.parse().ok().filter(|index| *index >= 1).ok_or_else(gap)?;
        if index == 1 {
            return Ok(());
        }
        let before = format!("{list}.member.{}", index - 1);
        let follows = match rest {
            "" => self.parameters.contains_key(&before),
            _ => {
                let before = format!("{before}.");
                self.parameters.range(before.clone()..).next().is_some_and(|(name, _)| name.starts_with(&before))
            }
        };
        if follows { Ok(()) } else { Err(gap()) }
    }
}

/// One structure of a list.
pub struct Member<'f> {
    form: &'f Form,
    prefix: String,
}

impl<'f> Member<'f> {
    /// A field.
    pub fn get(&self, field: &str) -> Option<&'f str> {
        self.form.get(&format!("{}{field}", self.prefix))
    }

    /// A field that is a list of texts.
    pub fn list(&self, field: &str) -> Vec<&'f str> {
        self.form.list(&format!("{}{field}", self.prefix))
    }
}

/// The name of a parameter as messages have it: with a small letter first.
pub fn member(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

fn decoded(bytes: &[u8]) -> Option<String> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => text.push(b' '),
            b'%' => {
                let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
                let value = digit(rest.next())? << 4 | digit(rest.next())?;
                text.push(u8::try_from(value).ok()?);
            }
            byte => text.push(*byte),
        }
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn forms_are_read() {
        let body =
            b"Action=CreateUser&Version=2010-05-08&UserName=a+b%2F%C3%BC&Tags.member.1.Key=k&Tags.member.1.Value=\
                     &Tags.member.2.Key=l&TagKeys.member.1=x&TagKeys.member.2=y&&N=7&F=true";
        let form = Form::parse(body).unwrap();
        assert_eq!((form.action(), form.version()), ("CreateUser", Some("2010-05-08")));
        assert_eq!(form.required("UserName").unwrap(), "a b/ü");
        assert_eq!(form.list("TagKeys"), ["x", "y"]);
        let tags: Vec<_> = form.members("Tags").map(|tag| (tag.get("Key"), tag.get("Value"))).collect();
        assert_eq!(tags, [(Some("k"), Some("")), (Some("l"), None)]);
        assert_eq!((form.number("N", 1, 10).unwrap(), form.number("M", 1, 10).unwrap()), (Some(7), None));
        assert!(form.number("N", 1, 6).is_err() && form.flag("N").is_err());
        assert_eq!(form.flag("F").unwrap(), Some(true));
        assert!(form.required("Missing").unwrap_err().message.contains("'missing'"));
        assert!(form.check(&["UserName", "Tags", "TagKeys", "N", "F"]).is_ok());
        assert!(form.check(&["UserName", "Tags", "TagKeys", "N"]).is_err());
    }

    #[test]
    fn malformed_forms_are_refused() {
        for body in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=1&a=2", b"a=%FF", b"\xff=1"] {
            assert!(Form::parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        for body in ["T.member.2=x", "T.member.1=x&T.member.3=y", "T.member.0=x", "T.member.x=x", "T.member.2.Key=x"] {
            assert!(Form::parse(body.as_bytes()).unwrap().check(&["T"]).is_err(), "{body}");
        }
        assert_eq!(Form::parse(b"").unwrap().action(), "");
    }
}

//! The pieces that the documents of list operations share.

use http::HeaderName;
use strata_storage::{AccountId, Bucket, ChecksumSummary, ListEntry, Restore, Timestamp};

use crate::checksum_headers;
use crate::identity::Account;
use crate::op::list_parameters::Encoding;
use crate::response::Response;
use crate::time;
use crate::xml::Writer;

/// Writes `<Owner>`; S3 no longer names owners otherwise than by their id.
pub fn owner(writer: &mut Writer, account: AccountId) {
    writer.open("Owner").element("ID", Account::canonical_id_of(account)).close();
}

/// Writes `<Initiator>`: accounts by their canonical id, others by their ARN.
pub fn initiator(writer: &mut Writer, arn: &str) {
    let root = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
    let id = root.and_then(AccountId::parse).map_or_else(|| arn.to_owned(), Account::canonical_id_of);
    let display_name = arn.rsplit(['/', ':']).next().unwrap_or_default();
    writer.open("Initiator").element("ID", id).element("DisplayName", display_name).close();
}

/// Writes `<ChecksumAlgorithm>` and `<ChecksumType>`, if there is a checksum.
pub fn checksum_summary(writer: &mut Writer, summary: Option<ChecksumSummary>) {
    if let Some(ChecksumSummary { algorithm, kind }) = summary {
        writer.element("ChecksumAlgorithm", algorithm.name());
        writer.element("ChecksumType", checksum_headers::kind_name(kind));
    }
}

/// Whether a list names the owners of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// It does.
    Told,
    /// It does not.
    Left,
}

/// Writes `<Contents>` of one object; `restores` as `restores_told` has it.
pub fn object(writer: &mut Writer, entry: &ListEntry, encoding: Encoding, owners: Owners, restores: Option<Timestamp>) {
    writer.open("Contents");
    writer.element("Key", encoding.apply(entry.key.as_str()));
    writer.element("LastModified", time::iso8601(entry.modified));
    writer.element("ETag", format!("\"{}\"", entry.etag));
    checksum_summary(writer, entry.checksum);
    writer.element("Size", entry.size.to_string());
    if owners == Owners::Told {
        owner(writer, entry.owner);
    }
    writer.element("StorageClass", entry.class.name());
    restore_status(writer, entry.restore, restores);
    writer.close();
}

/// Writes `<RestoreStatus>` if the request asks for it, and there is a restore under way or a copy that lives.
pub fn restore_status(writer: &mut Writer, restore: Option<Restore>, restores: Option<Timestamp>) {
    let Some((restore, now)) = restore.zip(restores) else { return };
    match restore {
        Restore::Ongoing { .. } => {
            writer.open("RestoreStatus").element("IsRestoreInProgress", boolean(true)).close();
        }
        Restore::Done { expires } if now < expires => {
            writer.open("RestoreStatus").element("IsRestoreInProgress", boolean(false));
            writer.element("RestoreExpiryDate", time::iso8601(expires)).close();
        }
        Restore::Done { .. } => {}
    }
}

/// Writes `<Delimiter>` and `<EncodingType>` if the request had them.
pub fn delimiter_and_encoding(writer: &mut Writer, delimiter: &str, encoding: Encoding) {
    if !delimiter.is_empty() {
        writer.element("Delimiter", encoding.apply(delimiter));
    }
    if encoding == Encoding::Url {
        writer.element("EncodingType", "url");
    }
}

/// Writes the common prefixes, each in an element of its own.
pub fn common_prefixes(writer: &mut Writer, prefixes: &[String], encoding: Encoding) {
    for prefix in prefixes {
        writer.open("CommonPrefixes").element("Prefix", encoding.apply(prefix)).close();
    }
}

/// The text of a boolean.
pub const fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The answer with the finished document and the bucket's region.
pub fn answer(writer: Writer, bucket: &Bucket) -> Response {
    let mut response = Response::xml(writer.finish());
    response.set(HeaderName::from_static("x-amz-bucket-region"), &bucket.region);
    response
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, Restore, RestoreSpeed, Timestamp};

    use super::{initiator, restore_status};
    use crate::identity::Account;
    use crate::xml::Writer;

    #[test]
    fn initiators_are_accounts_or_have_arns() {
        fn check(arn: &str, id: &str, display_name: &str) {
            let mut writer = Writer::plain("E");
            initiator(&mut writer, arn);
            let expected = format!("<Initiator><ID>{id}</ID><DisplayName>{display_name}</DisplayName></Initiator></E>");
            assert!(writer.finish().ends_with(&expected), "{arn}");
        }
        check("arn:aws:iam::000000000000:root", &Account::canonical_id_of(AccountId::ROOT), "root");
        check("arn:aws:iam::000000000000:user/a/bob", "arn:aws:iam::000000000000:user/a/bob", "bob");
        check("arn:aws:sts::000000000000:assumed-role/r/s", "arn:aws:sts::000000000000:assumed-role/r/s", "s");
    }

    #[test]
    fn restores_are_told_on_request_while_they_last() {
        fn check(restore: Option<Restore>, asked_at: Option<u64>, expected: &str) {
            let mut writer = Writer::plain("E");
            restore_status(&mut writer, restore, asked_at.map(Timestamp::from_secs));
            let text = writer.finish();
            assert!(text.ends_with(&format!("<E>{expected}</E>")), "{restore:?} {asked_at:?}: {text}");
        }
        let at = Timestamp::from_secs;
        let expires = 1_356_048_000;
        let ongoing = Restore::Ongoing { requested: at(1), speed: RestoreSpeed::Bulk, days: None, ready: at(2) };
        let done = Some(Restore::Done { expires: at(expires) });
        let living = "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
                      <RestoreExpiryDate>2012-12-21T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>";
        let under_way = "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>";
        check(None, Some(3), "");
        check(Some(ongoing), None, "");
        check(Some(ongoing), Some(3), under_way);
        check(done, None, "");
        check(done, Some(expires - 1), living);
        check(done, Some(expires), "");
    }
}

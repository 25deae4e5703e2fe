//! Documents that are taken, and those that are not.

use super::super::{answer, validate};
use super::read;

/// The code of the refusal; the document as answered if there is none.
fn judge(rules: &str) -> Result<String, &'static str> {
    let text =
        format!("<ReplicationConfiguration><Role>arn:aws:iam::1:role/r</Role>{rules}</ReplicationConfiguration>");
    let replication = read(text.as_bytes()).map_err(|error| error.code)?;
    validate::check(&replication).map_err(|error| error.code)?;
    Ok(answer::write(&replication))
}

const PREFIX: &str = "<Prefix>p</Prefix>";
const ENABLED: &str = "<Status>Enabled</Status>";
const TO: &str = "<Destination><Bucket>arn:aws:s3:::dst</Bucket></Destination>";
const FILTER: &str = "<Priority>1</Priority><Filter></Filter>";
const NO_MARKERS: &str = "<DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication>";
const TAG: &str = "<Tag><Key>k</Key><Value>v</Value></Tag>";
const TIME: &str = "<ReplicationTime><Status>Enabled</Status><Time><Minutes>15</Minutes></Time></ReplicationTime>";
const METRICS: &str =
    "<Metrics><Status>Enabled</Status><EventThreshold><Minutes>15</Minutes></EventThreshold></Metrics>";

fn to(more: &str) -> String {
    format!("<Destination><Bucket>arn:aws:s3:::dst</Bucket>{more}</Destination>")
}

fn rule(id: &str, inside: &str) -> String {
    format!("<Rule><ID>{id}</ID>{inside}</Rule>")
}

fn check(rules: &str, code: &str) {
    assert_eq!(judge(rules).expect_err(rules), code, "{rules}");
}

#[test]
fn documents_read_back() {
    fn check(rules: &str) {
        let written = judge(rules).unwrap_or_else(|code| panic!("{code}: {rules}"));
        let inside = written.split_once("</Role>").expect("a role").1;
        assert_eq!(inside, format!("{rules}</ReplicationConfiguration>"));
    }
    let first = |id: &str, prefix: &str| rule(id, &format!("<Prefix>{prefix}</Prefix>{ENABLED}{TO}"));
    check(&first("", ""));
    check(&format!("{}{}", first("a", "x"), first("b", "y")));
    let second = |filter: &str| format!("<Priority>7</Priority><Filter>{filter}</Filter>{ENABLED}{TO}{NO_MARKERS}");
    for filter in [
        "",
        "<Prefix></Prefix>",
        "<Prefix>a&amp;b</Prefix>",
        TAG,
        &format!("<And><Prefix>p</Prefix>{TAG}</And>"),
        &format!("<And>{TAG}<Tag><Key>l</Key><Value></Value></Tag></And>"),
    ] {
        check(&rule("a", &second(filter)));
    }
    let disabled = "<Metrics><Status>Disabled</Status></Metrics>";
    for more in [
        "<Account>111122223333</Account>",
        "<StorageClass>DEEP_ARCHIVE</StorageClass>",
        "<Account>111122223333</Account><AccessControlTranslation><Owner>Destination</Owner></AccessControlTranslation>",
        &format!("{TIME}{METRICS}"),
        &format!("{TIME}{METRICS}").replace("Enabled", "Disabled"),
        disabled,
    ] {
        check(&rule("a", &format!("{FILTER}{ENABLED}{}{NO_MARKERS}", to(more))));
    }
    let criteria = "<SourceSelectionCriteria><SseKmsEncryptedObjects><Status>Enabled</Status></SseKmsEncryptedObjects>\
                    <ReplicaModifications><Status>Disabled</Status></ReplicaModifications></SourceSelectionCriteria>";
    let existing = "<ExistingObjectReplication><Status>Disabled</Status></ExistingObjectReplication>";
    let key = to("<EncryptionConfiguration><ReplicaKmsKeyID>arn:key</ReplicaKmsKeyID></EncryptionConfiguration>");
    let markers = NO_MARKERS.replace("Disabled", "Enabled");
    let status = "<Status>Disabled</Status>";
    check(&rule("a", &format!("{FILTER}{status}{criteria}{existing}{key}{markers}")));
    // One of each destination may have a priority.
    let other = TO.replace(":dst", ":other");
    let rules = [rule("a", &second("")), rule("b", &second("").replace(TO, &other))].concat();
    check(&rules);
}

#[test]
fn what_is_malformed() {
    fn malformed(rules: &str) {
        check(rules, "MalformedXML");
    }
    malformed("");
    malformed("<Other/>");
    assert_eq!(read(b"<C><Rule/></C>").expect_err("no role").code, "MalformedXML");
    assert_eq!(read(b"").expect_err("nothing").code, "MissingRequestBodyError");
    for inside in [
        format!("{ENABLED}{TO}"),
        format!("{PREFIX}{TO}"),
        format!("{PREFIX}{ENABLED}"),
        format!("{PREFIX}<Status>enabled</Status>{TO}"),
        format!("{PREFIX}{ENABLED}<Destination/>"),
        format!("{PREFIX}{ENABLED}{TO}<Other/>"),
        format!("{PREFIX}{PREFIX}{ENABLED}{TO}"),
        format!("{PREFIX}{ENABLED}{}", to("<StorageClass>EXPRESS_ONEZONE</StorageClass>")),
        format!("{PREFIX}{ENABLED}{}", to("<StorageClass>FSX_ONTAP</StorageClass>")),
        format!("{PREFIX}{ENABLED}{}", to("<StorageClass>standard</StorageClass>")),
        format!("{FILTER}{ENABLED}{TO}<DeleteMarkerReplication/>"),
        format!("<Priority>1</Priority><Filter>{TAG}{PREFIX}</Filter>{ENABLED}{TO}{NO_MARKERS}"),
        format!("<Priority>1</Priority><Filter><And>{TAG}</And></Filter>{ENABLED}{TO}{NO_MARKERS}"),
        format!("<Priority>high</Priority><Filter/>{ENABLED}{TO}{NO_MARKERS}"),
        format!(
            "{PREFIX}{ENABLED}{}",
            to("<Account>111122223333</Account><AccessControlTranslation><Owner>Me</Owner></AccessControlTranslation>")
        ),
    ] {
        malformed(&rule("a", &inside));
    }
}

#[test]
fn arguments_that_are_refused() {
    fn invalid(inside: &str) {
        check(&rule("a", inside), "InvalidArgument");
    }
    let second = |more: &str| format!("{FILTER}{ENABLED}{}{NO_MARKERS}", to(more));
    check(&rule("\u{fc}", &format!("{PREFIX}{ENABLED}{TO}")), "InvalidArgument");
    check(&rule(&"i".repeat(256), &format!("{PREFIX}{ENABLED}{TO}")), "InvalidArgument");
    invalid(&format!("<Prefix>{}</Prefix>{ENABLED}{TO}", "p".repeat(1025)));
    invalid(&format!("<Priority>-1</Priority><Filter/>{ENABLED}{TO}{NO_MARKERS}"));
    for arn in ["dst", "arn:aws:s3:::", "arn:aws:s3:us-east-1:111122223333:accesspoint/door", "arn:aws:s3:::TO"] {
        invalid(&format!("{PREFIX}{ENABLED}<Destination><Bucket>{arn}</Bucket></Destination>"));
    }
    for account in ["", "1", "11112222333a"] {
        invalid(&second(&format!("<Account>{account}</Account>")));
    }
    for time in [
        TIME.replace("<Status>Enabled</Status>", ""),
        TIME.replace("<Time><Minutes>15</Minutes></Time>", ""),
        TIME.replace("<Minutes>15</Minutes>", ""),
        TIME.replace("15", "16"),
    ] {
        invalid(&second(&format!("{time}{METRICS}")));
    }
    for metrics in [
        METRICS.replace("<Status>Enabled</Status>", ""),
        METRICS.replace("<EventThreshold><Minutes>15</Minutes></EventThreshold>", ""),
        METRICS.replace("15", "1"),
    ] {
        invalid(&second(&format!("{TIME}{metrics}")));
    }
    let twice = [rule("a", &format!("<Prefix>x</Prefix>{ENABLED}{TO}")), rule("a", &format!("{PREFIX}{ENABLED}{TO}"))];
    check(&twice.concat(), "InvalidArgument");
}

#[test]
fn requests_that_are_refused() {
    fn refused(inside: &str) {
        check(&rule("a", inside), "InvalidRequest");
    }
    let second = |more: &str| format!("{FILTER}{ENABLED}{}{NO_MARKERS}", to(more));
    refused(&second("<AccessControlTranslation><Owner>Destination</Owner></AccessControlTranslation>"));
    refused(&second(TIME));
    refused(&second(METRICS));
    refused(&second(&format!("{TIME}{}", METRICS.replace("Enabled", "Disabled"))));
    refused(&second("<EncryptionConfiguration/>"));
    refused(&second("<EncryptionConfiguration><ReplicaKmsKeyID>k</ReplicaKmsKeyID></EncryptionConfiguration>"));
    let kms = "<SourceSelectionCriteria><SseKmsEncryptedObjects><Status>Enabled</Status></SseKmsEncryptedObjects>\
               </SourceSelectionCriteria>";
    refused(&format!("{FILTER}{ENABLED}{kms}{TO}{NO_MARKERS}"));
    let existing = "<ExistingObjectReplication><Status>Enabled</Status></ExistingObjectReplication>";
    refused(&format!("{FILTER}{ENABLED}{existing}{TO}{NO_MARKERS}"));
    // What one form needs, the other must not have.
    refused(&format!("{FILTER}{ENABLED}{TO}"));
    refused(&format!("<Filter/>{ENABLED}{TO}{NO_MARKERS}"));
    refused(&format!("{PREFIX}{FILTER}{ENABLED}{TO}{NO_MARKERS}"));
    refused(&format!("<Priority>1</Priority>{PREFIX}{ENABLED}{TO}"));
    refused(&format!("{PREFIX}{ENABLED}{TO}{NO_MARKERS}"));
    refused(&format!("{PREFIX}{ENABLED}{}", to(&format!("{TIME}{METRICS}"))));
    let modifications = "<SourceSelectionCriteria><ReplicaModifications><Status>Enabled</Status></ReplicaModifications>\
                         </SourceSelectionCriteria>";
    refused(&format!("{PREFIX}{ENABLED}{modifications}{TO}"));
    let markers = NO_MARKERS.replace("Disabled", "Enabled");
    refused(&format!("<Priority>1</Priority><Filter>{TAG}</Filter>{ENABLED}{TO}{markers}"));
}

#[test]
fn rules_that_do_not_go_together() {
    fn refused(rules: &[String]) {
        check(&rules.concat(), "InvalidRequest");
    }
    let first = |id: &str, prefix: &str, to: &str| {
        rule(id, &format!("<Prefix>{prefix}</Prefix>{ENABLED}{}", TO.replace(":dst", &format!(":{to}"))))
    };
    let second = |id: &str| rule(id, &format!("{FILTER}{ENABLED}{TO}{NO_MARKERS}"));
    refused(&[first("a", "x", "dst"), first("b", "xy", "dst")]);
    refused(&[first("a", "x", "dst"), first("b", "x", "dst")]);
    refused(&[first("a", "", "dst"), first("b", "x", "dst")]);
    refused(&[first("a", "x", "dst"), first("b", "y", "other")]);
    refused(&[first("a", "x", "dst"), second("b")]);
    refused(&[second("a"), second("b")]);
    let many: Vec<String> = (0..1001)
        .map(|n| rule(&n.to_string(), &format!("<Priority>{n}</Priority><Filter/>{ENABLED}{TO}{NO_MARKERS}")))
        .collect();
    refused(&many);
    assert!(judge(&many[..1000].concat()).is_ok());
}

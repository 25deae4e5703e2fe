//! Policies of every kind: what was read reads as the same when its normal form is read again.
#![no_main]

use strata::policy::{Policy, PolicyKind};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, text)) = bytes.split_first() else { return };
    let bucket = PolicyKind::Bucket { bucket: "bucket".to_owned() };
    let key = PolicyKind::Key { arn: "arn:aws:kms:us-east-1:000000000000:key/k".to_owned() };
    let kinds = [PolicyKind::Identity, PolicyKind::Session, bucket, key, PolicyKind::Trust];
    let kind = &kinds[usize::from(*kind) % kinds.len()];
    let Ok(policy) = Policy::parse(text, kind) else { return };
    let normal = policy.text();
    let again = Policy::parse(normal.as_bytes(), kind).expect("a normal form is a policy");
    assert_eq!(again.text(), normal, "a policy has one normal form");
});

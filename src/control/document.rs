//! The documents of this API, in its own namespace.

use serde::Deserialize;

use super::access_point::{AccessPoint, NetworkOrigin};
use crate::time::iso8601;
use crate::xml::Writer;

/// The namespace of S3 Control's documents.
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

/// The body of CreateAccessPoint.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Create {
    pub(super) bucket: String,
    pub(super) vpc_configuration: Option<VpcConfiguration>,
    pub(super) public_access_block_configuration: Option<Block>,
    pub(super) bucket_account_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VpcConfiguration {
    pub(super) vpc_id: Option<String>,
}

/// Block Public Access inside another document; what is left out is off.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Block {
    #[serde(default)]
    pub(super) block_public_acls: bool,
    #[serde(default)]
    pub(super) ignore_public_acls: bool,
    #[serde(default)]
    pub(super) block_public_policy: bool,
    #[serde(default)]
    pub(super) restrict_public_buckets: bool,
}

/// The body of PutAccessPointPolicy.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutPolicy {
    pub(super) policy: String,
}

/// A document of this API.
pub(super) fn writer(root: &str) -> Writer {
    Writer::with_namespace(root, NAMESPACE)
}

pub(super) fn created(point: &AccessPoint, region: &str) -> String {
    let mut writer = writer("CreateAccessPointResult");
    writer.element("AccessPointArn", point.arn(region)).element("Alias", point.alias());
    writer.finish()
}

pub(super) fn described(point: &AccessPoint, region: &str, domain: Option<&str>) -> String {
    let mut writer = writer("GetAccessPointResult");
    writer.element("Name", point.name.as_str()).element("Bucket", &point.bucket);
    origin(&mut writer, point);
    writer.open("PublicAccessBlockConfiguration");
    for (name, value) in [
        ("BlockPublicAcls", point.block.block_public_acls),
        ("IgnorePublicAcls", point.block.ignore_public_acls),
        ("BlockPublicPolicy", point.block.block_public_policy),
        ("RestrictPublicBuckets", point.block.restrict_public_buckets),
    ] {
        writer.element(name, value.to_string());
    }
    writer.close();
    writer.element("CreationDate", iso8601(point.created)).element("Alias", point.alias());
    writer.element("AccessPointArn", point.arn(region));
    if let Some(domain) = domain {
        writer.open("Endpoints").open("entry").element("key", "ipv4");
        writer.element("value", format!("s3-accesspoint.{domain}")).close().close();
    }
    writer.element("BucketAccountId", point.bucket_account.to_string());
    writer.finish()
}

pub(super) fn listed(points: &[std::sync::Arc<AccessPoint>], region: &str, next: Option<&str>) -> String {
    let mut writer = writer("ListAccessPointsResult");
    writer.open("AccessPointList");
    for point in points {
        writer.open("AccessPoint").element("Name", point.name.as_str());
        origin(&mut writer, point);
        writer.element("Bucket", &point.bucket).element("AccessPointArn", point.arn(region));
        writer.element("Alias", point.alias()).element("BucketAccountId", point.bucket_account.to_string()).close();
    }
    writer.close();
    if let Some(next) = next {
        writer.element("NextToken", next);
    }
    writer.finish()
}

fn origin(writer: &mut Writer, point: &AccessPoint) {
    writer.element("NetworkOrigin", point.origin.name());
    if let NetworkOrigin::Vpc(id) = &point.origin {
        writer.open("VpcConfiguration").element("VpcId", id).close();
    }
}

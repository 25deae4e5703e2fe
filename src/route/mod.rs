//! Which operation a request names. Pure: method, resource, query and headers in, one of a closed set out.
//!
//! Sub-resources decide before anything else, so that a request for something not implemented never passes for a
//! plain read, write or delete.

use http::{HeaderMap, Method};

use crate::error::S3Error;
use crate::request::Query;

mod operation;
mod table;

pub use operation::Operation;
use table::{BUCKET, MODIFIERS, Methods, OBJECT, SERVICE, SUB_RESOURCES, SubResource};

/// The operation of a request.
///
/// `Err` is 405 for a method that the resource does not have, 400 for sub-resources that contradict each other, and
/// 501 for a parameter that looks like a sub-resource and is none that S3 has today.
pub fn route(
    method: &Method,
    has_bucket: bool,
    has_key: bool,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Operation, S3Error> {
    if method == Method::OPTIONS {
        return Ok(Operation::PreflightRequest);
    }
    let sub_resource = sub_resource(query)?;
    if sub_resource.is_none() && (has_key && !method.is_safe() || has_bucket && !has_key) {
        refuse_unknown_sub_resource(query)?;
    }
    let methods = match (has_bucket, has_key, sub_resource) {
        (false, _, None) => SERVICE,
        (true, false, None) => BUCKET,
        (true, true, None) => OBJECT,
        (false, _, Some(_)) => &[],
        (true, false, Some(found)) => found.bucket,
        (true, true, Some(found)) => found.object,
    };
    let found = methods.iter().find(|(name, _)| *name == method.as_str());
    let (_, operation) = found.ok_or_else(|| {
        let resource_type = match (has_bucket, has_key, sub_resource) {
            (_, _, Some(found)) => found.name.to_ascii_uppercase(),
            (false, ..) => "SERVICE".to_owned(),
            (true, false, None) => "BUCKET".to_owned(),
            (true, true, None) => "OBJECT".to_owned(),
        };
        S3Error::method_not_allowed(method, &resource_type, &allowed(methods))
    })?;
    refine(*operation, query, headers)
}

/// The one sub-resource of the query, if any.
fn sub_resource(query: &Query) -> Result<Option<&'static SubResource>, S3Error> {
    let mut found: Vec<&'static SubResource> = Vec::new();
    for (name, _) in &query.0 {
        let known = SUB_RESOURCES.iter().find(|known| known.name == name);
        found.extend(known.filter(|known| found.iter().all(|earlier| earlier.name != known.name)));
    }
    if let [first, _, ..] = found[..] {
        let names: Vec<&str> = found.iter().map(|known| known.name).collect();
        let message = format!("Conflicting query string parameters: {}", names.join(", "));
        return Err(S3Error::invalid_argument(message, "ResourceType", first.name));
    }
    Ok(found.first().copied())
}

/// Sub-resources are sent without a value. S3 adds one now and then, and ignoring a new one would let a request about
/// it list, overwrite or delete what it is about. Parameters with a value are ignored, as S3 does.
fn refuse_unknown_sub_resource(query: &Query) -> Result<(), S3Error> {
    let is_plain = |name: &str| {
        let is_extension = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        name.is_empty() || is_extension || name.starts_with("response-") || MODIFIERS.contains(&name)
    };
    match query.0.iter().find(|(name, value)| value.is_empty() && !is_plain(name)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(S3Error::not_implemented(format!("The query parameter {name} names nothing that is implemented here.")))
        }
    }
}

fn allowed(methods: Methods) -> String {
    let names: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Tells operations apart that share method and resource.
fn refine(operation: Operation, query: &Query, headers: &HeaderMap) -> Result<Operation, S3Error> {
    let has_id = query.contains("id");
    let is_copy = headers.contains_key("x-amz-copy-source");
    Ok(match operation {
        Operation::ListBuckets if query.get("x-id") == Some("ListDirectoryBuckets") => Operation::ListDirectoryBuckets,
        Operation::ListBucketAnalyticsConfigurations if has_id => Operation::GetBucketAnalyticsConfiguration,
        Operation::ListBucketIntelligentTieringConfigurations if has_id => {
            Operation::GetBucketIntelligentTieringConfiguration
        }
        Operation::ListBucketInventoryConfigurations if has_id => Operation::GetBucketInventoryConfiguration,
        Operation::ListBucketMetricsConfigurations if has_id => Operation::GetBucketMetricsConfiguration,
        Operation::ListObjectAnnotations if query.contains("annotationName") => Operation::GetObjectAnnotation,
        // Every other value, and none, is the first version.
        Operation::ListObjects if query.get("list-type") == Some("2") => Operation::ListObjectsV2,
        // A part without its upload must not become an object. The value is S3's.
        Operation::PutObject if query.contains("partNumber") => {
            let message = "This operation does not accept partNumber without uploadId";
            return Err(S3Error::invalid_argument(message, "partNumber", "partNumber"));
        }
        Operation::UploadPart if !query.contains("partNumber") => {
            return Err(S3Error::method_not_allowed(&Method::PUT, "UPLOAD", "DELETE, POST, GET"));
        }
        Operation::PutObject if is_copy => Operation::CopyObject,
        Operation::UploadPart if is_copy => Operation::UploadPartCopy,
        other => other,
    })
}

#[cfg(test)]
mod tests;

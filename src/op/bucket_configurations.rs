//! What the configurations share of which a bucket can have many: their operations, their ids, and their lists in pages.

use std::sync::Arc;

use http::StatusCode;
use strata_storage::{Bucket, BucketChange, Entity, Error};

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::{bucket, continuation_token, list_document};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::xml::Writer;

/// The most configurations on a page.
const PAGE_MAX: usize = 100;

/// The longest id, in characters.
const ID_CHARACTERS_MAX: usize = 64;

/// One kind of configuration, as documents show it.
pub struct Kind<C> {
    /// The root element of its list, which also names the list inside tokens.
    pub list: &'static str,
    /// The element of one.
    pub element: &'static str,
    /// Its id.
    pub id: fn(&C) -> &str,
    /// Writes what is inside its element.
    pub write: fn(&mut Writer, &C),
}

/// Get, List, Put and Delete of one kind.
pub struct Operations<C> {
    /// The kind.
    pub kind: Kind<C>,
    /// Those that a bucket has, in the order of their ids.
    pub of: fn(&Bucket) -> &[C],
    /// Reads the document of a Put.
    pub read: fn(&[u8], &Query) -> Result<C, S3Error>,
    /// The change that adds one, or replaces the one of its id.
    pub put: fn(C) -> BucketChange,
    /// The change that removes the one of that id.
    pub delete: fn(String) -> BucketChange,
}

impl<C> Operations<C> {
    /// Answers `GET` with an id.
    pub async fn get(&self, ctx: &Context, request: Request) -> Result<Response, S3Error> {
        let bucket = bucket::find(ctx, request.bucket()?).await?;
        let id = named_id(&request.query)?;
        Ok(Response::xml(document(&self.kind, (self.of)(&bucket), id)?))
    }

    /// Answers `GET` without an id.
    pub async fn list(&self, ctx: &Context, request: Request) -> Result<Response, S3Error> {
        let bucket = bucket::find(ctx, request.bucket()?).await?;
        Ok(Response::xml(list_document(&self.kind, (self.of)(&bucket), &request.query)?))
    }

    /// Answers `PUT`: 200 as S3 documents it, though 204 was seen; clients take both.
    pub async fn put(&self, ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
        let (_, configuration) = self.receive(ctx, &mut request).await?;
        self.store(ctx, &request, configuration).await
    }

    /// The bucket, and what the document of a `PUT` wants it to have.
    pub async fn receive(&self, ctx: &Context, request: &mut Request) -> Result<(Arc<Bucket>, C), S3Error> {
        let bucket = bucket::find(ctx, request.bucket()?).await?;
        let bytes = bucket::read_document(request, ctx.config.limits.xml_bytes, Need::Optional).await?;
        Ok((bucket, (self.read)(&bytes, &request.query)?))
    }

    /// Stores it, and answers.
    pub async fn store(&self, ctx: &Context, request: &Request, configuration: C) -> Result<Response, S3Error> {
        let name = request.bucket()?;
        let change = (self.put)(configuration);
        ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
        Ok(Response::empty(StatusCode::OK))
    }

    /// Answers `DELETE`.
    pub async fn delete(&self, ctx: &Context, request: Request) -> Result<Response, S3Error> {
        let name = request.bucket()?;
        bucket::find(ctx, name).await?;
        let change = (self.delete)(named_id(&request.query)?.to_owned());
        ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

/// The id that the request names; `InvalidArgument` if it names none.
fn named_id(query: &Query) -> Result<&str, S3Error> {
    match query.get("id") {
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err(S3Error::invalid_argument("The configuration id must be specified", "id", "")),
    }
}

/// The id under which a configuration is stored: the one that the request and its document agree on.
pub fn stored_id(query: &Query, in_document: String) -> Result<String, S3Error> {
    let id = named_id(query)?;
    if id != in_document {
        return Err(S3Error::malformed_xml());
    }
    let acceptable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if id.len() > ID_CHARACTERS_MAX || !id.bytes().all(acceptable) {
        let message = "The configuration id can have up to 64 letters, digits, periods, dashes and underscores";
        return Err(S3Error::invalid_argument(message, "id", id));
    }
    Ok(in_document)
}

/// The document of the configuration of that id, or `NoSuchConfiguration`.
pub fn document<C>(kind: &Kind<C>, configurations: &[C], id: &str) -> Result<String, S3Error> {
    let found = configurations.iter().find(|configuration| (kind.id)(configuration) == id);
    let configuration = found.ok_or(Error::NotFound(Entity::Configuration))?;
    let mut writer = Writer::new(kind.element);
    (kind.write)(&mut writer, configuration);
    Ok(writer.finish())
}

/// The document of the page that the request asks for. `configurations` are in the order of their ids.
pub fn list_document<C>(kind: &Kind<C>, configurations: &[C], query: &Query) -> Result<String, S3Error> {
    let token = query.get("continuation-token");
    let after = token.map(|token| continuation_token::decode(kind.list, token)).transpose()?;
    let start = after.map_or(0, |after| configurations.partition_point(|one| *(kind.id)(one) <= *after));
    let rest = &configurations[start..];
    let page = &rest[..rest.len().min(PAGE_MAX)];
    let is_truncated = page.len() < rest.len();
    let next = page.last().filter(|_| is_truncated);

    let mut writer = Writer::new(kind.list);
    writer.element("IsTruncated", list_document::boolean(is_truncated));
    if let Some(token) = token {
        writer.element("ContinuationToken", token);
    }
    if let Some(last) = next {
        writer.element("NextContinuationToken", continuation_token::encode(kind.list, (kind.id)(last)));
    }
    for configuration in page {
        writer.open(kind.element);
        (kind.write)(&mut writer, configuration);
        writer.close();
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::{Kind, document, list_document, named_id, stored_id};
    use crate::request::Query;

    const KIND: Kind<String> = Kind {
        list: "List",
        element: "One",
        id: |id| id,
        write: |writer, id| {
            writer.element("Id", id);
        },
    };

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn ids() {
        fn check(named: Option<&str>, in_document: &str, expected: Result<(), &str>) {
            let query = query(&named.map(|id| ("id", id)).into_iter().collect::<Vec<_>>());
            let found = stored_id(&query, in_document.to_string()).map_err(|error| error.code);
            assert_eq!(found, expected.map(|()| in_document.to_string()), "{named:?}");
        }
        for id in ["1", "EntireBucket", "a.b-c_D9", &"x".repeat(64)] {
            check(Some(id), id, Ok(()));
        }
        for id in ["a b", "a/b", "ü", "a,b", &"x".repeat(65)] {
            check(Some(id), id, Err("InvalidArgument"));
        }
        check(Some("a"), "b", Err("MalformedXML"));
        check(Some("a"), "", Err("MalformedXML"));
        check(None, "a", Err("InvalidArgument"));
        check(Some(""), "", Err("InvalidArgument"));
        assert_eq!(named_id(&query(&[("id", "any thing")])).expect("an id"), "any thing");
    }

    #[test]
    fn one_is_found_by_its_id() {
        let all = ["a".to_string(), "b".to_string()];
        assert!(document(&KIND, &all, "b").expect("it is there").ends_with("2006-03-01/\"><Id>b</Id></One>"));
        let error = document(&KIND, &all, "c").expect_err("it is not there");
        assert_eq!((error.status.as_u16(), error.code), (404, "NoSuchConfiguration"));
    }

    #[test]
    fn lists_go_on_where_they_ended() {
        fn check(total: usize, expected: &[usize]) {
            let all: Vec<String> = (0..total).map(|number| format!("{number:04}")).collect();
            let (mut token, mut found, mut pages) = (None::<String>, Vec::new(), Vec::new());
            loop {
                let query = query(&token.iter().map(|token| ("continuation-token", &**token)).collect::<Vec<_>>());
                let text = list_document(&KIND, &all, &query).expect("a page");
                assert_eq!(text.contains("<ContinuationToken>"), token.is_some());
                let ids: Vec<String> = text.split("<Id>").skip(1).map(|rest| rest[..4].to_string()).collect();
                pages.push(ids.len());
                found.extend(ids);
                let next = text.split_once("<NextContinuationToken>").and_then(|(_, rest)| rest.split_once('<'));
                assert!(text.contains(&format!("<IsTruncated>{}<", next.is_some())));
                match next {
                    Some((next, _)) => token = Some(next.to_string()),
                    None => break,
                }
            }
            assert_eq!((found, &pages[..]), (all, expected));
        }
        check(0, &[0]);
        check(1, &[1]);
        check(100, &[100]);
        check(101, &[100, 1]);
        check(1000, &[100; 10]);
        let error = list_document(&KIND, &[], &query(&[("continuation-token", "x")])).expect_err("no token of ours");
        assert_eq!(error.code, "InvalidArgument");
    }
}

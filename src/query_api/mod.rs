//! What the query APIs, IAM and STS, have in common: calls as forms, answers in XML, errors, and asking for permission.

mod fault;
mod form;
mod keys;

use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use strata_storage::{AccountId, Timestamp};

use crate::error::S3Error;
use crate::identity::Identity;
use crate::origin::Origin;
use crate::policy::{Action, ConditionKeys, Layer, Opinions, Outcome, Question, Ruling, combine};
use crate::request::RequestName;
use crate::response::{Payload, Response};
use crate::xml::Writer;

pub use fault::Fault;
pub use form::{Form, member};
pub use keys::CallKeys;

/// One of the query APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryApi {
    /// Users, groups, roles, policies.
    Iam,
    /// Temporary credentials.
    Sts,
}

/// One authenticated call.
pub struct QueryCall {
    /// Who calls.
    pub caller: Arc<Identity>,
    /// Where the call came from.
    pub origin: Origin,
    /// The `User-Agent`.
    pub user_agent: Option<String>,
    /// The action with its parameters.
    pub form: Form,
    /// What errors call it.
    pub name: Arc<RequestName>,
    /// When it arrived.
    pub now: Timestamp,
    /// The region of this server.
    pub region: String,
}

/// The document of an answer in the making: the element that holds the result is opened when something is put in it.
pub struct Answer {
    writer: Writer,
    result: String,
    is_open: bool,
}

impl QueryApi {
    fn namespace(self) -> &'static str {
        match self {
            QueryApi::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            QueryApi::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    /// The only version of the API.
    pub fn version(self) -> &'static str {
        match self {
            QueryApi::Iam => "2010-05-08",
            QueryApi::Sts => "2011-06-15",
        }
    }

    /// The answer to a call that fails.
    pub fn fault(self, fault: &Fault, name: &RequestName) -> Response {
        if let Some(detail) = &fault.detail {
            tracing::error!(request_id = name.request_id, code = fault.code, detail, "request failed");
        }
        let mut writer = Writer::in_namespace("ErrorResponse", self.namespace());
        let side = if fault.status.is_server_error() { "Receiver" } else { "Sender" };
        writer.open("Error").element("Type", side).element("Code", fault.code).element("Message", &fault.message);
        writer.close().element("RequestId", &name.request_id);
        document(fault.status, writer)
    }

    /// The answer to a call that was not even authenticated: the same faults have other names than in S3.
    pub fn refusal(self, error: &S3Error, name: &RequestName) -> Response {
        let invalid = "The security token included in the request is invalid.";
        let forbidden = |code, message: &'static str| Fault::new(StatusCode::FORBIDDEN, code, message);
        let fault = match error.code {
            "InvalidAccessKeyId" | "InvalidToken" => forbidden("InvalidClientTokenId", invalid),
            "ExpiredToken" => forbidden("ExpiredToken", "The security token included in the request is expired"),
            "AuthorizationHeaderMalformed" => Fault::new(error.status, "IncompleteSignature", error.message.clone()),
            "RequestTimeTooSkewed" => Fault::new(error.status, "SignatureDoesNotMatch", error.message.clone()),
            "InternalError" => Fault::internal(error.detail.as_deref().unwrap_or_default()),
            code => Fault::new(error.status, code, error.message.clone()),
        };
        self.fault(&fault, name)
    }

    /// An answer to an action.
    pub fn answer(self, action: &str) -> Answer {
        let writer = Writer::in_namespace(&format!("{action}Response"), self.namespace());
        Answer { writer, result: format!("{action}Result"), is_open: false }
    }
}

impl Answer {
    /// Where the result is written.
    pub fn result(&mut self) -> &mut Writer {
        if !self.is_open {
            self.writer.open(&self.result);
            self.is_open = true;
        }
        &mut self.writer
    }

    /// The answer itself.
    pub fn finish(mut self, name: &RequestName) -> Response {
        if self.is_open {
            self.writer.close();
        }
        self.writer.open("ResponseMetadata").element("RequestId", &name.request_id).close();
        document(StatusCode::OK, self.writer)
    }
}

impl QueryCall {
    /// The account that the caller acts for. Calls without one are refused before, but for those that need none.
    pub fn account(&self) -> Result<AccountId, Fault> {
        self.caller.account_id().ok_or_else(|| Fault::access_denied("Access Denied"))
    }

    /// Asks whether the caller may do `action` to `resource`, which is the caller's account's.
    pub fn require(&self, action: Action, resource: &str, keys: &dyn ConditionKeys) -> Result<(), Fault> {
        let principal = self.caller.principal();
        let own = self.caller.decisions(&Question { principal: &principal, action, resource, keys });
        let outcome = combine(&Opinions {
            principal: &principal,
            owner: &self.account()?.to_string(),
            identity: &own.identity,
            resource: &[],
            session: own.session,
            boundary: own.boundary,
            ruling: Ruling::Either,
        });
        self.permitted(outcome, action, resource)
    }

    /// The fault that an outcome is, in AWS's words.
    pub fn permitted(&self, outcome: Outcome, action: Action, resource: &str) -> Result<(), Fault> {
        let action = action.name();
        let why = match outcome {
            Outcome::Allowed { .. } => return Ok(()),
            Outcome::ExplicitDeny { .. } => "with an explicit deny in a policy".to_owned(),
            Outcome::ImplicitDeny { missing } => {
                let kind = match missing {
                    Layer::Identity => "identity-based policy",
                    Layer::Resource => "resource-based policy",
                    Layer::Session => "session policy",
                    Layer::Boundary => "permissions boundary",
                };
                format!("because no {kind} allows the {action} action")
            }
        };
        let arn = self.caller.arn();
        Err(Fault::access_denied(format!(
            "User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
        )))
    }
}

fn document(status: StatusCode, writer: Writer) -> Response {
    let mut response = Response::empty(status);
    response.set(CONTENT_TYPE, "text/xml");
    response.body = Payload::Bytes(writer.finish().into());
    response
}

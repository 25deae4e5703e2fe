//! GetCallerIdentity: who calls. Everybody may know that of themselves, whatever their policies say.

use crate::query_api::{Answer, Fault, QueryCall};

/// Tells who calls.
pub fn run(call: &QueryCall, answer: &mut Answer) -> Result<(), Fault> {
    let account = call.account()?.to_string();
    let writer = answer.result();
    writer.element("Arn", call.caller.arn()).element("UserId", call.caller.user_id()).element("Account", account);
    Ok(())
}

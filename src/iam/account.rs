//! The account: GetAccountSummary, ListAccountAliases.

use crate::directory::Snapshot;
use crate::directory::entity::{Group, ManagedPolicy, Provider, Role, User};
use crate::iam::groups::{GROUPS_MAX, GROUPS_PER_USER_MAX};
use crate::iam::policies::{POLICIES_MAX, POLICY_CHARS_MAX};
use crate::iam::policy_versions::VERSIONS_MAX;
use crate::iam::request::Request;
use crate::iam::roles::ROLES_MAX;
use crate::iam::users::USERS_MAX;
use crate::query_api::{Answer, Fault};

/// Tells how much there is of everything, and how much there may be.
pub fn summary(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    request.require("*", &request.keys())?;
    let roster = request.roster(snapshot)?;
    let policies = roster.all::<ManagedPolicy>();
    let versions: usize = policies.values().map(|policy| policy.versions.len()).sum();
    let has_root_keys = usize::from(!roster.record.keys.is_empty() || roster.id() == strata_storage::AccountId::ROOT);
    let map = [
        ("AccessKeysPerUserQuota", 2),
        ("AccountAccessKeysPresent", has_root_keys),
        ("AccountMFAEnabled", 0),
        ("Groups", roster.all::<Group>().len()),
        ("GroupsPerUserQuota", GROUPS_PER_USER_MAX),
        ("GroupsQuota", GROUPS_MAX),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("Policies", policies.len()),
        ("PoliciesQuota", POLICIES_MAX),
        ("PolicySizeQuota", POLICY_CHARS_MAX),
        ("PolicyVersionsInUse", versions),
        ("Providers", roster.all::<Provider>().len()),
        ("Roles", roster.all::<Role>().len()),
        ("RolesQuota", ROLES_MAX),
        ("ServerCertificates", 0),
        ("Users", roster.all::<User>().len()),
        ("UsersQuota", USERS_MAX),
        ("VersionsPerPolicyQuota", VERSIONS_MAX),
    ];
    let writer = answer.result();
    writer.open("SummaryMap");
    for (key, value) in map {
        writer.open("entry").element("key", key).element("value", value.to_string()).close();
    }
    writer.close();
    Ok(())
}

/// Lists the aliases of the account, of which there are none.
pub fn aliases(request: &Request, _snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    request.require("*", &request.keys())?;
    answer.result().open("AccountAliases").close().element("IsTruncated", "false");
    Ok(())
}

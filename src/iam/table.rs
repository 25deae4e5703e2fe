//! The actions of IAM: what they are called, which parameters they have, and what carries them out.
//!
//! Parameters that are not listed are refused: what a client means by them would not be done.

use http::StatusCode;

use crate::directory::entity::{Group, Role, User};
use crate::directory::{Draft, Snapshot};
use crate::iam::request::Request;
use crate::iam::{
    access_keys, account, attached, boundaries, groups, inline, policies, policy_versions, providers, roles, simulate,
    tags, users,
};
use crate::query_api::{Answer, Fault, QueryApi};

/// Answers from the directory as it is.
type Read = fn(&Request, &Snapshot, &mut Answer) -> Result<(), Fault>;
/// Changes the directory, and answers.
type Write = fn(&Request, &mut Draft, &mut Answer) -> Result<(), Fault>;

/// What carries an action out.
#[derive(Clone, Copy)]
pub enum Run {
    /// Changes nothing.
    Read(Read),
    /// Changes something.
    Write(Write),
}

/// One action.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its parameters; of lists and structures what comes before the first dot.
    pub parameters: &'static [&'static str],
    /// What carries it out.
    pub run: Run,
}

const fn read(name: &'static str, parameters: &'static [&'static str], read: Read) -> Entry {
    Entry { name, parameters, run: Run::Read(read) }
}

const fn write(name: &'static str, parameters: &'static [&'static str], write: Write) -> Entry {
    Entry { name, parameters, run: Run::Write(write) }
}

const USER: &[&str] = &["UserName"];
const GROUP: &[&str] = &["GroupName"];
const ROLE: &[&str] = &["RoleName"];
const USER_LIST: &[&str] = &["UserName", "Marker", "MaxItems"];
const GROUP_LIST: &[&str] = &["GroupName", "Marker", "MaxItems"];
const ROLE_LIST: &[&str] = &["RoleName", "Marker", "MaxItems"];
const PATH_LIST: &[&str] = &["PathPrefix", "Marker", "MaxItems"];
const POLICY: &[&str] = &["PolicyArn"];
const POLICY_VERSION: &[&str] = &["PolicyArn", "VersionId"];

/// Every action.
const TABLE: &[Entry] = &[
    // Users and their keys.
    write("CreateUser", &["UserName", "Path", "PermissionsBoundary", "Tags"], users::create),
    read("GetUser", USER, users::get),
    read("ListUsers", PATH_LIST, users::list),
    write("UpdateUser", &["UserName", "NewPath", "NewUserName"], users::update),
    write("DeleteUser", USER, users::delete),
    write("CreateAccessKey", USER, access_keys::create),
    read("ListAccessKeys", USER_LIST, access_keys::list),
    write("UpdateAccessKey", &["UserName", "AccessKeyId", "Status"], access_keys::update),
    write("DeleteAccessKey", &["UserName", "AccessKeyId"], access_keys::delete),
    read("GetAccessKeyLastUsed", &["AccessKeyId"], access_keys::last_used),
    // Groups.
    write("CreateGroup", &["GroupName", "Path"], groups::create),
    read("GetGroup", GROUP_LIST, groups::get),
    read("ListGroups", PATH_LIST, groups::list),
    write("UpdateGroup", &["GroupName", "NewPath", "NewGroupName"], groups::update),
    write("DeleteGroup", GROUP, groups::delete),
    write("AddUserToGroup", &["GroupName", "UserName"], groups::add_user),
    write("RemoveUserFromGroup", &["GroupName", "UserName"], groups::remove_user),
    read("ListGroupsForUser", USER_LIST, groups::list_for_user),
    // Roles.
    write(
        "CreateRole",
        &[
            "RoleName",
            "Path",
            "AssumeRolePolicyDocument",
            "Description",
            "MaxSessionDuration",
            "PermissionsBoundary",
            "Tags",
        ],
        roles::create,
    ),
    read("GetRole", ROLE, roles::get),
    read("ListRoles", PATH_LIST, roles::list),
    write("UpdateRole", &["RoleName", "Description", "MaxSessionDuration"], roles::update),
    write("UpdateRoleDescription", &["RoleName", "Description"], roles::update_description),
    write("UpdateAssumeRolePolicy", &["RoleName", "PolicyDocument"], roles::update_trust),
    write("DeleteRole", ROLE, roles::delete),
    // Inline policies.
    write("PutUserPolicy", &["UserName", "PolicyName", "PolicyDocument"], inline::put::<User>),
    write("PutGroupPolicy", &["GroupName", "PolicyName", "PolicyDocument"], inline::put::<Group>),
    write("PutRolePolicy", &["RoleName", "PolicyName", "PolicyDocument"], inline::put::<Role>),
    read("GetUserPolicy", &["UserName", "PolicyName"], inline::get::<User>),
    read("GetGroupPolicy", &["GroupName", "PolicyName"], inline::get::<Group>),
    read("GetRolePolicy", &["RoleName", "PolicyName"], inline::get::<Role>),
    read("ListUserPolicies", USER_LIST, inline::list::<User>),
    read("ListGroupPolicies", GROUP_LIST, inline::list::<Group>),
    read("ListRolePolicies", ROLE_LIST, inline::list::<Role>),
    write("DeleteUserPolicy", &["UserName", "PolicyName"], inline::delete::<User>),
    write("DeleteGroupPolicy", &["GroupName", "PolicyName"], inline::delete::<Group>),
    write("DeleteRolePolicy", &["RoleName", "PolicyName"], inline::delete::<Role>),
    // Managed policies.
    write("CreatePolicy", &["PolicyName", "Path", "PolicyDocument", "Description", "Tags"], policies::create),
    read("GetPolicy", POLICY, policies::get),
    read(
        "ListPolicies",
        &["Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"],
        policies::list,
    ),
    write("DeletePolicy", POLICY, policies::delete),
    read(
        "ListEntitiesForPolicy",
        &["PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"],
        policies::entities,
    ),
    write("CreatePolicyVersion", &["PolicyArn", "PolicyDocument", "SetAsDefault"], policy_versions::create),
    read("GetPolicyVersion", POLICY_VERSION, policy_versions::get),
    read("ListPolicyVersions", &["PolicyArn", "Marker", "MaxItems"], policy_versions::list),
    write("SetDefaultPolicyVersion", POLICY_VERSION, policy_versions::set_default),
    write("DeletePolicyVersion", POLICY_VERSION, policy_versions::delete),
    // Managed policies at their holders.
    write("AttachUserPolicy", &["UserName", "PolicyArn"], attached::attach::<User>),
    write("AttachGroupPolicy", &["GroupName", "PolicyArn"], attached::attach::<Group>),
    write("AttachRolePolicy", &["RoleName", "PolicyArn"], attached::attach::<Role>),
    write("DetachUserPolicy", &["UserName", "PolicyArn"], attached::detach::<User>),
    write("DetachGroupPolicy", &["GroupName", "PolicyArn"], attached::detach::<Group>),
    write("DetachRolePolicy", &["RoleName", "PolicyArn"], attached::detach::<Role>),
    read("ListAttachedUserPolicies", &["UserName", "PathPrefix", "Marker", "MaxItems"], attached::list::<User>),
    read("ListAttachedGroupPolicies", &["GroupName", "PathPrefix", "Marker", "MaxItems"], attached::list::<Group>),
    read("ListAttachedRolePolicies", &["RoleName", "PathPrefix", "Marker", "MaxItems"], attached::list::<Role>),
    // Permissions boundaries.
    write("PutUserPermissionsBoundary", &["UserName", "PermissionsBoundary"], boundaries::put::<User>),
    write("PutRolePermissionsBoundary", &["RoleName", "PermissionsBoundary"], boundaries::put::<Role>),
    write("DeleteUserPermissionsBoundary", USER, boundaries::delete::<User>),
    write("DeleteRolePermissionsBoundary", ROLE, boundaries::delete::<Role>),
    // Tags.
    write("TagUser", &["UserName", "Tags"], tags::tag::<User>),
    write("TagRole", &["RoleName", "Tags"], tags::tag::<Role>),
    write("UntagUser", &["UserName", "TagKeys"], tags::untag::<User>),
    write("UntagRole", &["RoleName", "TagKeys"], tags::untag::<Role>),
    read("ListUserTags", USER_LIST, tags::list::<User>),
    read("ListRoleTags", ROLE_LIST, tags::list::<Role>),
    // Identity providers.
    write("CreateOpenIDConnectProvider", &["Url", "ClientIDList", "ThumbprintList", "Tags"], providers::create),
    read("GetOpenIDConnectProvider", &["OpenIDConnectProviderArn"], providers::get),
    read("ListOpenIDConnectProviders", &[], providers::list),
    write("DeleteOpenIDConnectProvider", &["OpenIDConnectProviderArn"], providers::delete),
    write("AddClientIDToOpenIDConnectProvider", &["OpenIDConnectProviderArn", "ClientID"], providers::add_client_id),
    write(
        "RemoveClientIDFromOpenIDConnectProvider",
        &["OpenIDConnectProviderArn", "ClientID"],
        providers::remove_client_id,
    ),
    write(
        "UpdateOpenIDConnectProviderThumbprint",
        &["OpenIDConnectProviderArn", "ThumbprintList"],
        providers::update_thumbprints,
    ),
    // What would be decided.
    read(
        "SimulatePrincipalPolicy",
        &[
            "PolicySourceArn",
            "PolicyInputList",
            "PermissionsBoundaryPolicyInputList",
            "ActionNames",
            "ResourceArns",
            "ContextEntries",
            "Marker",
            "MaxItems",
        ],
        simulate::principal,
    ),
    read(
        "SimulateCustomPolicy",
        &[
            "PolicyInputList",
            "PermissionsBoundaryPolicyInputList",
            "ActionNames",
            "ResourceArns",
            "ContextEntries",
            "Marker",
            "MaxItems",
        ],
        simulate::custom,
    ),
    // The account.
    read("GetAccountSummary", &[], account::summary),
    read("ListAccountAliases", &["Marker", "MaxItems"], account::aliases),
];

/// The action of that name, in the one version of the API that there is.
pub fn find(name: &str, version: Option<&str>) -> Result<&'static Entry, Fault> {
    let known = QueryApi::Iam.version();
    let found = TABLE.iter().find(|entry| entry.name == name && version.is_none_or(|version| version == known));
    found.ok_or_else(|| {
        let version = version.unwrap_or(known);
        let message = format!("Could not find operation {name} for version {version}");
        Fault::new(StatusCode::BAD_REQUEST, "InvalidAction", message)
    })
}

#[cfg(test)]
mod tests {
    use super::{TABLE, find};
    use crate::policy::Action;

    #[test]
    fn every_action_can_be_allowed() {
        for entry in TABLE {
            let action = Action::named(&format!("iam:{}", entry.name));
            assert!(action.is_some(), "{}", entry.name);
            assert_eq!(TABLE.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
        }
        assert!(find("GetUser", None).is_ok() && find("GetUser", Some("2010-05-08")).is_ok());
        for (name, version) in [("GetUser", Some("2009-01-01")), ("getuser", None), ("", None)] {
            assert!(find(name, version).is_err_and(|fault| fault.code == "InvalidAction"), "{name}");
        }
    }
}

//! Those who hold permissions: users, groups, roles. What differs between them for the actions that all three have.

use crate::directory::entity::{Group, Permissions, Role, User};
use crate::directory::roster::Entity;

/// A kind of entity that holds permissions.
pub trait Holder: Entity {
    /// What parameters and elements call it: `User`.
    const WORD: &'static str;
    /// The parameter that names it.
    const PARAMETER: &'static str;
    /// How many characters its inline policies may have together, without white space, as at AWS.
    const INLINE_CHARS_MAX: usize;

    /// What it may do.
    fn permissions(&self) -> &Permissions;
    /// What it may do, to be changed.
    fn permissions_mut(&mut self) -> &mut Permissions;
}

impl Holder for User {
    const WORD: &'static str = "User";
    const PARAMETER: &'static str = "UserName";
    const INLINE_CHARS_MAX: usize = 2048;

    fn permissions(&self) -> &Permissions {
        &self.permissions
    }
    fn permissions_mut(&mut self) -> &mut Permissions {
        &mut self.permissions
    }
}

impl Holder for Group {
    const WORD: &'static str = "Group";
    const PARAMETER: &'static str = "GroupName";
    const INLINE_CHARS_MAX: usize = 5120;

    fn permissions(&self) -> &Permissions {
        &self.permissions
    }
    fn permissions_mut(&mut self) -> &mut Permissions {
        &mut self.permissions
    }
}

impl Holder for Role {
    const WORD: &'static str = "Role";
    const PARAMETER: &'static str = "RoleName";
    const INLINE_CHARS_MAX: usize = 10_240;

    fn permissions(&self) -> &Permissions {
        &self.permissions
    }
    fn permissions_mut(&mut self) -> &mut Permissions {
        &mut self.permissions
    }
}

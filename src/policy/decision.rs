//! What one policy says to one question.

use super::principal::Grant;

/// What one policy says to one question. Statements are told by their index in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement refuses.
    Deny {
        /// The first that does.
        statement: usize,
    },
    /// A statement allows, and none refuses.
    Allow {
        /// The first of those that grant most.
        statement: usize,
        /// Whom it names.
        grant: Grant,
    },
    /// No statement speaks about the question.
    Silent,
}

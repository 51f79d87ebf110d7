//! Running on a branch: what the branch engine knows, said in a policy.

use sandbox_filesystem::branch::{Branch, BranchError};
use sandbox_types::PolicyBuilder;

/// Puts a branch of a workspace into a policy.
pub trait OnBranch: Sized {
    /// Shows `branch` at its workspace's place, writable, and makes it ready for that. The places where
    /// branches are kept stay hidden.
    ///
    /// # Errors
    /// See [`Branch::mounts`].
    fn on_branch(self, branch: &Branch) -> Result<Self, BranchError>;

    /// Grants the copy that a branch of mode `copy` works on at its own place, where nothing can be mounted.
    /// A branch of another mode grants nothing.
    #[must_use]
    fn on_working_copy(self, branch: &Branch) -> Self;
}

impl OnBranch for PolicyBuilder {
    fn on_branch(self, branch: &Branch) -> Result<Self, BranchError> {
        let builder = branch.mounts()?.into_iter().fold(self, Self::mount);
        let builder = branch
            .environment()
            .iter()
            .fold(builder, |builder, (name, value)| builder.env(name, value));
        Ok(match branch.hidden() {
            Some(hidden) => builder.deny(hidden),
            None => builder,
        })
    }

    fn on_working_copy(self, branch: &Branch) -> Self {
        match branch.working_copy() {
            Some(copy) => self.write(&copy).cwd(copy),
            None => self,
        }
    }
}

//! Running on a branch: what the branch engine knows, said in a policy.

use std::path::{Path, PathBuf};

use sandbox_filesystem::branch::{Branch, BranchError};
use sandbox_types::PolicyBuilder;

/// Puts a branch of a workspace into a policy.
pub trait OnBranch: Sized {
    /// Shows `branch` at its workspace's place, writable, and makes it ready for that. The places where
    /// branches are kept stay hidden. A branch of mode `exact` is to be served, too: see
    /// [`BranchViews`](crate::BranchViews).
    ///
    /// # Errors
    /// See [`Branch::mounts`].
    fn on_branch(self, branch: &Branch) -> Result<Self, BranchError>;

    /// Grants the copy that a branch of mode `copy` works on at its own place, where nothing can be mounted.
    /// A branch of another mode grants nothing. What the policy denies of the workspace until now is denied of the
    /// copy too.
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
        let Some(copy) = branch.working_copy() else {
            return self;
        };
        let base = branch.workspace().base();
        self.with(|policy| {
            let denied = &mut policy.filesystem.deny;
            let more: Vec<_> = denied
                .iter()
                .filter_map(|path| in_copy(path, base, &copy))
                .collect();
            denied.extend(more);
        })
        .write(&copy)
        .cwd(copy)
    }
}

/// Where what is denied is in the copy of `base`; none where it is elsewhere.
fn in_copy(denied: &Path, base: &Path, copy: &Path) -> Option<PathBuf> {
    let real = real(denied);
    if base.starts_with(&real) {
        return Some(copy.to_owned());
    }
    let below = real.strip_prefix(base).ok()?;
    Some(copy.join(below))
}

/// As [`Policy`](sandbox_types::Policy) reads it: `~/` is the home, and what is relative starts here.
fn real(path: &Path) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let anchored = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    let anchored = std::path::absolute(&anchored).unwrap_or(anchored);
    anchored.canonicalize().unwrap_or(anchored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_of_a_workspace_is_denied_of_its_copy() {
        let found = |path: &str| in_copy(Path::new(path), Path::new("/no/app"), Path::new("/state/tree"));
        assert_eq!(found("/no/app/secret"), Some("/state/tree/secret".into()));
        assert_eq!(found("/no/app"), Some("/state/tree".into()));
        assert_eq!(found("/no"), Some("/state/tree".into()));
        assert_eq!(found("/no/application"), None);
    }
}

//! Branches for the clones of a template: the joint between who forks and who keeps branches.
//!
//! Whoever forks freezes what the template has written, asks for branches, and mounts them, each in the mount namespace
//! of one clone; whoever keeps branches makes their layers. Neither knows the other.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::BranchName;

/// A place at which each clone has a view of its own, and what all of these lie over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenView {
    /// Absolute path inside the sandbox.
    pub at: PathBuf,
    /// The layers that are only read, the topmost first: all that was written until now is in them.
    pub lowers: Vec<PathBuf>,
}

/// The branch of one clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneBranch {
    /// Its name.
    pub name: BranchName,
    /// A file on which whoever keeps the clone holds an exclusive flock(2) while anything of the clone lives.
    pub lock: PathBuf,
    /// What is written to, for each [`FrozenView`] in their order.
    pub layers: Vec<CloneLayer>,
}

/// Where one view of a clone keeps what is written, see [`Overlay`](crate::Overlay).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneLayer {
    /// Where everything goes that is written.
    pub upper: PathBuf,
    /// An empty directory on the upper's file system, for the kernel.
    pub work: PathBuf,
}

/// Branches for the clones of one template, which works on a branch itself.
pub trait CloneBranches: fmt::Debug + Send {
    /// Where the template's own branch is mounted: the places of all views.
    fn places(&self) -> Vec<PathBuf>;

    /// Directories of the host, at least one, beneath which every path is that the other functions answer.
    fn trees(&self) -> Vec<PathBuf>;

    /// Makes what the template's branch has until now a layer of all clones' branches. Called once, when nothing can
    /// write to it any more.
    ///
    /// # Errors
    /// The branch cannot be frozen; then it is as it was.
    fn freeze(&mut self) -> io::Result<Vec<FrozenView>>;

    /// Makes so many branches, over what [`CloneBranches::freeze`] has answered. Each is for one clone, whose keeper holds
    /// its lock while the clone lives.
    ///
    /// # Errors
    /// Not all could be made; then none is left.
    fn make(&mut self, count: u32) -> io::Result<Vec<CloneBranch>>;

    /// Removes branches of clones that did not come about.
    fn discard(&mut self, branches: Vec<BranchName>);
}

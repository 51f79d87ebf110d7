//! Two filesystems under one root: [`DualFs`].
//!
//! Both can be anything that implements [`DynFileSystem`], this one too. Everything that is changed is changed in A; B is only
//! read. What is seen of a name that both have is the policy's to say. A file of B that is to be changed is copied to A
//! before, with its holes, its attributes of all kinds, its times and its hard links; what is deleted stays deleted, by
//! whiteouts in A in the format of overlayfs, or in memory where A cannot keep them ([`DualFs::deletions`]).
//!
//! | policy | a file that both have | a directory that both have | B fails in a listing |
//! |---|---|---|---|
//! | [`ReadBackendBWriteBackendA`] (default) | B's, until it is changed here; from then on A's | merged, with A's attributes | error |
//! | [`BackendAOnly`] | A's | A's | B is not asked |
//! | [`BackendAFallbackToBackendBRead`] | A's | merged, with A's attributes | what A has is listed |
//! | [`MergeReadsBackendAPrecedence`] | A's | merged, with A's attributes | error |
//!
//! A directory of A's is seen where B has something else of that name. Other policies implement [`DispatchPolicy`], and a
//! [`Hook`] watches or denies requests.
//!
//! # It is not
//! - a way to write to B;
//! - a place for devices 0/0, which are whiteouts: making one is `EPERM`, and renaming with `RENAME_WHITEOUT` is `EINVAL`;
//! - able to see changes that somebody else makes to A: nobody may while it is in use.

mod attr;
mod builder;
mod complete;
mod copy;
mod crash;
mod create;
mod dir;
mod file_system;
mod gate;
mod hook;
mod index;
mod invalidate;
mod io;
mod link;
mod lock;
mod look;
mod lookup;
mod node;
mod notes;
mod open;
mod policy;
mod raise;
mod rename;
mod side;
mod staging;
mod table;
mod unlink;
mod xattr;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

pub use builder::{DualFsBuilder, DualFsProblem, InvalidDualFs};
pub use hook::{Hook, Operation, Request};
pub use policy::{
    BackendAFallbackToBackendBRead, BackendAOnly, Changes, DispatchPolicy, MergeReadsBackendAPrecedence,
    Partial, Plan, ReadBackendBWriteBackendA, View,
};

pub use super::overlay::Durability;

use super::union::Once;
use crate::fs::{DynFileSystem, FsResult, Ino};
use lock::AllLocks;
use node::Parts;
use open::Handles;
use side::{Held, Side};
use staging::Staging;
use table::Table;

/// Two filesystems under one root. See the [module](self).
///
/// ```
/// use std::sync::Arc;
/// use sandbox_filesystem::backend::{DualFs, MemFs};
/// use sandbox_filesystem::fs::Context;
/// use sandbox_filesystem::tree::Tree;
/// use sandbox_types::SizeExt;
///
/// let base = Arc::new(MemFs::builder().capacity(1.mib()).build()?);
/// Tree::new(&*base, Context::new(0, 0)).write("note", b"as it was")?;
///
/// let scratch = Arc::new(MemFs::builder().capacity(1.mib()).build()?);
/// let fs = DualFs::builder().backend_a(scratch).backend_b(base.clone()).build()?;
/// let tree = Tree::new(&fs, Context::new(0, 0));
/// tree.write("note", b"changed")?;
/// assert_eq!(tree.read("note")?, b"changed");
/// assert_eq!(Tree::new(&*base, Context::new(0, 0)).read("note")?, b"as it was");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DualFs {
    a: Arc<dyn DynFileSystem>,
    b: Arc<dyn DynFileSystem>,
    policy: Arc<dyn DispatchPolicy>,
    /// The plan of every request, where it is the same.
    always: Option<Plan>,
    hooks: Vec<Arc<dyn Hook>>,
    durability: Durability,
    table: Table,
    handles: Handles,
    locks: AllLocks,
    /// Who is copied to A now.
    once: Once<Ino>,
    /// Held by every rename that moves a directory or goes from one directory to another.
    renames: Mutex<()>,
    staging: Mutex<Option<Arc<Staging>>>,
    /// What the staging directory is called, once that was found out.
    hidden: OnceLock<OsString>,
    /// Whether there is a note in memory.
    remembers: AtomicBool,
}

/// Where it is kept what was deleted of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deletions {
    /// In A, as whiteouts, opaque directories and attributes: it stays deleted when A is used again.
    InBackendA,
    /// In memory: what was deleted of B is seen again when this filesystem is built anew, and so is what B has of files
    /// that were changed where the policy prefers it.
    InMemory,
}

impl DualFs {
    /// A filesystem that is still to be given its backends.
    pub fn builder() -> DualFsBuilder {
        DualFsBuilder::default()
    }

    /// Where it is kept what was deleted of B.
    ///
    /// A is asked once what it can do, in its hidden directory, which is made for that.
    ///
    /// # Errors
    ///
    /// What A answers where that directory cannot be made; `EROFS` where A is read-only, when nothing can be deleted.
    pub fn deletions(&self) -> FsResult<Deletions> {
        Ok(if self.staging()?.able.keeps() {
            Deletions::InBackendA
        } else {
            Deletions::InMemory
        })
    }

    fn new(
        a: Arc<dyn DynFileSystem>,
        b: Arc<dyn DynFileSystem>,
        policy: Arc<dyn DispatchPolicy>,
        hooks: Vec<Arc<dyn Hook>>,
        durability: Durability,
    ) -> Self {
        let root = Parts {
            a: Some(Arc::new(Held::root(Arc::clone(&a), Side::A))),
            b: Some(Arc::new(Held::root(Arc::clone(&b), Side::B))),
        };
        Self {
            a,
            b,
            always: policy.always(),
            policy,
            hooks,
            durability,
            table: Table::new(&root),
            handles: Handles::default(),
            locks: AllLocks::default(),
            once: Once::default(),
            renames: Mutex::default(),
            staging: Mutex::default(),
            hidden: OnceLock::new(),
            remembers: AtomicBool::new(false),
        }
    }
}

/// Both backends get back all that was taken, and are dropped where nobody else has them.
impl Drop for DualFs {
    fn drop(&mut self) {
        self.handles.clear();
        self.table.end();
    }
}

impl fmt::Debug for DualFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DualFs")
            .field("always", &self.always)
            .field("hooks", &self.hooks.len())
            .finish_non_exhaustive()
    }
}

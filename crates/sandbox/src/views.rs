//! Branches in mode `exact`: what has to be served for a sandbox to show them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use sandbox_confine::{Host, SandboxBuilder};
use sandbox_filesystem::backend::passthrough::IdentityMap;
use sandbox_filesystem::branch::{Branch, BranchError};
use sandbox_filesystem::serve::fuse::{Session, SessionBuilder};
use sandbox_types::policy::Identity;
use sandbox_types::{Policy, ServeFuse, ServedName, Serving};

/// What is served for a sandbox that shows a branch in mode `exact`: nothing, in another mode.
///
/// The branch is written to by this process while the sandbox lives, and is not to be settled, committed or discarded
/// before this is dropped.
///
/// ```no_run
/// use sandbox::branch::Workspace;
/// use sandbox::{BranchViews, OnBranch, Policy, Sandbox};
///
/// let mut branch = Workspace::open(".")?.branch("fix-42")?;
/// let policy = Policy::builder().on_branch(&branch)?.build()?;
/// let views = BranchViews::of(&branch, &policy)?;
/// let sandbox = views.serve(Sandbox::builder(&policy)).prepare()?;
/// sandbox.command("make").arg("test").output()?;
/// drop((sandbox, views));
/// branch.settle(None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "the branch is shown only where it is served"]
pub struct BranchViews(Vec<(ServedName, Served)>);

/// One directory, and what the sandbox that shows it has to lock.
#[derive(Debug, Clone)]
struct Served {
    session: SessionBuilder,
    lock: Option<PathBuf>,
}

impl BranchViews {
    /// What a policy needs that shows `branch` ([`OnBranch`](crate::OnBranch)).
    ///
    /// # Errors
    /// [`BranchError::InUse`]; [`BranchError::View`].
    pub fn of(branch: &Branch, policy: &Policy) -> Result<Self, BranchError> {
        let views = branch.views(&identity(policy))?.into_iter();
        let served = views.map(|view| {
            let session = Session::builder(view.fs).fs_name(view.name.to_string());
            let lock = view.lock;
            (view.name, Served { session, lock })
        });
        Ok(Self(served.collect()))
    }

    /// Whether there is nothing to be served.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Serves them to the sandbox that is made; one at a time.
    pub fn serve(&self, builder: SandboxBuilder) -> SandboxBuilder {
        self.0.iter().fold(builder, |builder, (name, served)| {
            builder.serve(name.to_string(), served.clone())
        })
    }
}

/// Who is who inside. Whoever is no root has one identity there, as on the host but where it is to be root.
fn identity(policy: &Policy) -> IdentityMap {
    let is_host_root = Host::detect().is_ok_and(|host| host.is_root());
    match policy.process.identity {
        Identity::Root if !is_host_root => IdentityMap::own_as(0, 0),
        _ => IdentityMap::same(),
    }
}

impl ServeFuse for Served {
    fn shows(&self) -> Vec<PathBuf> {
        self.session.shows()
    }

    fn lock(&self) -> Option<PathBuf> {
        self.lock.clone()
    }

    fn serve(&self, device: OwnedFd) -> io::Result<Box<dyn Serving>> {
        ServeFuse::serve(&self.session, device)
    }
}

//! What is alive: sandboxes, and the branches they have mounted.

use std::io;
use std::path::PathBuf;

use sandbox_confine::Running;
use sandbox_filesystem::branch::{Holder, Workspace};
use sandbox_types::BranchName;

/// Something that is alive: a sandbox, or whoever holds a branch without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive {
    /// The sandbox; none where the branch is held by another process: one that commits it, or a sandbox without
    /// namespaces.
    pub sandbox: Option<Running>,
    /// The branches that are mounted in it, each with its workspace.
    pub branches: Vec<(PathBuf, BranchName)>,
    /// Who holds them, where that is no sandbox.
    pub holder: Option<Holder>,
}

/// Every sandbox of this user that is alive, with the branches that are known in the state directory.
///
/// It takes no lock and disturbs nobody. See [`sandbox_confine::running`] for what it does not find.
///
/// # Errors
/// /proc cannot be read.
pub fn alive() -> io::Result<Vec<Alive>> {
    let running = sandbox_confine::running()?.into_iter();
    let mut alive: Vec<_> = running
        .map(|sandbox| Alive {
            sandbox: Some(sandbox),
            branches: Vec::new(),
            holder: None,
        })
        .collect();
    // Where there is no state directory, there are no branches in it.
    for workspace in Workspace::all().unwrap_or_default() {
        // One that is damaged is told of by the commands for branches.
        for branch in workspace.list().unwrap_or_default().into_iter().flatten() {
            let Some(holder) = branch.holder() else { continue };
            let named = (workspace.base().to_owned(), branch.name().clone());
            match alive.iter_mut().find(|one| one.is_held_by(&holder)) {
                Some(one) => one.branches.push(named),
                None => alive.push(Alive {
                    sandbox: None,
                    branches: vec![named],
                    holder: Some(holder),
                }),
            }
        }
    }
    Ok(alive)
}

impl Alive {
    /// Who is to be asked to end: whoever waits for the sandbox, else the process that holds it together.
    pub fn pid(&self) -> u32 {
        let holder = self.holder.as_ref().map(|holder| holder.pid);
        let sandbox = self.sandbox.as_ref();
        let sandbox = sandbox.map(|sandbox| sandbox.started_by.unwrap_or(sandbox.init));
        sandbox.or(holder).unwrap_or(0)
    }

    fn is_held_by(&self, holder: &Holder) -> bool {
        match &self.sandbox {
            Some(sandbox) => holder.sandbox == Some(sandbox.init),
            None => self.holder.as_ref() == Some(holder),
        }
    }
}

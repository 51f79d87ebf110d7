//! Landlock around this process: rights on the paths that are reached, and on nothing else; no TCP, no abstract sockets,
//! no signals to others.

use std::os::fd::AsFd;

use ::landlock::{
    Access as _, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};

use super::{OwnWallsError, Reach, Reached};
use crate::host::Host;

/// Truncating is mediated from here on.
const ENOUGH: u32 = 3;

/// Whether it is a wall for the content of files by itself.
pub(super) fn suffices(host: &Host) -> bool {
    host.landlock_abi >= ENOUGH
}

/// Whether nodes of devices can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Devices {
    /// They cannot be opened, or none can be made that is one.
    Made,
    /// They would lead to the host's disks.
    NotMade,
}

impl Devices {
    /// In a root of its own no device can be opened; who is not root makes whiteouts only.
    pub(super) fn of(private_root: bool, host: &Host) -> Self {
        if private_root || !host.is_root() {
            Self::Made
        } else {
            Self::NotMade
        }
    }
}

pub(super) fn restrict(host: &Host, reached: &[Reached], devices: Devices) -> Result<(), OwnWallsError> {
    if host.landlock_abi == 0 {
        return Ok(());
    }
    let abi = host.abi();
    let failed = |source| OwnWallsError::Landlock { source };
    let all = AccessFs::from_all(abi);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Nothing is executed from anywhere.
    let mut write = all & !AccessFs::Execute;
    if devices == Devices::NotMade {
        write &= !(AccessFs::MakeChar | AccessFs::MakeBlock);
    }
    // Best effort: what this kernel's ABI does not know, is left out of `all` already.
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    ruleset = ruleset.handle_access(all).map_err(failed)?;
    ruleset = ruleset.handle_access(AccessNet::from_all(abi)).map_err(failed)?;
    ruleset = ruleset.scope(Scope::from_all(abi)).map_err(failed)?;
    let mut ruleset = ruleset.create().map_err(failed)?;
    for reached in reached {
        let rights = match reached.reach {
            Reach::List => AccessFs::ReadDir.into(),
            Reach::Read => read,
            Reach::Write => write,
        };
        let rights = if reached.is_dir {
            rights
        } else {
            rights & AccessFs::from_file(abi)
        };
        let rule = PathBeneath::new(reached.place.as_fd(), rights);
        ruleset = ruleset.add_rule(rule).map_err(failed)?;
    }
    // The process's own descriptors, listed and opened again by their number.
    if let Ok(own) = super::open("/proc/self/fd".as_ref(), Reach::Read) {
        let rule = PathBeneath::new(own.place.as_fd(), read);
        ruleset = ruleset.add_rule(rule).map_err(failed)?;
    }
    ruleset.restrict_self().map_err(failed)?;
    Ok(())
}

//! What cannot be had without namespaces, and is refused rather than left out.

use sandbox_types::policy::Identity;
use sandbox_types::{MountSource, Policy};

use super::View;
use crate::error::PrepareError;
use crate::host::Host;

/// Refuses what only a root or a user namespace of one's own can give.
pub(super) fn check(policy: &Policy, host: &Host, view: &View) -> Result<(), PrepareError> {
    let Some(cause) = &host.no_namespaces else {
        return Ok(());
    };
    let tmpfs = policy
        .filesystem
        .mounts
        .iter()
        .find(|mount| matches!(mount.source, MountSource::Tmpfs { .. }));
    let moved = view.grants.iter().find(|grant| grant.at != grant.source);
    let served = policy
        .filesystem
        .mounts
        .iter()
        .find(|mount| matches!(mount.source, MountSource::Served(_)));
    let view_of = view.grants.iter().find(|grant| grant.overlay.is_some());
    let what = if let Some(grant) = view_of {
        format!("a copy-on-write view of {}", grant.source.display())
    } else if let Some(mount) = served {
        format!("a file system that is served at {}", mount.at.display())
    } else if let Some(mount) = tmpfs {
        format!("a file system in memory at {}", mount.at.display())
    } else if let Some(grant) = moved {
        format!("showing {} at {}", grant.source.display(), grant.at.display())
    } else if policy.process.identity == Identity::Root && !host.is_root() {
        "being root inside".to_owned()
    } else {
        return Ok(());
    };
    Err(PrepareError::NeedsNamespaces {
        what,
        cause: format!(
            "{}: {}",
            cause.step,
            std::io::Error::from_raw_os_error(cause.errno)
        ),
    })
}

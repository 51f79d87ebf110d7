//! Causes by name, and remedies.
//!
//! [`diagnose`] really runs a probe behind every wall, with limits, and reads its report; nothing is
//! concluded from a version or a setting alone. Settings only explain what was found missing.

mod causes;
mod diagnose;

use sandbox_types::{Guarantee, Note};

use crate::cgroup::{Availability, Hierarchy};
use crate::host::NoNamespaces;
use causes::Surroundings;

pub use diagnose::{Diagnosis, Finding, diagnose};

/// Why there are no namespaces here, and what would change that.
pub(crate) fn namespaces_note(cause: &NoNamespaces) -> Note {
    let error = std::io::Error::from_raw_os_error(cause.errno);
    match Surroundings::detect().cause(cause) {
        Some(known) => Note {
            what: format!("no namespaces: {} ({}: {error})", known.what, cause.step),
            hint: Some(known.hint.to_owned()),
        },
        None => Note {
            what: format!("no namespaces: {}: {error}", cause.step),
            hint: None,
        },
    }
}

/// What would make a limit hold for a sandbox as a whole on this host. `None` when nothing is missing, or
/// the guarantee is not a cgroup's.
pub fn remedy(guarantee: Guarantee) -> Option<&'static str> {
    let support = Hierarchy::host().probe();
    let availability = match guarantee {
        Guarantee::Memory => support.memory,
        Guarantee::Processes => support.pids,
        Guarantee::CpuTime => support.cpu,
        _ => return None,
    };
    match availability {
        Availability::Unavailable { why } => Some(why.hint()),
        _ => None,
    }
}

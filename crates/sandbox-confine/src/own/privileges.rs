//! Capabilities: what is not kept is gone from every set.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{OwnWallsError, capability};

/// Those that a file server may have a use for (capabilities(7)).
pub(super) const NAMES: &[(&str, CapabilitySet)] = &[
    ("chown", CapabilitySet::CHOWN),
    ("dac_override", CapabilitySet::DAC_OVERRIDE),
    ("dac_read_search", CapabilitySet::DAC_READ_SEARCH),
    ("fowner", CapabilitySet::FOWNER),
    ("fsetid", CapabilitySet::FSETID),
    ("setgid", CapabilitySet::SETGID),
    ("setuid", CapabilitySet::SETUID),
    ("linux_immutable", CapabilitySet::LINUX_IMMUTABLE),
    ("sys_admin", CapabilitySet::SYS_ADMIN),
    ("mknod", CapabilitySet::MKNOD),
    ("sys_nice", CapabilitySet::SYS_NICE),
    ("setfcap", CapabilitySet::SETFCAP),
];

/// Drops all but those of these names, and sees to it that no exec gains any; what is left.
pub(super) fn keep(names: &[&'static str]) -> Result<CapabilitySet, OwnWallsError> {
    let kernel = OwnWallsError::kernel::<Errno>;
    let mut wanted = CapabilitySet::empty();
    for name in names {
        wanted |= capability(name).ok_or(OwnWallsError::Capability { name })?;
    }
    let own = rustix::thread::capabilities(None).map_err(kernel("capget"))?;
    let kept = own.permitted & wanted;
    // Bit by bit, as far as the kernel knows them; without CAP_SETPCAP there is nothing in it that could be gained.
    if own.effective.contains(CapabilitySet::SETPCAP) {
        for one in CapabilitySet::all().iter().filter(|one| !kept.contains(*one)) {
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(kernel("drop a capability from the bounding set")(errno)),
            }
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(kernel("clear the ambient set"))?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).map_err(kernel("capset"))?;
    rustix::thread::set_no_new_privs(true).map_err(kernel("no_new_privs"))?;
    Ok(kept)
}

/// Lets this process's threads become ordinary again that stood back (sched(7): an `RLIMIT_NICE` of 20 minus their niceness);
/// whether it may.
pub(super) fn may_be_ordinary() -> bool {
    let enough = Rlimit {
        current: Some(NICE),
        maximum: Some(NICE),
    };
    setrlimit(Resource::Nice, enough).is_ok()
}

/// As nice as usual.
const NICE: u64 = 20;

/// Their names.
pub(super) fn names(kept: CapabilitySet) -> Vec<&'static str> {
    let named = NAMES.iter().filter(|(_, set)| kept.contains(*set));
    named.map(|(name, _)| *name).collect()
}

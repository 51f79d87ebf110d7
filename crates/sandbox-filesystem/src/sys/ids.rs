//! setfsuid(2) and setfsgid(2): making files in somebody else's name, on this thread alone.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What is needed to make a file where its owner-to-be could not. Not `FOWNER` and not `CHOWN`: what this thread does
/// meanwhile can change nobody else's files.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::MKNOD);

/// While it lives, files that this thread makes belong to somebody else.
pub(crate) struct InName {
    of_user: libc::uid_t,
    of_group: libc::gid_t,
}

impl InName {
    /// Only root's threads can. `EINVAL` where the ids mean nothing in this user namespace.
    pub(crate) fn of(user: u32, group: u32) -> io::Result<Self> {
        let before = capabilities(None)?;
        let name = Self {
            of_group: set_group(group),
            of_user: set_user(user),
        };
        // Asking with an id that cannot be tells the one that is set now.
        if set_user(u32::MAX) != user || set_group(u32::MAX) != group {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if user != 0 {
            let effective = (before.effective - FILE_CAPABILITIES) | (before.permitted & KEPT);
            set_capabilities(None, CapabilitySets { effective, ..before })?;
        }
        Ok(name)
    }
}

/// What setfsuid(2) takes away, and gives back with user 0.
const FILE_CAPABILITIES: CapabilitySet = KEPT
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::LINUX_IMMUTABLE)
    .union(CapabilitySet::MAC_OVERRIDE);

impl Drop for InName {
    fn drop(&mut self) {
        set_user(self.of_user);
        set_group(self.of_group);
    }
}

fn set_user(user: libc::uid_t) -> libc::uid_t {
    // SAFETY: it takes a number, touches no memory, and answers the id before; it cannot fail otherwise than by leaving
    // that as it is.
    let before = unsafe { libc::syscall(libc::SYS_setfsuid, user) };
    libc::uid_t::try_from(before).unwrap_or(libc::uid_t::MAX)
}

fn set_group(group: libc::gid_t) -> libc::gid_t {
    // SAFETY: as above.
    let before = unsafe { libc::syscall(libc::SYS_setfsgid, group) };
    libc::gid_t::try_from(before).unwrap_or(libc::gid_t::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn files_belong_to_who_they_are_made_for_and_others_files_cannot_be_changed_meanwhile() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: files_belong_to_who_they_are_made_for: needs root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (mine, theirs) = (place.path().join("mine"), place.path().join("theirs"));
        std::fs::write(&mine, "").unwrap();
        {
            let _name = InName::of(1234, 567).unwrap();
            std::fs::write(&theirs, "").unwrap();
            assert!(rustix::fs::chmod(&mine, rustix::fs::Mode::RWXU).is_err());
        }
        let made = theirs.metadata().unwrap();
        assert_eq!((made.uid(), made.gid()), (1234, 567));
        rustix::fs::chmod(&theirs, rustix::fs::Mode::RWXU).unwrap();
    }
}

//! Who may come in: the same user, in the same pid and user namespace, and not from inside the sandbox.
//!
//! A command inside may see the socket where its directory is granted, and is often the same user; root's is
//! root. Its namespaces give it away; where the sandbox has none of its own, its ancestors do.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use super::error::Refusal;
use crate::ready::is_readable;
use crate::sys::{self, Peer};

/// The sandbox that somebody wants to join, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside {
    /// Init's pid.
    pub(super) pid: i32,
    /// Whether all that is inside is in a pid namespace of its own.
    pub(super) has_namespace: bool,
}

/// Whether the other end of `socket` may come in.
pub(super) fn check(socket: BorrowedFd<'_>, inside: Inside) -> Result<(), Refusal> {
    let peer = sys::peer(socket).map_err(|_| Refusal::Unknown)?;
    if !is_us(peer.uid) {
        return Err(Refusal::User);
    }
    // Whoever has connected may have ended since, and its number may be another's by now.
    let pidfd = sys::peer_pidfd(socket).map_err(|_| Refusal::Unknown)?;
    if !is_in_our_namespaces(peer.pid)? {
        return Err(Refusal::Namespace);
    }
    if !inside.has_namespace && descends_from(peer.pid, inside.pid)? {
        return Err(Refusal::Inside);
    }
    match pidfd {
        Some(pidfd) if is_readable(pidfd.as_fd()) => Err(Refusal::Unknown),
        _ => Ok(()),
    }
}

/// Whether whoever has sent a welcome is one to go by. A command inside that can write the socket's directory could
/// listen there itself. `None`: they are gone, and nobody can tell.
pub(super) fn check_host(sender: Peer) -> Option<Result<(), Refusal>> {
    if !is_us(sender.uid) {
        return Some(Err(Refusal::User));
    }
    match is_in_our_namespaces(sender.pid) {
        Ok(true) => Some(Ok(())),
        Ok(false) => Some(Err(Refusal::Namespace)),
        Err(_) => None,
    }
}

/// Whether it is our own user. Nobody else is told anything, and nobody else, root not excepted, is believed:
/// they would say which directory we remove at the end.
pub(super) fn is_us(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw()
}

fn is_in_our_namespaces(pid: i32) -> Result<bool, Refusal> {
    // Not to be seen from here.
    if pid == 0 {
        return Ok(false);
    }
    for kind in ["pid", "user"] {
        let id = |who: &str| {
            let found = fs::metadata(format!("/proc/{who}/ns/{kind}")).map_err(|_| Refusal::Unknown)?;
            Ok((found.dev(), found.ino()))
        };
        if id(&pid.to_string())? != id("self")? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// More generations than these are nobody's who has business here.
const GENERATIONS: usize = 1000;

fn descends_from(mut pid: i32, ancestor: i32) -> Result<bool, Refusal> {
    for _ in 0..GENERATIONS {
        if pid == ancestor {
            return Ok(true);
        }
        if pid <= 1 {
            return Ok(false);
        }
        pid = parent(pid).ok_or(Refusal::Unknown)?;
    }
    Err(Refusal::Unknown)
}

/// Field 4 of /proc/PID/stat (proc_pid_stat(5)).
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_found_and_others_are_not() {
        let own = std::process::id().cast_signed();
        let above = parent(own).expect("/proc");
        assert_eq!(descends_from(own, above), Ok(true));
        assert_eq!(descends_from(above, own), Ok(false));
        assert_eq!(descends_from(own, i32::MAX), Ok(false));
    }

    #[test]
    fn a_process_is_let_in_unless_the_sandbox_is_its_ancestor() {
        let (ours, theirs) = crate::messages::socket_pair().expect("sockets");
        let inside = |pid, has_namespace| Inside { pid, has_namespace };
        let own = std::process::id().cast_signed();
        assert_eq!(check(ours.as_fd(), inside(i32::MAX, false)), Ok(()));
        assert_eq!(check(ours.as_fd(), inside(own, false)), Err(Refusal::Inside));
        assert_eq!(check(ours.as_fd(), inside(own, true)), Ok(()));
        drop(theirs);
    }
}

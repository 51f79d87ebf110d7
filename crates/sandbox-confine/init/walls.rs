//! The walls around one process, put up by itself: everything between clone and the program.
//!
//! Compiled twice: into init, whose children execute a command behind them, and into the library, for the template of
//! a fork, which is a copy of the caller. Nothing is allocated; a failure says at which stage it happened.

use super::sys::files::{self, At};
use super::sys::{self, ENOENT, Errno, Fd, landlock};
use super::wire::{self, Confinement, Stage, Text};

/// A failure and where it happened.
pub type Failure = (Stage, Errno);

/// What differs from process to process.
#[derive(Debug)]
pub struct Own<'a> {
    /// The standard streams, as far as they are known.
    pub stdio: &'a [&'a Fd],
    /// Where to start.
    pub cwd: &'a Text,
    /// Descriptors from this number on are closed; `None` where the table is shared with others.
    pub close_from: Option<i32>,
    /// Capabilities that stay, in the process's own user namespace.
    pub capabilities: u64,
    /// Those of them that a program which it executes has as well.
    pub passed_on: u64,
    /// The filter, which may differ from the confinement's own.
    pub filter: &'a [u8],
}

/// Puts up every wall but the streams, which are connected already.
pub fn put_up(confinement: &Confinement<'_>, own: &Own<'_>) -> Result<(), Failure> {
    let at = |stage| move |errno| (stage, errno);
    sys::set_umask(confinement.umask);
    if confinement.nice != wire::KEEP_NICE {
        sys::set_nice(confinement.nice).map_err(at(Stage::Limits))?;
    }
    if !confinement.cpus.is_empty() {
        sys::set_affinity(confinement.cpus).map_err(at(Stage::Limits))?;
    }
    if own.passed_on != 0 {
        // What is not in the bounding set can be made inheritable no more (capset(2)).
        sys::make_inheritable(own.passed_on).map_err(at(Stage::Privileges))?;
    }
    // The bounding set goes first: dropping from it takes a capability.
    match sys::bounding_drop() {
        // A plain user without a user namespace has nothing that it could bound.
        Ok(()) | Err(Errno(1)) => {}
        Err(errno) => return Err((Stage::Privileges, errno)),
    }
    // Rules name paths that another user may not be able to reach.
    let rules = landlock_rules(confinement, own.stdio).map_err(at(Stage::Landlock))?;
    // From here on no descriptor is opened, of which the command may have few.
    for (resource, soft, hard) in wire::limits(confinement.limits) {
        sys::set_limit(resource, soft, hard).map_err(at(Stage::Limits))?;
    }
    if let Some((uid, gid)) = confinement.identity {
        match sys::set_groups() {
            // Root without CAP_SETGID, as inside another sandbox: the next step refuses any change.
            Ok(()) | Err(Errno(1)) => {}
            Err(errno) => return Err((Stage::Identity, errno)),
        }
        if own.capabilities != 0 {
            sys::keep_capabilities_once().map_err(at(Stage::Identity))?;
        }
        sys::set_identity(uid, gid).map_err(at(Stage::Identity))?;
    }
    sys::drop_ambient().map_err(at(Stage::Privileges))?;
    sys::capabilities(own.capabilities, own.passed_on).map_err(at(Stage::Privileges))?;
    sys::no_new_privileges().map_err(at(Stage::Privileges))?;
    if let Some(rules) = rules {
        landlock::restrict(&rules).map_err(at(Stage::Landlock))?;
    }
    sys::chdir(own.cwd).map_err(at(Stage::Cwd))?;
    if let Some(first) = own.close_from {
        files::close_from(first).map_err(at(Stage::Stdio))?;
    }
    sys::set_signal_mask(0).map_err(at(Stage::Stdio))?;
    if !own.filter.is_empty() {
        sys::set_seccomp(own.filter).map_err(at(Stage::Seccomp))?;
    }
    Ok(())
}

/// The rules of Landlock's, not yet in force.
pub fn landlock_rules(confinement: &Confinement<'_>, stdio: &[&Fd]) -> sys::Result<Option<Fd>> {
    if confinement.handled == [0; 3] {
        return Ok(None);
    }
    let ruleset = landlock::ruleset(&confinement.handled)?;
    for (rights, flags, path) in wire::path_rules(confinement.path_rules) {
        let place = match flags & wire::RULE_IS_RESOLVED {
            0 => files::open_place_following(path),
            _ => files::open_place(At::Here, path),
        };
        match place {
            Ok(place) => landlock::allow_beneath(&ruleset, &place, rights)?,
            Err(ENOENT) if flags & wire::RULE_MAY_BE_MISSING != 0 => {}
            Err(errno) => return Err(errno),
        }
    }
    for (rights, port) in wire::port_rules(confinement.port_rules) {
        landlock::allow_port(&ruleset, port, rights)?;
    }
    // What was handed over may be opened again by /dev/stdout and the like, for no more than it was opened
    // for: the input of a judged program is not its to change. Pipes and sockets are not the kernel's
    // business here and answer EBADFD.
    for file in stdio {
        let rights = landlock::within(confinement.stdio_rights, files::open_for(file)?);
        let _ = landlock::allow_beneath(&ruleset, file, rights);
    }
    Ok(Some(ruleset))
}

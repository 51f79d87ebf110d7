//! Landlock's three system calls (Documentation/userspace-api/landlock.rst).
//!
//! The library's `landlock` crate decides on rights; rules must be added here, because they name
//! directories of a root that exists in init's mount namespace only.

use super::files::OpenFor;
use super::{Fd, Result, arch, fd, number};

const RULE_PATH_BENEATH: usize = 1;
const RULE_NET_PORT: usize = 2;

/// landlock_create_ruleset(2) for these handled rights: file system, network, scopes.
pub fn ruleset(handled: &[u64; 3]) -> Result<Fd> {
    // An older kernel takes a longer structure as long as what it does not know is zero.
    fd(arch::call(
        arch::number::LANDLOCK_CREATE_RULESET,
        [handled.as_ptr() as usize, 24, 0, 0, 0, 0],
    ))
}

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const TRUNCATE: u64 = 1 << 14;

/// Those of `rights` that a file opened for this gives anyway.
pub const fn within(rights: u64, open_for: OpenFor) -> u64 {
    match open_for {
        OpenFor::Reading => rights & !(WRITE_FILE | TRUNCATE),
        OpenFor::Writing => rights & !READ_FILE,
        OpenFor::Both => rights,
    }
}

/// Allows `rights` on what is beneath `place`.
pub fn allow_beneath(ruleset: &Fd, place: &Fd, rights: u64) -> Result<()> {
    #[repr(C, packed)]
    struct PathBeneath {
        rights: u64,
        parent: i32,
    }
    let rule = PathBeneath {
        rights,
        parent: place.number(),
    };
    let args = [
        number(ruleset.number()),
        RULE_PATH_BENEATH,
        (&raw const rule) as usize,
        0,
        0,
        0,
    ];
    arch::call(arch::number::LANDLOCK_ADD_RULE, args).map(drop)
}

/// Allows `rights` on a TCP port.
pub fn allow_port(ruleset: &Fd, port: u64, rights: u64) -> Result<()> {
    let rule = [rights, port];
    let args = [
        number(ruleset.number()),
        RULE_NET_PORT,
        rule.as_ptr() as usize,
        0,
        0,
        0,
    ];
    arch::call(arch::number::LANDLOCK_ADD_RULE, args).map(drop)
}

/// Puts this process into a domain of these rules.
pub fn restrict(ruleset: &Fd) -> Result<()> {
    arch::call(
        arch::number::LANDLOCK_RESTRICT_SELF,
        [number(ruleset.number()), 0, 0, 0, 0, 0],
    )
    .map(drop)
}

//! Which system calls a command may make.
//!
//! A profile is an allow-list; `allow` and `deny` adjust it by system call name (`"ptrace"`) or by group
//! (`"@debug"`). Names are checked where the filter is made, because the table of system calls lives there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The six built-in allow-lists, each containing the one before it.
///
/// No profile lets a command mount, change namespaces, load code into the kernel, use io_uring or keyrings,
/// set the clock, or open sockets that go around the network rules; not even [`SyscallProfile::Unrestricted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyscallProfile {
    /// One process without threads that reads, computes and writes to open files.
    Essential,
    /// And threads, child processes, pipes, timers and directory listings.
    Minimal,
    /// And everything that changes files, waits for many of them or copies between them.
    IoHeavy,
    /// And scheduling, memory placement, shared memory and restricting oneself further.
    Compute,
    /// And sockets: what compilers, interpreters, package managers and servers need. The default.
    #[default]
    Network,
    /// And debugging and the rest, except what no profile allows.
    Unrestricted,
}

impl SyscallProfile {
    /// Every profile, from the narrowest to the widest.
    pub const ALL: [Self; 6] = [
        Self::Essential,
        Self::Minimal,
        Self::IoHeavy,
        Self::Compute,
        Self::Network,
        Self::Unrestricted,
    ];

    /// The name used in policies and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Essential => "essential",
            Self::Minimal => "minimal",
            Self::IoHeavy => "io_heavy",
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Unrestricted => "unrestricted",
        }
    }
}

impl fmt::Display for SyscallProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is not a system call profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a syscall profile: use essential, minimal, io_heavy, compute, network or unrestricted")]
pub struct InvalidSyscallProfile(pub String);

impl FromStr for SyscallProfile {
    type Err = InvalidSyscallProfile;

    fn from_str(text: &str) -> Result<Self, InvalidSyscallProfile> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| InvalidSyscallProfile(text.to_owned()))
    }
}

/// The `syscalls` section of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyscallPolicy {
    /// The allow-list to start from.
    pub profile: SyscallProfile,
    /// Names or `@groups` allowed beyond the profile. What no profile allows cannot be allowed here either.
    pub allow: Vec<String>,
    /// Names or `@groups` refused although the profile allows them. Wins over `allow`.
    pub deny: Vec<String>,
    /// For programs that sandbox themselves (browsers, bubblewrap, rootless containers): allows namespaces,
    /// mounts and `chroot` inside. A weaker wall, and reported as one.
    pub nested: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_parses_from_the_name_it_prints() {
        for profile in SyscallProfile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
            assert_eq!(serde_json::to_value(profile).unwrap(), profile.name());
        }
    }

    #[test]
    fn an_unknown_profile_is_an_error_that_names_it() {
        let error = "networking".parse::<SyscallProfile>().unwrap_err();
        assert!(error.to_string().contains("\"networking\""), "{error}");
    }

    #[test]
    fn the_default_section_is_the_network_profile_without_extras() {
        let empty: SyscallPolicy = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, SyscallPolicy::default());
        assert_eq!(empty.profile, SyscallProfile::Network);
        assert!(!empty.nested);
    }

    #[test]
    fn a_misspelled_key_of_the_section_is_refused() {
        assert!(serde_json::from_str::<SyscallPolicy>(r#"{"alow": ["ptrace"]}"#).is_err());
    }
}

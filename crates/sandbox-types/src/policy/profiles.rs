//! The built-in profiles, as the documents a user could have written.

use super::{DocumentError, Policy};

/// A profile that comes with the program.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// What it is for, as one line.
    pub about: &'static str,
    /// Its text, in TOML.
    pub document: &'static str,
}

/// All built-in profiles.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "default",
        about: "any program: system and toolchains read-only, private home and /tmp, no network",
        document: include_str!("../../profiles/default.toml"),
    },
    BuiltIn {
        name: "agent",
        about: "an AI agent or an interactive shell: as default, with room for many processes",
        document: include_str!("../../profiles/agent.toml"),
    },
    BuiltIn {
        name: "build",
        about: "a compiler or a build: as default, with CPU and memory for it and no network at all",
        document: include_str!("../../profiles/build.toml"),
    },
    BuiltIn {
        name: "judge",
        about: "one untrusted program and one test: tight limits, few system calls, no toolchains",
        document: include_str!("../../profiles/judge.toml"),
    },
];

/// The built-in profile of that name.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|profile| profile.name == name)
}

impl BuiltIn {
    /// The profile as a policy.
    ///
    /// # Errors
    /// None that a release could have: a test reads every document. A caller must not go on without one.
    pub fn policy(&self) -> Result<Policy, DocumentError> {
        Policy::from_toml(self.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_readable_and_valid() {
        for profile in BUILT_IN {
            Policy::from_toml(profile.document).expect(profile.name);
        }
        assert_eq!(
            built_in("default").expect("built in").policy().expect("valid"),
            Policy::default()
        );
    }
}

//! Names of sandboxes, branches, volumes and filesystems: one rule, checked once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: start with a letter or digit, go on with those or . - _, at most 128 bytes")]
pub struct InvalidName(pub String);

/// Starts alphanumeric, then alphanumeric or `.`, `-`, `_`; at most 128 bytes: never a path, never a flag.
fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    first && rest && text.len() <= 128
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                if is_name(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidName(text))
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a sandbox: starts alphanumeric, then alphanumeric or `.`, `-`, `_`; at most 128 bytes.
    SandboxName
}

name! {
    /// The name of a branch: starts alphanumeric, then alphanumeric or `.`, `-`, `_`; at most 128 bytes.
    BranchName
}

name! {
    /// The name of a volume: starts alphanumeric, then alphanumeric or `.`, `-`, `_`; at most 128 bytes.
    VolumeName
}

name! {
    /// The name under which a filesystem is given to a sandbox: starts alphanumeric, then alphanumeric or `.`, `-`,
    /// `_`; at most 128 bytes.
    ServedName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_are_refused() {
        for good in ["a", "fix-42", "v1.2_x", &"a".repeat(128)] {
            assert!(good.parse::<SandboxName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-x",
            ".hidden",
            "a/b",
            "a b",
            "ä",
            "a\0",
            &"a".repeat(129),
        ] {
            assert!(bad.parse::<SandboxName>().is_err(), "{bad:?}");
        }
    }
}

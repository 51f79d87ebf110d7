//! Why a filter cannot be made.

use std::io;

/// Why a filter cannot be made. Nothing has been loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeccompError {
    /// The policy names a system call that does not exist.
    #[error("{name:?} is not a system call{}", did_you_mean(*nearest))]
    UnknownCall {
        /// What the policy says.
        name: String,
        /// The most similar name, when one is similar.
        nearest: Option<&'static str>,
    },
    /// The policy names a group that does not exist.
    #[error("{name:?} is not a group of system calls{}", did_you_mean(*nearest))]
    UnknownGroup {
        /// What the policy says.
        name: String,
        /// The most similar name, when one is similar.
        nearest: Option<&'static str>,
    },
    /// The policy allows what no option allows.
    #[error("{name} cannot be allowed: no option permits it inside a sandbox")]
    NeverAllowed {
        /// The system call or group.
        name: &'static str,
    },
    /// The policy allows what only `nested` allows.
    #[error("{name} cannot be allowed by name: it needs nested = true")]
    NeedsNested {
        /// The system call or group.
        name: &'static str,
    },
    /// The policy denies the call that starts the command.
    #[error("{entry} cannot be denied: the command itself is started by execve")]
    DeniesStart {
        /// The entry of the policy.
        entry: String,
    },
    /// There is no table for this machine's architecture.
    #[error("system call filters are made for x86_64 and aarch64 only")]
    UnsupportedArchitecture,
    /// libseccomp refused a rule or could not generate the program.
    #[error("libseccomp cannot make the filter")]
    Library(#[from] libseccomp::error::SeccompError),
    /// The generated program could not be read back.
    #[error("read the generated filter")]
    Export(#[source] io::Error),
    /// The program is longer than the kernel takes.
    #[error("the filter has {instructions} instructions, the kernel takes 4096")]
    TooLong {
        /// Its length.
        instructions: usize,
    },
}

impl SeccompError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NeedsNested { .. } => {
                Some("set nested = true in [syscalls]: a weaker wall, for programs that sandbox themselves")
            }
            Self::NeverAllowed { name: "clone3" } => {
                Some("clone3 answers ENOSYS, and libc then uses clone, which is allowed")
            }
            Self::DeniesStart { .. } => Some("deny execveat, fork or vfork instead, or limit processes to 1"),
            Self::TooLong { .. } => Some("start from a narrower profile, or shorten allow"),
            _ => None,
        }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

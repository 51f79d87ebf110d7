//! What a program needs to be forked: a shared object, and how C and Python call it.
//!
//! A template that is a program finds all of it inside its sandbox, and the variables that name it: nothing has to be
//! installed, neither here nor there.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::error::ForkError;
use super::order::SOCKET;
use crate::command::Command;
use crate::plan::{Plan, Step};

/// `libsandbox_fork.so`, for whatever C library the program has. Named by `SANDBOX_FORK_LIBRARY` inside.
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libsandbox_fork.so"));
/// `sandbox_fork.h`, which is all that a program in C has to include.
pub const HEADER: &str = include_str!("../../runtime/sandbox_fork.h");
/// `sandbox_fork.py`, which `PYTHONPATH` leads to inside.
pub const PYTHON: &str = include_str!("../../runtime/sandbox_fork.py");

/// Where they are inside.
pub(super) const DIRECTORY: &str = "/run/sandbox-fork";

/// The files of a user's own copy, by name: for compilers, and for editors that want to know what they read.
pub const FILES: [(&str, &[u8]); 3] = [
    ("libsandbox_fork.so", LIBRARY),
    ("sandbox_fork.h", HEADER.as_bytes()),
    ("sandbox_fork.py", PYTHON.as_bytes()),
];

/// Where each file is inside, and what is in it.
pub(super) fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let place = |(name, content): &(&str, &[u8])| (Path::new(DIRECTORY).join(name), content.to_vec());
    FILES.iter().map(place).collect()
}

/// The command with the variables by which the program finds them; `env` is what it has anyway.
pub(super) fn announce(command: Command, env: &[(OsString, OsString)]) -> Command {
    let name = OsStr::new("PYTHONPATH");
    let known = command
        .env
        .iter()
        .rev()
        .chain(env)
        .find(|(known, _)| known == name);
    let mut path = known.map(|(_, value)| value.clone()).unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push(DIRECTORY);
    command
        .env("SANDBOX_FORK_SOCKET", SOCKET.to_string())
        .env(
            "SANDBOX_FORK_LIBRARY",
            Path::new(DIRECTORY).join("libsandbox_fork.so"),
        )
        .env(name, path)
}

/// Whether they can be seen there: a granted tree of the host may lie over them.
pub(super) fn check(plan: &Plan) -> Result<(), ForkError> {
    let is_ours = |step: &Step| matches!(step, Step::File { path, .. } if path.starts_with(DIRECTORY));
    if plan.steps.iter().any(is_ours) {
        return Ok(());
    }
    Err(ForkError::RuntimeHidden {
        path: DIRECTORY.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_path_of_the_user_s_is_kept() {
        let path = |command: Command, env: &[(OsString, OsString)]| {
            let command = announce(command, env);
            command.env.last().map(|(_, value)| value.clone())
        };
        let policy = [("PYTHONPATH".into(), "/policy".into())];
        assert_eq!(path(Command::new("x"), &[]), Some("/run/sandbox-fork".into()));
        assert_eq!(
            path(Command::new("x"), &policy),
            Some("/policy:/run/sandbox-fork".into())
        );
        assert_eq!(
            path(Command::new("x").env("PYTHONPATH", "/own"), &policy),
            Some("/own:/run/sandbox-fork".into())
        );
    }
}

//! Where the user's agents listen, for `--allow-socket ssh-agent` and `gpg-agent`.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::lookup;

/// An agent that keeps keys and uses them on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentKind {
    /// `ssh-agent(1)`.
    Ssh,
    /// `gpg-agent(1)`.
    Gpg,
}

/// An agent's socket that cannot be handed to a sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentSocketError {
    /// The variable that names the socket is not set.
    #[error("{kind}: {variable} is not set")]
    NotSet {
        /// Which agent.
        kind: AgentKind,
        /// The variable.
        variable: &'static str,
    },
    /// The variable that names the socket is not an absolute path.
    #[error("{kind}: {} is not an absolute path", path.display())]
    Relative {
        /// Which agent.
        kind: AgentKind,
        /// What the variable says.
        path: PathBuf,
    },
    /// There is none in any of the usual places.
    #[error("{kind}: no socket at {}", tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NotFound {
        /// Which agent.
        kind: AgentKind,
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// Something else is there.
    #[error("{kind}: {} is not a socket", path.display())]
    NotASocket {
        /// Which agent.
        kind: AgentKind,
        /// The path.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("{kind}: look at {}", path.display())]
    Unreadable {
        /// Which agent.
        kind: AgentKind,
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl AgentSocketError {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self.kind() {
            AgentKind::Ssh => "start one with: eval \"$(ssh-agent)\" && ssh-add",
            AgentKind::Gpg => "start one with: gpgconf --launch gpg-agent",
        }
    }

    fn kind(&self) -> AgentKind {
        match self {
            Self::NotSet { kind, .. }
            | Self::Relative { kind, .. }
            | Self::NotFound { kind, .. }
            | Self::NotASocket { kind, .. }
            | Self::Unreadable { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for AgentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssh => "ssh-agent",
            Self::Gpg => "gpg-agent",
        })
    }
}

/// The socket of the user's agent, resolved: a path without links that is a socket now.
///
/// For gpg-agent the restricted socket (`S.gpg-agent.extra`) is preferred, which signs and decrypts and does
/// not give keys away; inside it belongs at `~/.gnupg/S.gpg-agent`. A `GNUPGHOME` is looked at itself, not its
/// hashed directory in `XDG_RUNTIME_DIR`. For ssh-agent `SSH_AUTH_SOCK` says where it is, inside as well.
pub fn agent_socket(kind: AgentKind, env: &[(OsString, OsString)]) -> Result<PathBuf, AgentSocketError> {
    match kind {
        AgentKind::Ssh => {
            let variable = "SSH_AUTH_SOCK";
            let value = lookup(env, variable).filter(|value| !value.is_empty());
            let path = value
                .map(PathBuf::from)
                .ok_or(AgentSocketError::NotSet { kind, variable })?;
            if !path.is_absolute() {
                return Err(AgentSocketError::Relative { kind, path });
            }
            first_socket(kind, vec![path])
        }
        AgentKind::Gpg => first_socket(kind, gpg_places(env)),
    }
}

fn gpg_places(env: &[(OsString, OsString)]) -> Vec<PathBuf> {
    let absolute = |name| {
        lookup(env, name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let dirs = match absolute("GNUPGHOME") {
        Some(home) => vec![home],
        None => [
            absolute("XDG_RUNTIME_DIR")
                .or_else(runtime_dir)
                .map(|dir| dir.join("gnupg")),
            absolute("HOME").map(|home| home.join(".gnupg")),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let names = ["S.gpg-agent.extra", "S.gpg-agent"];
    names
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
        .collect()
}

/// The runtime directory of this process's user.
fn runtime_dir() -> Option<PathBuf> {
    let uid = fs::metadata("/proc/self").ok()?.uid();
    Some(Path::new("/run/user").join(uid.to_string()))
}

fn first_socket(kind: AgentKind, tried: Vec<PathBuf>) -> Result<PathBuf, AgentSocketError> {
    for path in &tried {
        let unreadable = |source| AgentSocketError::Unreadable {
            kind,
            path: path.clone(),
            source,
        };
        match path.canonicalize() {
            Ok(real) => {
                let metadata = real.metadata().map_err(unreadable)?;
                return if metadata.file_type().is_socket() {
                    Ok(real)
                } else {
                    Err(AgentSocketError::NotASocket {
                        kind,
                        path: path.clone(),
                    })
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Err(AgentSocketError::NotFound { kind, tried })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn env(pairs: &[(&str, &Path)]) -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), value.as_os_str().to_owned()))
            .collect()
    }

    #[test]
    fn the_ssh_agent_is_where_its_variable_says() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let _listener = UnixListener::bind(root.join("agent")).unwrap();
        symlink("agent", root.join("link")).unwrap();
        let found = agent_socket(AgentKind::Ssh, &env(&[("SSH_AUTH_SOCK", &root.join("link"))]));
        assert_eq!(found.unwrap(), root.join("agent"));
    }

    #[test]
    fn what_is_no_socket_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let ask = |value: &Path| agent_socket(AgentKind::Ssh, &env(&[("SSH_AUTH_SOCK", value)])).unwrap_err();
        assert!(matches!(ask(dir.path()), AgentSocketError::NotASocket { .. }));
        assert!(matches!(
            ask(&dir.path().join("none")),
            AgentSocketError::NotFound { .. }
        ));
        assert!(matches!(
            ask(&dir.path().join("loop")),
            AgentSocketError::Unreadable { .. }
        ));
        assert!(matches!(
            ask(Path::new("agent")),
            AgentSocketError::Relative { .. }
        ));
        assert!(matches!(ask(Path::new("")), AgentSocketError::NotSet { .. }));
        assert!(ask(dir.path()).to_string().contains(dir.path().to_str().unwrap()));
        assert!(ask(dir.path()).hint().contains("ssh-agent"));
    }

    #[test]
    fn the_restricted_socket_of_gpg_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("gnupg")).unwrap();
        fs::create_dir_all(root.join(".gnupg")).unwrap();
        let _plain = UnixListener::bind(root.join("gnupg/S.gpg-agent")).unwrap();
        let env = env(&[("XDG_RUNTIME_DIR", &root), ("HOME", &root)]);
        assert_eq!(
            agent_socket(AgentKind::Gpg, &env).unwrap(),
            root.join("gnupg/S.gpg-agent")
        );
        let _extra = UnixListener::bind(root.join(".gnupg/S.gpg-agent.extra")).unwrap();
        assert_eq!(
            agent_socket(AgentKind::Gpg, &env).unwrap(),
            root.join(".gnupg/S.gpg-agent.extra")
        );
    }
}

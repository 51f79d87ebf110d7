//! What makes a policy invalid, independent of any host.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::{Identity, Policy};
use crate::{MountSource, Overlay, Span};

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// A limit of zero lets nothing start.
    #[error("{field}: 0 lets nothing run; leave it out for no limit")]
    ZeroLimit {
        /// Section and key.
        field: &'static str,
    },
    /// A limit with which not even an empty program starts.
    #[error("{field}: with {value} nothing starts; the least is {least}")]
    TooSmall {
        /// Section and key.
        field: &'static str,
        /// The value, as a user would write it.
        value: String,
        /// The least that is accepted.
        least: &'static str,
    },
    /// A limit beyond what the kernel can hold.
    #[error("{field}: {value} is more than the kernel can count; the largest is {largest}")]
    TooLarge {
        /// Section and key.
        field: &'static str,
        /// The value, as a user would write it.
        value: String,
        /// The largest that is accepted.
        largest: &'static str,
    },
    /// A path that is empty, relative, or has a NUL byte or `..` in it.
    #[error("{field}: {path:?} must be absolute, or start with ~/ or ./, without .. and NUL", path = path.display())]
    Path {
        /// Section and key.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A grant that a denial makes void.
    #[error("filesystem: {}; remove one of the two", contradiction(.granted, .denied))]
    GrantUnderDenial {
        /// What was granted.
        granted: PathBuf,
        /// What was denied.
        denied: PathBuf,
    },
    /// Port 0 is no port.
    #[error("{field}: 0 is not a port; write 1 to 65535")]
    Port {
        /// Section and key.
        field: &'static str,
    },
    /// A variable name that no environment can hold.
    #[error("{field}: {name:?} is not a variable name: it must not be empty or contain = or NUL")]
    Variable {
        /// Section and key.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// A host name that sethostname(2) or programs refuse.
    #[error("process.hostname: {name:?} must be 1 to 64 letters, digits, dots or hyphens")]
    Hostname {
        /// The name.
        name: String,
    },
    /// Bits beyond the permission bits.
    #[error("process.umask: {umask:o} has bits beyond 777")]
    Umask {
        /// The mask.
        umask: u32,
    },
    /// setresuid(2) takes the largest number for "leave it as it is".
    #[error("process.identity: {uid} is nobody's number; the largest is {}", u32::MAX - 1)]
    User {
        /// The number.
        uid: u32,
    },
    /// Out of range.
    #[error("process.nice: {nice} is not between -20 and 19")]
    Nice {
        /// The value.
        nice: i8,
    },
}

/// All problems of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    problems: Vec<PolicyProblem>,
}

impl PolicyError {
    /// Every problem, in the order of the sections.
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}

fn check_overlay(overlay: &Overlay, problems: &mut Vec<PolicyProblem>) {
    if overlay.lowers.is_empty() {
        problems.push(bad_path("filesystem.mounts.source.overlay.lowers", Path::new("")));
    }
    let paths = overlay.lowers.iter().chain([&overlay.upper, &overlay.work]);
    problems.extend(
        paths
            .chain(&overlay.lock)
            .filter(|path| !is_anchored(path))
            .map(|path| bad_path("filesystem.mounts.source.overlay", path)),
    );
}

impl Policy {
    /// Checks everything that can be checked without a host.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(&self) -> Result<(), PolicyError> {
        let mut problems = Vec::new();
        self.check_filesystem(&mut problems);
        self.check_network(&mut problems);
        self.check_limits(&mut problems);
        self.check_process(&mut problems);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(PolicyError { problems })
        }
    }

    fn check_filesystem(&self, problems: &mut Vec<PolicyProblem>) {
        let fs = &self.filesystem;
        for (field, paths) in [
            ("filesystem.read", &fs.read),
            ("filesystem.write", &fs.write),
            ("filesystem.deny", &fs.deny),
        ] {
            problems.extend(
                paths
                    .iter()
                    .filter(|p| !is_anchored(p))
                    .map(|p| bad_path(field, p)),
            );
        }
        for mount in &fs.mounts {
            if !mount.at.is_absolute() || !is_anchored(&mount.at) || mount.at == Path::new("/") {
                problems.push(bad_path("filesystem.mounts.at", &mount.at));
            }
            match &mount.source {
                MountSource::Bind(source) if !is_anchored(source) => {
                    problems.push(bad_path("filesystem.mounts.source", source));
                }
                MountSource::Tmpfs { size } if size.bytes() == 0 => {
                    problems.push(PolicyProblem::ZeroLimit {
                        field: "filesystem.mounts.source.tmpfs.size",
                    });
                }
                MountSource::Overlay(overlay) => check_overlay(overlay, problems),
                _ => {}
            }
        }
        for granted in fs.read.iter().chain(&fs.write) {
            if let Some(denied) = fs.deny.iter().find(|denied| granted.starts_with(denied)) {
                problems.push(PolicyProblem::GrantUnderDenial {
                    granted: granted.clone(),
                    denied: denied.clone(),
                });
            }
        }
        if fs.scratch.bytes() == 0 {
            problems.push(PolicyProblem::ZeroLimit {
                field: "filesystem.scratch",
            });
        }
    }

    fn check_network(&self, problems: &mut Vec<PolicyProblem>) {
        for (field, ports) in [
            ("network.bind_ports", &self.network.bind_ports),
            ("network.connect_ports", &self.network.connect_ports),
        ] {
            if ports.contains(&0) {
                problems.push(PolicyProblem::Port { field });
            }
        }
    }

    fn check_limits(&self, problems: &mut Vec<PolicyProblem>) {
        /// setrlimit(2) and the cgroup files take signed 64-bit values.
        const LARGEST: u64 = i64::MAX.unsigned_abs();
        let limits = &self.limits;
        let sizes = [
            ("limits.memory", limits.memory),
            ("limits.output", limits.output),
            ("limits.file_size", limits.file_size),
        ];
        for (field, size) in sizes {
            match size {
                Some(size) if size.bytes() == 0 && field != "limits.output" => {
                    problems.push(PolicyProblem::ZeroLimit { field });
                }
                Some(size) if size.bytes() > LARGEST => {
                    problems.push(PolicyProblem::TooLarge {
                        field,
                        value: size.to_string(),
                        largest: "8EiB - 1",
                    });
                }
                _ => {}
            }
        }
        if let Some(memory) = limits
            .memory
            .filter(|memory| (1..1 << 20).contains(&memory.bytes()))
        {
            problems.push(PolicyProblem::TooSmall {
                field: "limits.memory",
                value: memory.to_string(),
                least: "1MiB",
            });
        }
        for (field, span) in [
            ("limits.wall_time", limits.wall_time),
            ("limits.cpu_time", limits.cpu_time),
        ] {
            if span.is_some_and(Span::is_zero) {
                problems.push(PolicyProblem::ZeroLimit { field });
            }
        }
        for (field, count) in [
            ("limits.processes", limits.processes),
            ("limits.open_files", limits.open_files),
        ] {
            if count == Some(0) {
                problems.push(PolicyProblem::ZeroLimit { field });
            }
        }
    }

    fn check_process(&self, problems: &mut Vec<PolicyProblem>) {
        let process = &self.process;
        let names = process.env.keys().map(|name| ("process.env", name));
        let passed = process.pass_env.iter().map(|name| ("process.pass_env", name));
        for (field, name) in names.chain(passed) {
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.push(PolicyProblem::Variable {
                    field,
                    name: name.clone(),
                });
            }
        }
        if let Some((name, _)) = process.env.iter().find(|(_, value)| value.contains('\0')) {
            problems.push(PolicyProblem::Variable {
                field: "process.env",
                name: name.clone(),
            });
        }
        if let Some(cwd) = process.cwd.as_ref().filter(|cwd| !is_anchored(cwd)) {
            problems.push(bad_path("process.cwd", cwd));
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        if process.hostname.is_empty() || process.hostname.len() > 64 || !process.hostname.bytes().all(good) {
            problems.push(PolicyProblem::Hostname {
                name: process.hostname.clone(),
            });
        }
        if let Identity::User(uid @ u32::MAX) = process.identity {
            problems.push(PolicyProblem::User { uid });
        }
        if process.umask > 0o777 {
            problems.push(PolicyProblem::Umask { umask: process.umask });
        }
        if let Some(nice) = process.nice.filter(|nice| !(-20..=19).contains(nice)) {
            problems.push(PolicyProblem::Nice { nice });
        }
    }
}

fn contradiction(granted: &Path, denied: &Path) -> String {
    let is_same = granted == denied;
    let (granted, denied) = (granted.display(), denied.display());
    if is_same {
        return format!("{granted:?} is both granted and denied");
    }
    format!("{granted:?} is granted but lies beneath the denied {denied:?}")
}

fn bad_path(field: &'static str, path: &Path) -> PolicyProblem {
    PolicyProblem::Path {
        field,
        path: path.to_owned(),
    }
}

/// Absolute, or relative to the caller's home or directory; never upwards.
fn is_anchored(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let anchored = matches!(
        path.components().next(),
        Some(Component::RootDir | Component::CurDir)
    ) || path.starts_with("~");
    anchored
        && !path.components().any(|c| c == Component::ParentDir)
        && !path.as_os_str().as_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SizeExt;
    use std::time::Duration;

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = Policy::builder()
            .read("relative/../x")
            .write("/home/me/.ssh/x")
            .deny("/home/me/.ssh")
            .memory(0.bytes())
            .wall_time(Duration::ZERO)
            .bind_port(0)
            .env("A=B", "")
            .hostname("a b")
            .umask(0o7777)
            .nice(20)
            .build()
            .expect_err("nine problems");
        assert_eq!(error.problems().len(), 9, "{error}");
        assert!(error.to_string().contains("limits.memory: 0"), "{error}");
    }

    #[test]
    fn the_number_that_means_unchanged_to_the_kernel_is_no_user() {
        let policy = |uid| Policy::builder().identity(Identity::User(uid)).build();
        let error = policy(u32::MAX).expect_err("no user");
        assert_eq!(error.problems(), [PolicyProblem::User { uid: u32::MAX }]);
        assert!(error.to_string().contains("4294967295"), "{error}");
        assert!(policy(u32::MAX - 1).is_ok());
    }

    #[test]
    fn a_path_that_is_granted_and_denied_is_called_so() {
        let error = Policy::builder().read("/data").deny("/data").build();
        let text = error.expect_err("a contradiction").to_string();
        assert!(text.contains("\"/data\" is both granted and denied"), "{text}");
    }

    #[test]
    fn a_denial_beneath_a_grant_is_no_contradiction() {
        assert!(
            Policy::builder()
                .read("/home/me")
                .deny("/home/me/.ssh")
                .build()
                .is_ok()
        );
    }

    #[test]
    fn the_default_policy_is_valid() {
        assert_eq!(Policy::builder().build(), Ok(Policy::default()));
    }
}

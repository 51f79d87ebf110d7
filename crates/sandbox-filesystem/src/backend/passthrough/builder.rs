//! Options in, a filesystem or every problem out.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Mode, OFlags};
use sandbox_types::{CachePolicy, HostPermissions, StatVirtualization};

use super::config::{Access, Config};
use super::error::{PassthroughError, PassthroughProblem};
use super::identity::IdentityMap;
use super::owner::{Dialect, Dialects};
use super::{PassthroughFs, host, owner};
use crate::backend::quota::{Quota, QuotaKeeper};

/// Builds a [`PassthroughFs`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PassthroughBuilder {
    root: Option<PathBuf>,
    single_file: bool,
    stat: StatVirtualization,
    permissions: HostPermissions,
    identity: IdentityMap,
    quota: Option<Quota>,
    read_only: bool,
    cache: CachePolicy,
    writeback: bool,
    entry_timeout: Option<Duration>,
    attr_timeout: Option<Duration>,
}

impl PassthroughBuilder {
    /// The directory that is served. Required; links in the path are followed. It must exist.
    pub fn root_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.root = Some(path.into());
        self
    }

    /// `root_dir` names a regular file: the root that is served holds it under its name, and nothing else. No entry can be
    /// made, removed or renamed there. A file that takes its name on the host is served in its place.
    pub fn single_file(mut self) -> Self {
        self.single_file = true;
        self
    }

    /// Where owner, group, mode, device and type are kept. By default `Strict`, which fails on a filesystem without user
    /// extended attributes; nothing is written to find out.
    pub fn stat_virtualization(mut self, stat: StatVirtualization) -> Self {
        self.stat = stat;
        self
    }

    /// Which permission bits files have on the host. By default `Private`. Means nothing with `StatVirtualization::Off`.
    pub fn host_permissions(mut self, permissions: HostPermissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Which of the host's ids are which served ones. By default the same. Ranges that overlap are an error.
    pub fn identity_map(mut self, map: IdentityMap) -> Self {
        self.identity = map;
        self
    }

    /// How much the tree may hold. By default as much as the host has room for. Fails where the quota is zero, where another
    /// server holds the root, and where its state cannot be kept.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Every change is `EROFS`.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// What the client may remember. By default `Auto`.
    pub fn cache_policy(mut self, policy: CachePolicy) -> Self {
        self.cache = policy;
        self
    }

    /// The client collects writes. By default it does not. Needs that nobody else writes, and a cache.
    pub fn writeback(mut self, on: bool) -> Self {
        self.writeback = on;
        self
    }

    /// How long a name may be believed. By default 0 with `CachePolicy::Never`, 1 s with `Auto`, a day with `Always`.
    pub fn entry_timeout(mut self, timeout: Duration) -> Self {
        self.entry_timeout = Some(timeout);
        self
    }

    /// How long attributes may be believed. The same defaults.
    pub fn attr_timeout(mut self, timeout: Duration) -> Self {
        self.attr_timeout = Some(timeout);
        self
    }

    /// Opens the root and checks everything.
    ///
    /// # Errors
    /// All problems at once, see [`PassthroughProblem`].
    pub fn build(self) -> Result<PassthroughFs, PassthroughError> {
        let mut problems = self.contradictions();
        let root = self.open_root(&mut problems);
        let root = match root {
            Some(root) if problems.is_empty() => root,
            _ => return Err(PassthroughError::new(problems)),
        };
        let quota = match self
            .quota
            .as_ref()
            .map(|quota| QuotaKeeper::open(quota, &root.directory))
        {
            Some(Err(error)) => return Err(PassthroughError::new(vec![PassthroughProblem::Quota(error)])),
            Some(Ok(quota)) => Some(quota),
            None => None,
        };
        PassthroughFs::new(self.config(&root), root.path, root.directory, quota).map_err(|source| {
            PassthroughError::new(vec![PassthroughProblem::Root {
                path: root.name,
                source,
            }])
        })
    }

    fn config(&self, root: &Root) -> Config {
        let default = match self.cache {
            CachePolicy::Never => Duration::ZERO,
            CachePolicy::Auto => Duration::from_secs(1),
            CachePolicy::Always => Duration::from_hours(24),
        };
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Config {
            stat: self.stat,
            permissions: self.permissions,
            owners: Dialects::one(Dialect::of(root.directory.as_fd())),
            identity: self.identity.clone(),
            access: if self.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            cache: self.cache,
            writeback: self.writeback,
            entry_timeout: self.entry_timeout.unwrap_or(default),
            attr_timeout: self.attr_timeout.unwrap_or(default),
            only: root.only.clone(),
            layered: false,
            privileged: rustix::process::geteuid().is_root(),
            generation: u64::from(now.subsec_nanos()) | ((now.as_secs() & 0xffff_ffff) << 30),
        }
    }

    fn contradictions(&self) -> Vec<PassthroughProblem> {
        let mut problems = Vec::new();
        if self.writeback && self.cache == CachePolicy::Never {
            problems.push(PassthroughProblem::WritebackWithoutCache);
        }
        if self.writeback && self.read_only {
            problems.push(PassthroughProblem::WritebackReadOnly);
        }
        if self.single_file && self.quota.is_some() {
            problems.push(PassthroughProblem::QuotaOnFile);
        }
        problems.extend(self.identity.conflict().map(PassthroughProblem::Identity));
        problems.extend(
            self.quota
                .as_ref()
                .and_then(Quota::problem)
                .map(PassthroughProblem::Quota),
        );
        if let Err(error) = rustix::fs::access("/proc/self/fd", rustix::fs::Access::EXEC_OK) {
            problems.push(PassthroughProblem::NoProc(error.into()));
        }
        problems
    }

    fn open_root(&self, problems: &mut Vec<PassthroughProblem>) -> Option<Root> {
        let Some(name) = self.root.clone() else {
            problems.push(PassthroughProblem::NoRoot);
            return None;
        };
        match self.try_root(name) {
            Ok(root) => {
                self.check_xattrs(&root, problems);
                Some(root)
            }
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    }

    fn try_root(&self, name: PathBuf) -> Result<Root, PassthroughProblem> {
        let failed = |source: rustix::io::Errno| PassthroughProblem::Root {
            path: name.clone(),
            source: source.into(),
        };
        let kind = FileType::from_raw_mode(rustix::fs::stat(&name).map_err(failed)?.st_mode);
        let (directory, only) = if self.single_file {
            if kind != FileType::RegularFile {
                return Err(PassthroughProblem::NotAFile { path: name });
            }
            split(&name).map_err(|source| PassthroughProblem::Root {
                path: name.clone(),
                source,
            })?
        } else if kind == FileType::Directory {
            (name.clone(), None)
        } else {
            return Err(PassthroughProblem::NotADirectory { path: name });
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = rustix::fs::open(&directory, flags, Mode::empty()).map_err(failed)?;
        let directory = host::reopen_dir(path.as_fd()).map_err(failed)?;
        Ok(Root {
            name,
            path: Arc::new(path),
            directory,
            only,
        })
    }

    /// Asking for an attribute that is not there tells it from a filesystem that has none, and writes nothing.
    fn check_xattrs(&self, root: &Root, problems: &mut Vec<PassthroughProblem>) {
        if self.stat == StatVirtualization::Off {
            return;
        }
        if !owner::supported(root.directory.as_fd()) {
            if self.stat == StatVirtualization::Strict {
                problems.push(PassthroughProblem::NoXattrs {
                    path: root.name.clone(),
                });
            } else {
                tracing::warn!(root = %root.name.display(), "no user extended attributes: the host's owners and modes are shown");
            }
        }
    }
}

/// A root that could be opened.
struct Root {
    name: PathBuf,
    path: Arc<OwnedFd>,
    directory: OwnedFd,
    only: Option<OsString>,
}

fn split(file: &Path) -> std::io::Result<(PathBuf, Option<OsString>)> {
    let file = file.canonicalize()?;
    let parent = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    Ok((parent, file.file_name().map(OsStr::to_os_string)))
}

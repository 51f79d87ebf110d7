//! Options in, a filesystem or every problem out.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sandbox_types::{CachePolicy, HostPermissions, StatVirtualization};

use super::check::{self, Opened};
use super::error::{OverlayError, OverlayProblem};
use super::held::Held;
use super::hidden::Hidden;
use super::number::{MOST_LAYERS, Numbers};
use super::probe::AttributeWhiteouts;
use super::{OverlayFs, Upper, probe};
use crate::backend::passthrough::config::{Access, Config};
use crate::backend::passthrough::inode::{Identity, Layer, Part, Parts};
use crate::backend::passthrough::owner::{Dialect, Dialects};
use crate::backend::passthrough::{IdentityMap, PassthroughFs, host};
use crate::backend::union::Once;
use crate::fs::Errno;

/// How a layer says what it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerFormat {
    /// As overlayfs does, and as layers of OCI images do (`.wh.` names), whichever is there. Names that begin with `.wh.` are
    /// not shown.
    #[default]
    Detect,
    /// As overlayfs does. Names that begin with `.wh.` are names.
    Overlay,
}

/// What survives the end of the machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A file that is copied up is on the disk before it takes the place of the one beneath, so that no content is lost that
    /// nobody has changed. As the kernel's overlayfs.
    #[default]
    Each,
    /// Nothing is synced unless a client asks: after a power failure the writable directory can be incomplete. As the
    /// kernel's `volatile`.
    Volatile,
}

/// Builds an [`OverlayFs`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct OverlayBuilder {
    layers: Vec<(PathBuf, LayerFormat)>,
    left_out: Vec<PathBuf>,
    without_mounts: bool,
    upper: Option<PathBuf>,
    staging: Option<PathBuf>,
    read_only: bool,
    strict: bool,
    durability: Durability,
    without_fsync: bool,
    any_name: bool,
    whiteouts: AttributeWhiteouts,
    stat: Option<StatVirtualization>,
    permissions: HostPermissions,
    identity: IdentityMap,
    cache: Option<CachePolicy>,
    writeback: bool,
    entry_timeout: Option<Duration>,
    attr_timeout: Option<Duration>,
}

impl OverlayBuilder {
    /// A read-only layer, on top of those that were given before. At least one is required; it must be a directory, none of
    /// the others, and in none of them.
    pub fn layer(self, path: impl Into<PathBuf>) -> Self {
        self.layer_in(path, LayerFormat::Detect)
    }

    /// As [`layer`](Self::layer), for a layer of which it is known how it says what it hides.
    pub fn layer_in(mut self, path: impl Into<PathBuf>, format: LayerFormat) -> Self {
        self.layers.push((path.into(), format));
        self
    }

    /// Several layers, the bottom one first.
    pub fn layers<P: Into<PathBuf>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        paths.into_iter().fold(self, Self::layer)
    }

    /// What a layer has at this path of the host is not there. The other directories may be in it.
    pub fn leave_out(mut self, path: impl Into<PathBuf>) -> Self {
        self.left_out.push(path.into());
        self
    }

    /// What is mounted inside a layer is not there either. What is mounted there later is listed by name, and not found.
    pub fn without_mounts(mut self) -> Self {
        self.without_mounts = true;
        self
    }

    /// The directory that everything is written to. Needs [`staging`](Self::staging). Fails where somebody else uses it.
    pub fn writable(mut self, upper: impl Into<PathBuf>) -> Self {
        self.upper = Some(upper.into());
        self
    }

    /// Where things are until they are finished: a directory on the same filesystem as the writable one, for nothing else,
    /// and kept as long as that (what it has in `sandbox/index` belongs to it).
    pub fn staging(mut self, work: impl Into<PathBuf>) -> Self {
        self.staging = Some(work.into());
        self
    }

    /// Every change is `EROFS`. By default a writable directory is required.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// An attribute that cannot be copied up (labels of security modules, `trusted.*`) is an error of whoever wanted to write.
    /// By default it is left out. What belongs to the file itself is always copied or an error.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// What is synced. By default each file that is copied up.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Nothing is synced even when a client asks, which it is told: whoever builds it syncs the writable directory at the
    /// end. Means more together with [`Durability::Volatile`].
    pub fn without_fsync(mut self) -> Self {
        self.without_fsync = true;
        self
    }

    /// Names that begin with `.wh.` can be made. By default they are refused, because the writable directory could not become
    /// a layer of an OCI image then.
    pub fn any_name(mut self) -> Self {
        self.any_name = true;
        self
    }

    /// Where the filesystem of the writable directory has no devices 0/0 or leaves none when something is renamed (overlayfs,
    /// some of FUSE), other ways are taken: empty files with `user.overlay.whiteout`, and a crash in the middle of a rename
    /// can leave what was replaced under the old name. By default such a filesystem is refused: the kernel reads such
    /// whiteouts in lower layers only.
    pub fn attribute_whiteouts(mut self) -> Self {
        self.whiteouts = AttributeWhiteouts::WhereNeeded;
        self
    }

    /// Where owner, group, mode, device and type are kept, in all layers. By default `Off`: they are the host's own.
    pub fn stat_virtualization(mut self, stat: StatVirtualization) -> Self {
        self.stat = Some(stat);
        self
    }

    /// Which permission bits new files have on the host. By default `Private`. Means nothing with `StatVirtualization::Off`.
    pub fn host_permissions(mut self, permissions: HostPermissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Which of the host's ids are which served ones. By default the same.
    pub fn identity_map(mut self, map: IdentityMap) -> Self {
        self.identity = map;
        self
    }

    /// What the client may remember. By default `Always`: nobody else may change the layers.
    pub fn cache_policy(mut self, policy: CachePolicy) -> Self {
        self.cache = Some(policy);
        self
    }

    /// The client collects writes. By default it does not. Needs a writable directory and a cache.
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

    /// Opens everything and checks it; nothing beneath the layers' roots is looked at.
    ///
    /// # Errors
    /// All problems at once, see [`OverlayProblem`].
    pub fn build(self) -> Result<OverlayFs, OverlayError> {
        let mut problems = self.contradictions();
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|(path, _)| check::open(path))
            .filter_map(|opened| kept(opened, &mut problems))
            .collect();
        let upper = self.upper.as_deref().map(check::open);
        let upper = upper.and_then(|opened| kept(opened, &mut problems));
        let staging = self.staging.as_deref().map(check::open);
        let staging = staging.and_then(|opened| kept(opened, &mut problems));
        let all = layers.iter().chain(&upper).chain(&staging);
        problems.extend(check::apart(all, &self.left_out));
        let writable = upper.zip(staging);
        if let Some((upper, staging)) = &writable
            && !check::on_one_mount(upper, staging)
        {
            problems.push(OverlayProblem::AnotherFilesystem {
                staging: staging.path.clone(),
                upper: upper.path.clone(),
            });
        }
        if problems.is_empty() {
            self.assemble(layers, writable)
        } else {
            Err(OverlayError::new(problems))
        }
    }

    fn contradictions(&self) -> Vec<OverlayProblem> {
        let mut problems = Vec::new();
        if self.layers.is_empty() {
            problems.push(OverlayProblem::NoLayer);
        }
        if self.layers.len() > MOST_LAYERS {
            problems.push(OverlayProblem::TooManyLayers {
                count: self.layers.len(),
                most: MOST_LAYERS,
            });
        }
        match (&self.upper, &self.staging, self.read_only) {
            (Some(upper), _, true) => problems.push(OverlayProblem::UpperReadOnly { upper: upper.clone() }),
            (Some(upper), None, false) => problems.push(OverlayProblem::NoStaging { upper: upper.clone() }),
            (None, Some(staging), _) => problems.push(OverlayProblem::StagingAlone {
                staging: staging.clone(),
            }),
            (None, None, false) => problems.push(OverlayProblem::NoUpper),
            _ => {}
        }
        let without = self.read_only || self.cache == Some(CachePolicy::Never);
        if self.writeback && without {
            problems.push(OverlayProblem::Writeback);
        }
        if let Some(range) = self.identity.conflict() {
            problems.push(OverlayProblem::Identity(range));
        }
        if let Err(error) = rustix::fs::access("/proc/self/fd", rustix::fs::Access::EXEC_OK) {
            problems.push(OverlayProblem::NoProc(error.into()));
        }
        problems
    }

    fn assemble(
        &self,
        layers: Vec<Opened>,
        writable: Option<(Opened, Opened)>,
    ) -> Result<OverlayFs, OverlayError> {
        let upper = writable.iter().map(|(upper, _)| upper);
        let top_down = upper.chain(layers.iter().rev());
        let absolute = |opened: &Opened| opened.path.canonicalize().unwrap_or_else(|_| opened.path.clone());
        let shown = top_down.map(absolute).collect();
        let hidden = Hidden::beneath(&layers, &self.left_out, self.without_mounts);
        let devices: Vec<u64> = layers.iter().map(|layer| layer.id.0).collect();
        let numbers = Numbers::new(writable.as_ref().map(|(upper, _)| upper.id.0), &devices);
        let upper = match &writable {
            Some((upper, staging)) => Some(self.make_ready(upper, staging)?),
            None => None,
        };
        let host = self.host(layers, writable.map(|(upper, _)| upper), &numbers)?;
        let formats = self.layers.iter().map(|(_, format)| *format);
        Ok(OverlayFs {
            host,
            numbers,
            formats: std::iter::once(LayerFormat::Overlay).chain(formats).collect(),
            upper,
            hidden,
            without_fsync: self.without_fsync,
            any_name: self.any_name,
            shown,
            copying: Once::default(),
            renames: Mutex::default(),
        })
    }

    /// Locks both directories and tries out what is needed.
    fn make_ready(&self, upper: &Opened, work: &Opened) -> Result<Upper, OverlayProblem> {
        let locks = [Held::of(upper)?, Held::of(work)?];
        if probe::is_volatile(work.fd.as_fd()) {
            return Err(OverlayProblem::Volatile {
                staging: work.path.clone(),
            });
        }
        let (staging, index) = probe::ready(work.fd.as_fd(), &work.path)?;
        let means = probe::probe(&staging, &upper.path, self.whiteouts)?;
        Ok(Upper {
            staging: staging.with_means(means),
            index,
            durability: self.durability,
            strict: self.strict,
            _locks: locks,
        })
    }

    /// The root, with a part in each layer.
    fn host(
        &self,
        layers: Vec<Opened>,
        upper: Option<Opened>,
        numbers: &Numbers,
    ) -> Result<PassthroughFs, OverlayProblem> {
        // The topmost first; the layers are numbered from the bottom.
        let numbered = (1..).zip(layers);
        let mut stack: Vec<(Layer, Opened)> = numbered.collect();
        let owners = owners_of(upper.as_ref(), &stack);
        stack.reverse();
        stack.splice(0..0, upper.map(|upper| (0, upper)));
        let mut stack = stack.into_iter();
        let (top_layer, top) = stack.next().ok_or(OverlayProblem::NoLayer)?;
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source: std::io::Error| OverlayProblem::Open { path, source }
        };
        let listed = host::reopen_dir(top.fd.as_fd()).map_err(|error| failed(&top.path)(error.into()))?;
        let mut first = (top_layer != 0).then(|| stat_of(&top.fd)).transpose();
        let mut below = Vec::new();
        for (layer, opened) in stack {
            let stat = stat_of(&opened.fd).map_err(|error| failed(&opened.path)(error.into()))?;
            if matches!(first, Ok(None)) {
                first = Ok(Some(stat));
            }
            let part = Part::new(Identity::of(&stat).in_layer(layer), None);
            *part.path() = Some(Arc::new(opened.fd));
            below.push((layer, Arc::new(part)));
        }
        let shown_layer = if top_layer == 0 {
            below.first().map_or(0, |(layer, _)| *layer)
        } else {
            top_layer
        };
        let shown = first.map_err(|error| failed(&top.path)(error.into()))?;
        let path = Arc::new(top.fd);
        let host = PassthroughFs::new(self.config(owners), path, listed, None).map_err(failed(&top.path))?;
        let root = host.table.root();
        host.table.exchange(root, root.identity().in_layer(top_layer));
        let below = below.into_iter().map(|(_, part)| part).collect();
        root.parts.get_or_init(|| Box::new(Parts::new(below)));
        if let Some(stat) = shown {
            root.show_as(numbers.shown(shown_layer, stat.stx_ino));
        }
        Ok(host)
    }

    fn config(&self, owners: Dialects) -> Config {
        let cache = self.cache.unwrap_or(CachePolicy::Always);
        let default = match cache {
            CachePolicy::Never => Duration::ZERO,
            CachePolicy::Auto => Duration::from_secs(1),
            CachePolicy::Always => Duration::from_hours(24),
        };
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Config {
            stat: self.stat.unwrap_or(StatVirtualization::Off),
            permissions: self.permissions,
            owners,
            identity: self.identity.clone(),
            access: if self.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            cache,
            writeback: self.writeback,
            entry_timeout: self.entry_timeout.unwrap_or(default),
            attr_timeout: self.attr_timeout.unwrap_or(default),
            only: None,
            layered: true,
            privileged: rustix::process::geteuid().is_root(),
            generation: u64::from(now.subsec_nanos()) | ((now.as_secs() & 0xffff_ffff) << 30),
        }
    }
}

fn kept(opened: Result<Opened, OverlayProblem>, problems: &mut Vec<OverlayProblem>) -> Option<Opened> {
    opened.map_err(|problem| problems.push(problem)).ok()
}

/// Where owners are kept in what is written, and in all that is read.
fn owners_of(upper: Option<&Opened>, layers: &[(Layer, Opened)]) -> Dialects {
    let of = |opened: &Opened| Dialect::of(opened.fd.as_fd());
    let upper = upper.map(of);
    Dialects::several(
        upper,
        upper.into_iter().chain(layers.iter().map(|(_, layer)| of(layer))),
    )
}

fn stat_of(fd: &OwnedFd) -> Result<rustix::fs::Statx, Errno> {
    Ok(host::stat(fd.as_fd())?)
}

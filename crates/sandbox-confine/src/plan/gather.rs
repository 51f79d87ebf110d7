//! Looking at the host for one policy: the only part of planning that reads files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::policy::{Identity, NetworkMode};
use sandbox_types::{Access, Mount, MountSource, Note, Overlay, Policy, ServedName};

use super::{denied, pins};
use crate::error::PrepareError;
use crate::host::Host;
use crate::served::Filesystems;
use crate::view::{
    Account, AgentKind, EtcEntry, EtcView, HiddenPlaces, Masked, MaskedKind, SystemEntry, SystemView,
    Toolchains, agent_socket, among_credentials, host_resolv_conf,
};

/// What a plan has to know of the host besides its mechanisms.
#[derive(Debug, Clone)]
pub struct View {
    /// /usr and its companions.
    pub system: Vec<SystemEntry>,
    /// The part of /etc that programs need.
    pub etc: EtcView,
    /// What PATH needs beneath the home.
    pub toolchains: Toolchains,
    /// Who the command is.
    pub account: Account,
    /// Where the private home is.
    pub home: PathBuf,
    /// Granted paths, without links.
    pub grants: Vec<ResolvedGrant>,
    /// Links by which the policy names them: where, and to what.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// What filesystems that are served are locked by.
    pub locks: BTreeMap<ServedName, PathBuf>,
    /// What is covered beneath them.
    pub masks: Vec<Masked>,
    /// Sockets let through: where they are, and where they appear.
    pub sockets: Vec<(PathBuf, PathBuf)>,
    /// Variables that go with the sockets.
    pub socket_env: Vec<(OsString, OsString)>,
    /// The host's resolver configuration, where the network is the host's.
    pub resolv_conf: Option<Vec<u8>>,
    /// Where commands start, if the policy says so.
    pub cwd: Option<PathBuf>,
    /// What the caller should know.
    pub notes: Vec<Note>,
    /// The caller's environment.
    pub env: Vec<(OsString, OsString)>,
    /// Files of ours, readable by everybody inside: where, and what is in them.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// A granted path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedGrant {
    /// Where it appears inside.
    pub at: PathBuf,
    /// Where it is on the host, without links.
    pub source: PathBuf,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// What may be done with it.
    pub access: Access,
    /// Set when it is not the directory itself that appears, but a copy-on-write view of it.
    pub overlay: Option<Overlay>,
    /// Set when it is not the directory itself that appears, but a filesystem that shows it.
    pub served: Option<ServedView>,
}

impl ResolvedGrant {
    /// Whether it is the directory or file itself that appears.
    pub(super) fn is_itself(&self) -> bool {
        self.overlay.is_none() && self.served.is_none()
    }
}

/// A filesystem that is served, and shows directories of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedView {
    /// Its name.
    pub name: ServedName,
    /// What it shows, the topmost first.
    pub layers: Vec<PathBuf>,
}

impl View {
    /// Nothing but a user and an environment.
    pub(super) fn of(account: Account, env: Vec<(OsString, OsString)>) -> Self {
        Self {
            system: Vec::new(),
            etc: EtcView::default(),
            toolchains: Toolchains::default(),
            home: account.home.clone(),
            account,
            grants: Vec::new(),
            links: Vec::new(),
            locks: BTreeMap::new(),
            masks: Vec::new(),
            sockets: Vec::new(),
            socket_env: Vec::new(),
            resolv_conf: None,
            cwd: None,
            notes: Vec::new(),
            env,
            files: Vec::new(),
        }
    }

    /// A variable of the caller's environment.
    pub(super) fn variable(&self, name: &OsStr) -> Option<&OsStr> {
        self.env
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }
}

/// Looks at the host.
pub(crate) fn gather(policy: &Policy, host: &Host, served: &Filesystems) -> Result<View, PrepareError> {
    let (uid, gid) = match policy.process.identity {
        Identity::Caller => (host.uid, host.gid),
        Identity::Root => (0, 0),
        Identity::User(uid) => (uid, uid),
    };
    let mut view = View::of(Account::detect(uid, gid), std::env::vars_os().collect());
    if policy.filesystem.system {
        view.system = SystemView::detect().entries;
        view.etc = EtcView::detect();
        if host.no_namespaces.is_some() {
            show_around_masks(&mut view.etc);
        }
    }
    let caller_home = view
        .variable(OsStr::new("HOME"))
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let is_other = matches!(policy.process.identity, Identity::User(uid) if uid != host.uid);
    let caller_home = caller_home
        .filter(|_| !is_other)
        .unwrap_or_else(|| view.account.home.clone());
    view.home = private_home(&caller_home, &view.system);
    view.account.home.clone_from(&view.home);
    if policy.filesystem.toolchains {
        let path = view.variable(OsStr::new("PATH")).unwrap_or_default().to_owned();
        view.toolchains = Toolchains::detect(&path, &caller_home, &view.env);
    }
    let resolver = Resolver {
        home: &caller_home,
        cwd: std::env::current_dir().ok(),
        served,
    };
    let mut grants = Vec::new();
    let mut links = Vec::new();
    let filesystem = &policy.filesystem;
    for (field, paths, access) in [
        ("filesystem.read", &filesystem.read, Access::Read),
        ("filesystem.write", &filesystem.write, Access::Write),
    ] {
        for path in paths {
            resolver.grant(field, path, access, &mut grants, &mut links)?;
        }
    }
    for mount in &filesystem.mounts {
        grants.extend(resolver.mount(mount)?);
    }
    // A view wins over the directory itself, a grant for writing over one for reading of the same place.
    let rank = |grant: &ResolvedGrant| (grant.is_itself(), grant.access != Access::Write);
    grants.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| rank(a).cmp(&rank(b))));
    grants.dedup_by(|later, earlier| later.at == earlier.at);
    if let Some(cwd) = &policy.process.cwd {
        view.cwd = Some(resolver.resolve("process.cwd", cwd)?.0);
    }
    refuse_host_processes(&grants)?;
    // What the host does not have, a view may.
    let denied: Vec<PathBuf> = filesystem
        .deny
        .iter()
        .map(|path| resolver.anchor(path))
        .map(|path| path.canonicalize().unwrap_or(path))
        .collect();
    refuse_denied_mounts(policy, &denied)?;
    denied::leave_out(&mut view, &denied);
    let (masks, pinned) = masks(&grants, &denied, &caller_home, &view);
    view.masks = masks;
    grants.extend(pinned);
    view.grants = grants;
    view.links = links;
    view.locks = served.locks();
    for name in &filesystem.sockets {
        add_socket(&mut view, name)?;
    }
    if policy.network.mode == NetworkMode::Host {
        view.resolv_conf = host_resolv_conf().ok();
    }
    Ok(view)
}

/// A denial that would hide all of what is mounted, or be undone by it: one of the two is a mistake.
fn refuse_denied_mounts(policy: &Policy, denied: &[PathBuf]) -> Result<(), PrepareError> {
    let shows_host = |mount: &&Mount| !matches!(mount.source, MountSource::Tmpfs { .. });
    for mount in policy.filesystem.mounts.iter().filter(shows_host) {
        if let Some(denied) = denied.iter().find(|denied| mount.at.starts_with(denied)) {
            return Err(PrepareError::DeniedMount {
                at: mount.at.clone(),
                denied: denied.clone(),
            });
        }
    }
    Ok(())
}

/// The caller's home at its real place; one of its own where that is a part of the system or the root.
fn private_home(home: &Path, system: &[SystemEntry]) -> PathBuf {
    let real = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let in_system = system.iter().any(|entry| match entry {
        SystemEntry::Dir(path) | SystemEntry::Elsewhere { path, .. } | SystemEntry::Link { path, .. } => {
            real.starts_with(path)
        }
    });
    let reserved = ["/", "/tmp", "/dev", "/proc", "/etc", "/sys", "/run", "/var"]
        .iter()
        .any(|path| real == Path::new(path));
    let beneath = ["/dev", "/proc", "/sys", "/etc"]
        .iter()
        .any(|path| real.starts_with(path));
    if in_system || reserved || beneath {
        PathBuf::from("/home/sandbox")
    } else {
        real
    }
}

struct Resolver<'a> {
    home: &'a Path,
    cwd: Option<PathBuf>,
    served: &'a Filesystems,
}

impl Resolver<'_> {
    /// `~/` and `./` replaced.
    fn anchor(&self, path: &Path) -> PathBuf {
        if let Ok(rest) = path.strip_prefix("~") {
            return self.home.join(rest);
        }
        match (&self.cwd, path.is_absolute()) {
            (Some(cwd), false) => cwd.join(path),
            _ => path.to_owned(),
        }
    }

    /// The path without links, and whether it is a directory.
    fn resolve(&self, field: &'static str, path: &Path) -> Result<(PathBuf, bool), PrepareError> {
        let anchored = self.anchor(path);
        let problem = |source: io::Error| PrepareError::Path {
            field,
            path: path.to_owned(),
            source,
        };
        let real = anchored.canonicalize().map_err(problem)?;
        let is_dir = real.metadata().map_err(problem)?.is_dir();
        if anchored != real {
            self.refuse_link_to_credentials(&anchored, &real)?;
        }
        Ok((real, is_dir))
    }

    /// To name credentials is to ask for them; to name a link that somebody has left is not.
    fn refuse_link_to_credentials(&self, named: &Path, real: &Path) -> Result<(), PrepareError> {
        let real_home = self.home.canonicalize().unwrap_or_else(|_| self.home.to_owned());
        let is_named = || {
            [self.home, &real_home]
                .iter()
                .any(|home| among_credentials(named, home).is_some())
        };
        match among_credentials(real, &real_home) {
            Some(what) if !is_named() => Err(PrepareError::LinkToCredentials {
                path: named.to_owned(),
                target: real.to_owned(),
                what,
            }),
            _ => Ok(()),
        }
    }

    /// What a mount shows of the host; nothing for one that is made anew.
    fn mount(&self, mount: &Mount) -> Result<Option<ResolvedGrant>, PrepareError> {
        const FIELD: &str = "filesystem.mounts";
        let mut served = None;
        let (source, is_dir, overlay) = match &mount.source {
            MountSource::Bind(source) => {
                let (source, is_dir) = self.resolve(FIELD, source)?;
                (source, is_dir, None)
            }
            MountSource::Served(name) => {
                let real = |path: PathBuf| self.resolve(FIELD, &path).map(|(real, _)| real);
                let layers: Vec<_> = self
                    .served
                    .shown_by(name)
                    .into_iter()
                    .map(real)
                    .collect::<Result<_, _>>()?;
                let Some(base) = layers.last().cloned() else {
                    return Ok(None);
                };
                served = Some(ServedView {
                    name: name.clone(),
                    layers,
                });
                (base, true, None)
            }
            MountSource::Overlay(overlay) => {
                let real = |path: &PathBuf| self.resolve(FIELD, path).map(|(real, _)| real);
                let overlay = Overlay {
                    lowers: overlay.lowers.iter().map(real).collect::<Result<_, _>>()?,
                    upper: real(&overlay.upper)?,
                    work: real(&overlay.work)?,
                    lock: overlay.lock.as_ref().map(real).transpose()?,
                };
                let base = overlay.lowers.last().cloned().unwrap_or_default();
                (base, true, Some(overlay))
            }
            // Not to be left out silently: the command would write elsewhere.
            MountSource::Volume(name) => return Err(PrepareError::Unattached { name: name.clone() }),
            _ => return Ok(None),
        };
        Ok(Some(ResolvedGrant {
            at: mount.at.clone(),
            source,
            is_dir,
            access: mount.access,
            overlay,
            served,
        }))
    }

    fn grant(
        &self,
        field: &'static str,
        path: &Path,
        access: Access,
        grants: &mut Vec<ResolvedGrant>,
        links: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<(), PrepareError> {
        let (source, is_dir) = self.resolve(field, path)?;
        if source != Path::new("/") {
            // What a link leads to is granted; it can be called by both names.
            let named: PathBuf = self.anchor(path).components().collect();
            if named != source {
                links.push((named, source.clone()));
            }
            grants.push(ResolvedGrant {
                at: source.clone(),
                source,
                is_dir,
                access,
                overlay: None,
                served: None,
            });
            return Ok(());
        }
        // The root itself cannot be mounted inside itself: everything in it that is not made anew.
        let problem = |source: io::Error| PrepareError::Path {
            field,
            path: path.to_owned(),
            source,
        };
        for entry in std::fs::read_dir("/").map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let kind = entry.file_type().map_err(problem)?;
            let anew = ["dev", "proc", "sys", "run", "tmp"]
                .iter()
                .any(|name| entry.file_name() == *name);
            if !anew && !kind.is_symlink() {
                let path = entry.path();
                grants.push(ResolvedGrant {
                    at: path.clone(),
                    source: path,
                    is_dir: kind.is_dir(),
                    access,
                    overlay: None,
                    served: None,
                });
            }
        }
        Ok(())
    }
}

/// What is covered: credentials, sockets and denied paths beneath granted trees, private parts of /etc; and the
/// directories that keep credentials where they are known to be.
fn masks(
    grants: &[ResolvedGrant],
    denied: &[PathBuf],
    home: &Path,
    view: &View,
) -> (Vec<Masked>, Vec<ResolvedGrant>) {
    let mut pinned = Vec::new();
    // Covering costs; what the caller cannot read on the host, it cannot read inside either.
    let readable = |mask: &&Masked| rustix::fs::access(&mask.path, rustix::fs::Access::READ_OK).is_ok();
    let mut masks: Vec<Masked> = view.etc.masked.iter().filter(readable).cloned().collect();
    if grants.iter().any(|grant| grant.is_dir) {
        let hidden = [
            HiddenPlaces::credentials(home),
            HiddenPlaces::sockets(home, &view.env),
        ];
        for grant in grants.iter().filter(|grant| grant.is_dir) {
            let found = hidden.iter().flat_map(|places| places.under(&grant.source));
            for mask in found.map(|mask| moved(&mask, grant)) {
                pinned.extend(pins::of(&mask.path, grant, grants));
                masks.push(mask);
            }
        }
    }
    masks.extend(denied::masks(denied, grants, view));
    // A tree that holds the host's /proc would show its processes.
    let holds_proc = grants.iter().filter(|grant| grant.source == Path::new("/"));
    masks.extend(holds_proc.map(|grant| Masked {
        path: grant.at.join("proc"),
        kind: MaskedKind::Dir,
    }));
    masks.sort();
    masks.dedup();
    // What lies beneath a covered directory is gone with it.
    let all = masks.clone();
    masks.retain(|mask| {
        !all.iter()
            .any(|other| other != mask && mask.path.starts_with(&other.path))
    });
    pinned.sort_by(|a, b| a.at.cmp(&b.at));
    pinned.dedup();
    (masks, pinned)
}

/// Grants of /proc and of what it says of processes: the sandbox has a /proc of its own, and that of the host would
/// undo its isolation.
fn refuse_host_processes(grants: &[ResolvedGrant]) -> Result<(), PrepareError> {
    let is_proc = |grant: &&ResolvedGrant| {
        let of_process =
            || grant.source.starts_with("/proc") && (grant.is_dir || is_of_process(&grant.source));
        let is_on_proc = || {
            rustix::fs::statfs(&grant.source).is_ok_and(|found| found.f_type == rustix::fs::PROC_SUPER_MAGIC)
        };
        of_process() || ((grant.is_dir || grant.access == Access::Write) && is_on_proc())
    };
    match grants.iter().find(is_proc) {
        Some(grant) => Err(PrepareError::HostProcesses {
            path: grant.source.clone(),
        }),
        None => Ok(()),
    }
}

/// Whether a path of /proc belongs to one process.
fn is_of_process(path: &Path) -> bool {
    path.components()
        .nth(2)
        .is_some_and(|name| name.as_os_str().as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

/// Without a root of its own nothing can be covered: a directory with something to hide in it is replaced by
/// what else it holds.
fn show_around_masks(etc: &mut EtcView) {
    for mask in std::mem::take(&mut etc.masked) {
        let holder = etc
            .entries
            .iter()
            .position(|entry| matches!(entry, EtcEntry::Dir { source, .. } if mask.path.starts_with(source)));
        let Some(EtcEntry::Dir { source, .. }) = holder.map(|index| etc.entries.swap_remove(index)) else {
            continue;
        };
        let children = std::fs::read_dir(&source).into_iter().flatten().flatten();
        for path in children
            .map(|child| child.path())
            .filter(|path| !mask.path.starts_with(path))
        {
            let name = path.strip_prefix("/etc").unwrap_or(&path).to_owned();
            etc.entries.push(if path.is_dir() {
                EtcEntry::Dir { name, source: path }
            } else {
                EtcEntry::File {
                    name,
                    content: Vec::new(),
                    mode: 0o444,
                }
            });
        }
    }
}

fn moved(mask: &Masked, grant: &ResolvedGrant) -> Masked {
    let below = mask.path.strip_prefix(&grant.source).unwrap_or(&mask.path);
    Masked {
        path: grant.at.join(below),
        kind: mask.kind,
    }
}

/// Lets exactly one socket through.
fn add_socket(view: &mut View, name: &str) -> Result<(), PrepareError> {
    let problem = |why: String| PrepareError::Socket {
        name: name.to_owned(),
        why,
    };
    let (path, variable) = match name {
        "ssh-agent" => (agent_socket(AgentKind::Ssh, &view.env), Some("SSH_AUTH_SOCK")),
        "gpg-agent" => (agent_socket(AgentKind::Gpg, &view.env), None),
        path => (Ok(PathBuf::from(path)), None),
    };
    let path = path.map_err(|error| problem(format!("{error}; {}", error.hint())))?;
    let real = path.canonicalize().map_err(|error| problem(error.to_string()))?;
    let is_socket = {
        use std::os::unix::fs::FileTypeExt;
        real.metadata()
            .is_ok_and(|metadata| metadata.file_type().is_socket())
    };
    if !is_socket {
        return Err(problem(format!("{} is not a socket", real.display())));
    }
    let at = if name == "gpg-agent" {
        view.home.join(".gnupg/S.gpg-agent")
    } else {
        real.clone()
    };
    if let Some(variable) = variable {
        view.socket_env
            .push((variable.into(), at.clone().into_os_string()));
    }
    // Naming a socket is asking for it.
    view.masks.retain(|mask| mask.path != at);
    view.sockets.push((real, at));
    Ok(())
}

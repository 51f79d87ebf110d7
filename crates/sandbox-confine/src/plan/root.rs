//! Composing the new root: which directories, files, links and mounts, in which order.
//!
//! The order is what makes it simple: everything the root itself holds is made first, then mounts are
//! attached from the shallowest to the deepest, then what must be hidden is covered, and at last the root is
//! made read-only and entered. A mount point that lies inside a granted directory must exist there already:
//! nothing is ever made in the caller's files.

use std::path::{Path, PathBuf};

use sandbox_types::policy::{Identity, NetworkMode};
use sandbox_types::{Access, MountSource, Overlay, Policy, ServedName};

use super::step::{NODEV, NOEXEC, NOSUID, RDONLY, Step};
use super::tree::Tree;
use super::{View, is_host_root};
use crate::error::PrepareError;
use crate::host::Host;
use crate::view::{EtcEntry, GrantKind, MaskedKind, SystemEntry, generate};

/// The device nodes that every program may rely on.
pub(super) const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Where the covers of hidden paths are made before they are attached and removed.
const COVERS: &str = "/.covers";

/// The other place for temporary files: a link to /tmp, but where something of it is shown.
const VAR_TMP: &str = "/var/tmp";

/// One mount of the new root.
enum Attachment {
    /// A tree of the host.
    Host {
        source: PathBuf,
        attributes: u64,
        is_dir: bool,
        /// Set when it is not the tree itself that is attached.
        instead: Option<Instead>,
    },
    /// A filesystem that is served, and shows nothing of the host.
    Served { name: ServedName, attributes: u64 },
    /// A directory of the root itself, which stays writable.
    Private,
    /// A new file system.
    New {
        kind: &'static str,
        options: String,
        attributes: u64,
    },
}

impl Attachment {
    /// The step that takes it, before the new root covers the old one; none for what is made in the new root.
    fn taken(&self, view: &View) -> Option<Step> {
        let served = |name: &ServedName, attributes| Step::Served {
            name: name.clone(),
            lock: view.locks.get(name).cloned(),
            attributes,
        };
        Some(match self {
            Self::Host {
                source,
                attributes,
                instead,
                ..
            } => match instead {
                None => Step::Source {
                    path: source.clone(),
                    attributes: *attributes,
                },
                Some(Instead::Overlay(overlay)) => Step::Overlay {
                    overlay: overlay.clone(),
                    attributes: *attributes,
                },
                Some(Instead::Served(name)) => served(name, *attributes),
            },
            Self::Served { name, attributes } => served(name, *attributes),
            Self::Private | Self::New { .. } => return None,
        })
    }
}

/// What is attached in place of a tree of the host.
enum Instead {
    /// A copy-on-write view of it.
    Overlay(Overlay),
    /// A filesystem that shows it.
    Served(ServedName),
}

#[derive(Default)]
struct Layout {
    dirs: Tree<u32>,
    links: Tree<PathBuf>,
    files: Tree<(u32, Vec<u8>)>,
    mounts: Tree<Attachment>,
}

/// All steps, in order.
pub(super) fn steps(policy: &Policy, host: &Host, view: &View) -> Result<Vec<Step>, PrepareError> {
    let mut layout = Layout::default();
    layout.add_private(policy, view);
    layout.add_system(view);
    layout.add_devices(policy, host);
    layout.add_etc(policy, view);
    layout.add_toolchains(view);
    layout.add_mounts(policy);
    for grant in &view.grants {
        // A view wins over the directory itself.
        if grant.is_itself() && matches!(layout.mounts.get(&grant.at), Some(Attachment::Served { .. })) {
            continue;
        }
        layout.add_host(&grant.at, &grant.source, grant.is_dir, grant.access);
        let overlay = grant.overlay.clone().map(Instead::Overlay);
        let served = grant.served.as_ref();
        let served = served.map(|served| Instead::Served(served.name.clone()));
        if let (Some(view), Some(Attachment::Host { instead, .. })) =
            (overlay.or(served), layout.mounts.get_mut(&grant.at))
        {
            *instead = Some(view);
        }
    }
    for (path, content) in &view.files {
        layout.files.insert(path.clone(), (0o444, content.clone()));
    }
    for (path, target) in &view.links {
        layout.links.insert(path.clone(), target.clone());
    }
    for (source, at) in &view.sockets {
        layout.add_host(at, source, false, Access::Read);
    }
    layout.make_mount_points()?;
    Ok(layout.into_steps(policy, view))
}

impl Layout {
    fn add_private(&mut self, policy: &Policy, view: &View) {
        for path in private(policy, view) {
            let mode = if path == view.home { 0o700 } else { 0o1777 };
            self.dirs.insert(path.to_owned(), mode);
            self.mounts.insert(path.to_owned(), Attachment::Private);
        }
        // Where programs expect a place for temporary files and for sockets, empty and read-only.
        self.dirs.insert("/var", 0o755);
        self.links.insert(VAR_TMP, "/tmp".into());
        self.dirs.insert("/run", 0o755);
    }

    fn add_system(&mut self, view: &View) {
        for entry in &view.system {
            match entry {
                SystemEntry::Dir(path) => self.add_host(path, path, true, Access::Read),
                SystemEntry::Elsewhere { path, source } => self.add_host(path, source, true, Access::Read),
                SystemEntry::Link { path, target } => self.links.insert(path.clone(), target.clone()),
            }
        }
    }

    fn add_devices(&mut self, policy: &Policy, host: &Host) {
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            let source = path.clone();
            self.mounts.insert(
                path,
                Attachment::Host {
                    source,
                    // Read-only is the node, whose mode and times are the host's; what is written goes to the driver.
                    attributes: RDONLY | NOSUID | NOEXEC,
                    is_dir: false,
                    instead: None,
                },
            );
        }
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ];
        for (name, target) in links {
            self.links.insert(Path::new("/dev").join(name), target.into());
        }
        let options = "ptmxmode=0666,mode=0620".to_owned();
        self.mounts.insert(
            "/dev/pts",
            Attachment::New {
                kind: "devpts",
                options,
                attributes: NOSUID | NOEXEC,
            },
        );
        // Inside, user 0 of the host would own the kernel's knobs in /proc/sys, and user 0 of the namespace
        // those of init. Who makes namespaces needs /proc/self/uid_map.
        let owns_init = policy.process.identity == Identity::Root && !policy.syscalls.nested;
        let read_only = if is_host_root(policy, host) || owns_init {
            RDONLY
        } else {
            0
        };
        let attributes = NOSUID | NODEV | NOEXEC | read_only;
        self.mounts.insert(
            "/proc",
            Attachment::New {
                kind: "proc",
                options: String::new(),
                attributes,
            },
        );
    }

    fn add_etc(&mut self, policy: &Policy, view: &View) {
        let etc = Path::new("/etc");
        for entry in &view.etc.entries {
            let path = etc.join(entry.name());
            match entry {
                EtcEntry::File { mode, content, .. } => {
                    self.files.insert(path, (*mode, content.clone()));
                }
                EtcEntry::Link { target, .. } => self.links.insert(path, target.clone()),
                EtcEntry::Large { source, .. } => self.add_host(&path, source, false, Access::Read),
                EtcEntry::Dir { source, .. } => self.add_host(&path, source, true, Access::Read),
            }
        }
        let hostname = &policy.process.hostname;
        let resolv_conf = match policy.network.mode {
            NetworkMode::Host => view
                .resolv_conf
                .clone()
                .unwrap_or_else(generate::resolv_conf_offline),
            NetworkMode::None => generate::resolv_conf_offline(),
        };
        let generated = [
            ("passwd", generate::passwd(&view.account)),
            ("group", generate::group(&view.account)),
            ("hosts", generate::hosts(hostname)),
            ("hostname", generate::hostname(hostname)),
            ("resolv.conf", resolv_conf),
        ];
        for (name, content) in generated {
            self.links.remove(&etc.join(name));
            self.files.insert(etc.join(name), (0o644, content));
        }
    }

    fn add_toolchains(&mut self, view: &View) {
        for grant in &view.toolchains.grants {
            match &grant.kind {
                GrantKind::Dir => self.add_host(&grant.path, &grant.path, true, Access::Read),
                GrantKind::File => self.add_host(&grant.path, &grant.path, false, Access::Read),
                GrantKind::Link { target } => self.links.insert(grant.path.clone(), target.clone()),
            }
        }
    }

    fn add_mounts(&mut self, policy: &Policy) {
        for mount in &policy.filesystem.mounts {
            let read_only = if mount.access == Access::Read { RDONLY } else { 0 };
            let attributes = NOSUID | NODEV | read_only;
            let attachment = match &mount.source {
                MountSource::Tmpfs { size } => Attachment::New {
                    kind: "tmpfs",
                    options: format!("mode=0755,size={}", size.bytes()),
                    attributes,
                },
                MountSource::Served(name) => Attachment::Served {
                    name: name.clone(),
                    attributes,
                },
                // What shows the host is among the view's grants, resolved.
                _ => continue,
            };
            self.mounts.insert(mount.at.clone(), attachment);
        }
    }

    /// A later entry for the same place replaces an earlier one, except that a grant for writing stays.
    fn add_host(&mut self, at: &Path, source: &Path, is_dir: bool, access: Access) {
        let read_only = if access == Access::Read { RDONLY } else { 0 };
        if let Some(Attachment::Host { attributes, .. }) = self.mounts.get(at)
            && attributes & RDONLY == 0
        {
            return;
        }
        let attributes = NOSUID | NODEV | read_only;
        self.mounts.insert(
            at.to_owned(),
            Attachment::Host {
                source: source.to_owned(),
                attributes,
                is_dir,
                instead: None,
            },
        );
    }

    fn make_mount_points(&mut self) -> Result<(), PrepareError> {
        let Self {
            dirs,
            links,
            files,
            mounts,
        } = self;
        let is_inside = |path: &Path| host_above(mounts, path).is_some();
        for (at, attachment) in mounts.iter() {
            if let Some(inside) = new_above(mounts, at) {
                return Err(PrepareError::InsideNew {
                    at: at.to_owned(),
                    inside: inside.to_owned(),
                });
            }
            if let Some((above, source)) = host_above(mounts, at) {
                let relative = at.strip_prefix(above).unwrap_or(at);
                if source.join(relative).symlink_metadata().is_err() {
                    return Err(PrepareError::MountPoint {
                        at: at.to_owned(),
                        inside: source.to_owned(),
                    });
                }
                continue;
            }
            match attachment {
                Attachment::Host { is_dir: false, .. } => files.insert_new(at, (0o644, Vec::new())),
                _ => dirs.insert_new(at, 0o755),
            }
        }
        // What lies inside a granted tree is there already, and cannot be changed.
        files.retain(|path| !is_inside(path));
        dirs.retain(|path| !is_inside(path));
        // And a place that is mounted on is no link.
        links.retain(|path| !is_inside(path) && !mounts.contains(path));
        for (at, above) in mounts
            .iter()
            .flat_map(|(at, _)| at.ancestors().skip(1).map(move |above| (at, above)))
        {
            if let Some(target) = links.get(above) {
                return Err(PrepareError::InsideLink {
                    at: at.to_owned(),
                    link: above.to_owned(),
                    target: target.clone(),
                });
            }
            if files.contains(above) {
                return Err(PrepareError::InsideNew {
                    at: at.to_owned(),
                    inside: above.to_owned(),
                });
            }
        }
        let mut parents = Tree::default();
        for path in links.paths().chain(files.paths()).chain(dirs.paths()) {
            for parent in path
                .ancestors()
                .skip(1)
                .filter(|parent| parent.parent().is_some())
            {
                // One that is known has brought its own parents along.
                if parents.contains(parent) || dirs.contains(parent) {
                    break;
                }
                parents.insert(parent, 0o755);
            }
        }
        for (path, mode) in parents {
            dirs.insert_new(path, mode);
        }
        Ok(())
    }

    fn into_steps(mut self, policy: &Policy, view: &View) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.dirs.len() + self.files.len() + 3 * self.mounts.len() + 16);
        // Trees of the host are taken before the new root covers the old one.
        for (_, attachment) in self.mounts.iter() {
            steps.extend(attachment.taken(view));
        }
        steps.push(Step::Hostname(policy.process.hostname.clone()));
        steps.push(Step::Root {
            size: policy.filesystem.scratch.bytes(),
        });
        let given_away = match policy.process.identity {
            Identity::User(uid) => Some(uid),
            Identity::Caller | Identity::Root => None,
        };
        for (path, mode) in self.dirs {
            // Directories on the way to what is granted beneath the private home are the command's own.
            let is_home = path.starts_with(&view.home);
            steps.push(Step::Dir {
                path: path.clone(),
                mode,
            });
            if let Some(uid) = given_away.filter(|_| is_home) {
                steps.push(Step::Owner { path, uid, gid: uid });
            }
        }
        let is_entered = enter_early(&mut self.mounts, &mut steps);
        steps.extend(self.files.into_iter().map(|(path, (mode, content))| Step::File {
            path,
            mode,
            content,
        }));
        steps.extend(
            self.links
                .into_iter()
                .map(|(path, target)| Step::Link { path, target }),
        );
        let mut source = 0;
        for (path, attachment) in self.mounts {
            steps.push(match attachment {
                Attachment::Host { .. } | Attachment::Served { .. } => {
                    source += 1;
                    Step::Attach {
                        source: source - 1,
                        path,
                    }
                }
                Attachment::Private => Step::Own {
                    from: path.clone(),
                    path,
                    attributes: NOSUID | NODEV,
                },
                Attachment::New {
                    kind,
                    options,
                    attributes,
                } => Step::Mount {
                    kind,
                    options,
                    path,
                    attributes,
                },
            });
        }
        cover(&mut steps, view);
        steps.push(Step::Attributes {
            path: "/".into(),
            attributes: RDONLY | NOSUID | NODEV,
        });
        // By now another thread of init has made them.
        steps.push(Step::Join);
        if !is_entered {
            steps.push(Step::Enter);
        }
        steps
    }
}

/// Enters the root as soon as it has a /proc, which the kernel mounts only beside one that shows as much
/// (mount_too_revealing in fs/namespace.c): the wait for the old root's end then passes while the rest is built.
/// Not where something else is shown at /proc, since init reads its own entries there until it has joined its
/// namespaces.
fn enter_early(mounts: &mut Tree<Attachment>, steps: &mut Vec<Step>) -> bool {
    let path = Path::new("/proc");
    match mounts.remove(path) {
        Some(Attachment::New {
            kind: kind @ "proc",
            options,
            attributes,
        }) => steps.push(Step::Mount {
            kind,
            options,
            path: path.to_owned(),
            attributes,
        }),
        other => {
            if let Some(other) = other {
                mounts.insert(path, other);
            }
            return false;
        }
    }
    steps.push(Step::Enter);
    true
}

/// Directories of the root itself that stay writable.
pub(super) fn private<'a>(policy: &'a Policy, view: &'a View) -> impl Iterator<Item = &'a Path> {
    let always = [Path::new("/tmp"), Path::new("/dev/shm"), &view.home];
    always.into_iter().chain(own_var_tmp(policy, view))
}

/// The other place for temporary files where it cannot be the link to /tmp that it is, since something in it is shown.
fn own_var_tmp(policy: &Policy, view: &View) -> Option<&'static Path> {
    let var_tmp = Path::new(VAR_TMP);
    let shown = || {
        let grants = view.grants.iter().map(|grant| &grant.at);
        let mounts = policy.filesystem.mounts.iter().map(|mount| &mount.at);
        let toolchains = view.toolchains.grants.iter().map(|grant| &grant.path);
        let sockets = view.sockets.iter().map(|(_, at)| at);
        grants.chain(mounts).chain(toolchains).chain(sockets)
    };
    let is_below = shown()
        .chain([&view.home])
        .any(|at| at != var_tmp && at.starts_with(var_tmp));
    (is_below && !shown().any(|at| var_tmp.starts_with(at))).then_some(var_tmp)
}

/// The nearest granted tree of the host above `path`, if any: there nothing can be made.
fn host_above<'a>(mounts: &'a Tree<Attachment>, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
    path.ancestors()
        .skip(1)
        .find_map(|above| match mounts.get(above) {
            Some(Attachment::Host { source, .. }) => Some((above, source.as_path())),
            _ => None,
        })
}

/// The mount above `path` where that is a new file system: there nothing is yet.
fn new_above<'a>(mounts: &Tree<Attachment>, path: &'a Path) -> Option<&'a Path> {
    let mut above = path.ancestors().skip(1);
    let nearest = above.find(|above| mounts.contains(above))?;
    let is_new = matches!(
        mounts.get(nearest),
        Some(Attachment::New { .. } | Attachment::Served { .. })
    );
    is_new.then_some(nearest)
}

/// Covers what must be hidden with an empty directory or file, of which nothing stays behind.
fn cover(steps: &mut Vec<Step>, view: &View) {
    if view.masks.is_empty() {
        return;
    }
    let covers = Path::new(COVERS);
    let (dir, file) = (covers.join("dir"), covers.join("file"));
    steps.push(Step::Dir {
        path: covers.into(),
        mode: 0o700,
    });
    steps.push(Step::Dir {
        path: dir.clone(),
        mode: 0o555,
    });
    steps.push(Step::File {
        path: file.clone(),
        mode: 0o444,
        content: Vec::new(),
    });
    for mask in &view.masks {
        let from = if mask.kind == MaskedKind::Dir { &dir } else { &file };
        let attributes = RDONLY | NOSUID | NODEV | NOEXEC;
        steps.push(Step::Cover {
            from: from.clone(),
            path: mask.path.clone(),
            attributes,
        });
    }
    steps.extend([dir, file, covers.to_owned()].map(|path| Step::Remove { path }));
}

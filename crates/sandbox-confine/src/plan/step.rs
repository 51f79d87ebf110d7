//! One step of building the root, as owned data.

use std::fmt;
use std::path::{Path, PathBuf};

use sandbox_types::{Overlay, ServedName};

use crate::error::StartError;
use crate::exec::text;
use crate::wire::{Op, Writer};

/// One step of building the root. Sources are paths of the host; all others are relative to the new root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Sets the host name.
    Hostname(String),
    /// Joins the network and IPC namespaces, which init makes while it builds the root.
    Join,
    /// Takes a copy of a tree of the host, with these MOUNT_ATTR_* attributes.
    Source {
        /// Where it is on the host.
        path: PathBuf,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// Mounts an overlay of directories of the host, which takes the next source's number.
    Overlay {
        /// Where its layers are.
        overlay: Overlay,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// Mounts a filesystem that the supervisor serves, which takes the next source's number.
    Served {
        /// Its name.
        name: ServedName,
        /// A file to hold an exclusive flock(2) on.
        lock: Option<PathBuf>,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// Takes a copy of a directory of the host for the supervisor, who has views of clones made of it. It is shown
    /// nowhere.
    Tree {
        /// Where it is on the host.
        path: PathBuf,
    },
    /// Makes the file system in memory that becomes the root.
    Root {
        /// The most it may hold, in bytes.
        size: u64,
    },
    /// Makes a directory.
    Dir {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Makes a symbolic link.
    Link {
        /// Where.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// Makes a file.
    File {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What is in it.
        content: Vec<u8>,
    },
    /// Attaches a source by its number.
    Attach {
        /// Its number, in order of the `Source` steps.
        source: u32,
        /// Where.
        path: PathBuf,
    },
    /// Attaches something of the new root at another place of it, with attributes of its own.
    Own {
        /// What.
        from: PathBuf,
        /// Where.
        path: PathBuf,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// As [`Step::Own`], but what is not there needs no cover.
    Cover {
        /// What.
        from: PathBuf,
        /// Where.
        path: PathBuf,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// Mounts a new file system.
    Mount {
        /// `proc`, `devpts` or `tmpfs`.
        kind: &'static str,
        /// `key=value`, separated by commas.
        options: String,
        /// Where.
        path: PathBuf,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// Gives something to another user.
    Owner {
        /// What.
        path: PathBuf,
        /// To whom.
        uid: u32,
        /// And which group.
        gid: u32,
    },
    /// Removes what had to exist for a moment only.
    Remove {
        /// What.
        path: PathBuf,
    },
    /// Changes the attributes of one mount.
    Attributes {
        /// Its root.
        path: PathBuf,
        /// MOUNT_ATTR_*.
        attributes: u64,
    },
    /// Enters the new root and lets go of the old one, which takes as long as what follows.
    Enter,
}

impl Step {
    pub(crate) fn encode(&self, writer: &mut Writer) -> Result<(), StartError> {
        let path_text = |path: &Path| {
            // Relative to the new root, which itself is ".".
            let relative = path.strip_prefix("/").unwrap_or(path);
            text(if relative.as_os_str().is_empty() {
                ".".as_ref()
            } else {
                relative.as_os_str()
            })
        };
        match self {
            Self::Hostname(name) => writer.op(&Op::Hostname(&text(name.as_ref())?)),
            Self::Join => writer.op(&Op::Join),
            Self::Source { path, attributes } => writer.op(&Op::Source {
                path: &text(path.as_os_str())?,
                attributes: *attributes,
            }),
            Self::Overlay { overlay, attributes } => return encode_overlay(overlay, *attributes, writer),
            Self::Served {
                name,
                lock,
                attributes,
            } => writer.op(&Op::Served {
                name: &text(name.as_str().as_ref())?,
                lock: &text(lock.as_deref().unwrap_or(Path::new("")).as_os_str())?,
                attributes: *attributes,
            }),
            Self::Tree { path } => writer.op(&Op::Tree {
                path: &text(path.as_os_str())?,
            }),
            Self::Cover {
                from,
                path,
                attributes,
            } => writer.op(&Op::Cover {
                from: &path_text(from)?,
                path: &path_text(path)?,
                attributes: *attributes,
            }),
            Self::Root { size } => writer.op(&Op::Root { size: *size }),
            Self::Dir { path, mode } => writer.op(&Op::Dir {
                path: &path_text(path)?,
                mode: *mode,
            }),
            Self::Link { path, target } => writer.op(&Op::Link {
                path: &path_text(path)?,
                target: &text(target.as_os_str())?,
            }),
            Self::File { path, mode, content } => writer.op(&Op::File {
                path: &path_text(path)?,
                mode: *mode,
                content,
            }),
            Self::Attach { source, path } => writer.op(&Op::Attach {
                source: *source,
                path: &path_text(path)?,
            }),
            Self::Own {
                from,
                path,
                attributes,
            } => writer.op(&Op::Own {
                from: &path_text(from)?,
                path: &path_text(path)?,
                attributes: *attributes,
            }),
            Self::Mount {
                kind,
                options,
                path,
                attributes,
            } => writer.op(&Op::Mount {
                kind: &text(kind.as_ref())?,
                options: &text(options.as_ref())?,
                path: &path_text(path)?,
                attributes: *attributes,
            }),
            Self::Owner { path, uid, gid } => writer.op(&Op::Owner {
                path: &path_text(path)?,
                uid: *uid,
                gid: *gid,
            }),
            Self::Remove { path } => writer.op(&Op::Remove {
                path: &path_text(path)?,
            }),
            Self::Attributes { path, attributes } => writer.op(&Op::Attributes {
                path: &path_text(path)?,
                attributes: *attributes,
            }),
            Self::Enter => writer.op(&Op::Enter),
        };
        Ok(())
    }
}

fn encode_overlay(overlay: &Overlay, attributes: u64, writer: &mut Writer) -> Result<(), StartError> {
    let mut lowers = Vec::new();
    for lower in &overlay.lowers {
        lowers.extend_from_slice(text(lower.as_os_str())?.as_bytes_with_nul());
    }
    let lock = overlay.lock.as_deref().unwrap_or(Path::new(""));
    writer.op(&Op::Overlay {
        lowers: &lowers,
        upper: &text(overlay.upper.as_os_str())?,
        work: &text(overlay.work.as_os_str())?,
        lock: &text(lock.as_os_str())?,
        attributes,
    });
    Ok(())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname(name) => write!(f, "set host name {name}"),
            Self::Join => f.write_str("join the network and ipc namespaces, lo up"),
            Self::Source { path, attributes } => {
                write!(f, "take {}{}", path.display(), Attributes(*attributes))
            }
            Self::Overlay { overlay, attributes } => {
                write!(
                    f,
                    "overlay {}{} over",
                    overlay.upper.display(),
                    Attributes(*attributes)
                )?;
                overlay
                    .lowers
                    .iter()
                    .try_for_each(|lower| write!(f, " {}", lower.display()))
            }
            Self::Served { name, attributes, .. } => {
                write!(f, "mount what is served as {name}{}", Attributes(*attributes))
            }
            Self::Tree { path } => write!(f, "take {} for views of clones", path.display()),
            Self::Root { size } => write!(f, "make a root of at most {size} bytes"),
            Self::Dir { path, mode } => write!(f, "make directory {} {mode:o}", path.display()),
            Self::Link { path, target } => write!(f, "link {} to {}", path.display(), target.display()),
            Self::File { path, content, .. } => {
                write!(f, "write {} ({} bytes)", path.display(), content.len())
            }
            Self::Attach { source, path } => write!(f, "mount source {source} at {}", path.display()),
            Self::Own {
                from,
                path,
                attributes,
            }
            | Self::Cover {
                from,
                path,
                attributes,
            } => {
                write!(
                    f,
                    "mount own {} at {}{}",
                    from.display(),
                    path.display(),
                    Attributes(*attributes)
                )
            }
            Self::Mount {
                kind,
                path,
                attributes,
                ..
            } => {
                write!(f, "mount {kind} at {}{}", path.display(), Attributes(*attributes))
            }
            Self::Owner { path, uid, gid } => write!(f, "give {} to {uid}:{gid}", path.display()),
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::Attributes { path, attributes } => {
                write!(f, "make {}{}", path.display(), Attributes(*attributes))
            }
            Self::Enter => f.write_str("enter the new root"),
        }
    }
}

/// MOUNT_ATTR_* of mount_setattr(2).
pub(crate) const RDONLY: u64 = 1;
pub(crate) const NOSUID: u64 = 2;
pub(crate) const NODEV: u64 = 4;
pub(crate) const NOEXEC: u64 = 8;

struct Attributes(u64);

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, name) in [
            (RDONLY, "ro"),
            (NOSUID, "nosuid"),
            (NODEV, "nodev"),
            (NOEXEC, "noexec"),
        ] {
            if self.0 & bit != 0 {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

//! The part of `/etc` that programs need.
//!
//! Small files are copied, directories are bound read-only, links into the system directories stay links.
//! What other users of the host may not read is never shown, so that root inside learns no more than anybody:
//! such files are skipped, and such parts of bound directories are returned in [`EtcView::masked`] to be
//! covered. What must describe the sandbox and not the host is made by [`generate`].

pub mod generate;
mod nsswitch;
mod table;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use generate::Account;
use table::Show;

use super::credentials::{Masked, MaskedKind, text_holds_secret};
use super::hidden::{is_hidden, is_system, normalized};

/// The largest file that is copied.
const MAX_FILE: u64 = 1 << 20;

/// The largest file that is copied rather than bound: each copy is made again for every run.
const MAX_COPY: u64 = 8 << 10;

/// How many entries of `/etc`, and of a directory in it, are looked at.
const MAX_ENTRIES: usize = 4096;

/// What `/etc` consists of inside, besides the generated files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcView {
    /// Ordered by name.
    pub entries: Vec<EtcEntry>,
    /// Parts of the bound directories that only root may read on the host, to be covered.
    pub masked: Vec<Masked>,
}

/// One entry of `/etc`. Names are relative to it and may have more than one component.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EtcEntry {
    /// Write a file.
    File {
        /// Where, beneath `/etc`.
        name: PathBuf,
        /// Its content, at most 1 MiB.
        content: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// Create a link.
    Link {
        /// Where, beneath `/etc`.
        name: PathBuf,
        /// The target as the host has it.
        target: PathBuf,
    },
    /// Bind a file, read-only, that is too large to be copied for every run.
    Large {
        /// Where, beneath `/etc`.
        name: PathBuf,
        /// The file of the host, without links.
        source: PathBuf,
    },
    /// Bind a directory, read-only.
    Dir {
        /// Where, beneath `/etc`.
        name: PathBuf,
        /// The directory of the host, without links.
        source: PathBuf,
    },
}

impl EtcEntry {
    /// Where the entry is, beneath `/etc`.
    pub fn name(&self) -> &Path {
        match self {
            Self::File { name, .. }
            | Self::Link { name, .. }
            | Self::Large { name, .. }
            | Self::Dir { name, .. } => name,
        }
    }
}

impl EtcView {
    /// Looks at this host's `/etc`.
    pub fn detect() -> Self {
        Self::detect_in(Path::new("/etc"))
    }

    /// Looks at `etc` as if it were `/etc`.
    fn detect_in(etc: &Path) -> Self {
        let mut view = Self::default();
        let etc = &etc.canonicalize().unwrap_or_else(|_| etc.to_owned());
        for (name, show) in table::names() {
            view.add(etc, Path::new(name), show);
        }
        for (name, show) in patterned(etc) {
            view.add(etc, Path::new(&name), show);
        }
        for (name, show) in table::NESTED {
            view.add(etc, Path::new(name), *show);
        }
        for name in table::PRIVATE {
            view.mask_private(etc, Path::new(name));
        }
        if !view
            .entries
            .iter()
            .any(|entry| entry.name() == Path::new("nsswitch.conf"))
        {
            view.entries.push(nsswitch_entry(""));
        }
        view.entries.sort_by(|a, b| a.name().cmp(b.name()));
        view.masked.sort();
        view.masked.dedup();
        view
    }

    fn add(&mut self, etc: &Path, name: &Path, show: Show) {
        let path = etc.join(name);
        let Ok(metadata) = path.symlink_metadata() else {
            return;
        };
        let link = if metadata.is_symlink() {
            link_into_system(&path, name)
        } else {
            None
        };
        if let Some(target) = link {
            self.entries.push(EtcEntry::Link {
                name: name.to_owned(),
                target,
            });
        } else if matches!(show, Show::Dir | Show::MixedDir) {
            self.add_dir(&path, metadata, name, show);
        } else if let Some(source) = large_file(&path, &metadata, show) {
            self.entries.push(EtcEntry::Large {
                name: name.to_owned(),
                source,
            });
        } else if let Some((content, mode)) = readable_file(&path, metadata) {
            self.entries.extend(file_entry(name, content, mode, show));
        }
    }

    fn add_dir(&mut self, path: &Path, metadata: Metadata, name: &Path, show: Show) {
        // Only a link has to be followed: `etc` itself is without links.
        let (source, metadata) = if metadata.is_dir() {
            (path.to_owned(), metadata)
        } else {
            let Ok(source) = path.canonicalize() else { return };
            let Ok(metadata) = source.metadata() else { return };
            (source, metadata)
        };
        let elsewhere = is_hidden(&source) && !source.starts_with("/etc");
        if !metadata.is_dir() || !world_may(&metadata, 0o005) || elsewhere {
            return;
        }
        if show == Show::MixedDir {
            self.mask_children(&source, name);
        }
        self.entries.push(EtcEntry::Dir {
            name: name.to_owned(),
            source,
        });
    }

    /// Masks the entries of `source` that other users of the host cannot read.
    fn mask_children(&mut self, source: &Path, name: &Path) {
        let Ok(children) = fs::read_dir(source) else {
            return;
        };
        for child in children.take(MAX_ENTRIES).flatten() {
            // Links have no mode of their own.
            if child
                .file_type()
                .is_ok_and(|kind| kind.is_dir() || kind.is_file())
                && let Ok(metadata) = child.metadata()
            {
                self.mask_unless_public(&name.join(child.file_name()), &metadata);
            }
        }
    }

    /// Masks one of the known directories of keys, whatever its mode, if a bound directory contains it.
    fn mask_private(&mut self, etc: &Path, name: &Path) {
        let bound = self.entries.iter().any(|entry| match entry {
            EtcEntry::Dir { name: dir, .. } => name.starts_with(dir),
            _ => false,
        });
        if bound
            && etc
                .join(name)
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_dir())
        {
            self.masked.push(Masked {
                path: Path::new("/etc").join(name),
                kind: MaskedKind::Dir,
            });
        }
    }

    fn mask_unless_public(&mut self, name: &Path, metadata: &Metadata) {
        let (needed, kind) = if metadata.is_dir() {
            (0o005, MaskedKind::Dir)
        } else {
            (0o004, MaskedKind::File)
        };
        if !world_may(metadata, needed) {
            self.masked.push(Masked {
                path: Path::new("/etc").join(name),
                kind,
            });
        }
    }
}

/// The entries of `etc` that a pattern of the table shows. Looking through all of `/etc` costs more than
/// looking for every name of the table, so it is done only where what the patterns are for is there: Java
/// in Debian's places, or musl, which has no `ld.so.cache`.
fn patterned(etc: &Path) -> Vec<(OsString, Show)> {
    let has_java = Path::new("/usr/lib/jvm").exists();
    let has_musl = !etc.join("ld.so.cache").exists();
    if !has_java && !has_musl {
        return Vec::new();
    }
    let entries = fs::read_dir(etc)
        .into_iter()
        .flatten()
        .take(MAX_ENTRIES)
        .flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let show = table::show_by_pattern(name.to_str()?)?;
            Some((name, show))
        })
        .collect()
}

/// The content of this host's `resolv.conf`, for a sandbox on the host's network. Often a link into `/run`,
/// which is followed here because `/run` is not there inside.
pub fn host_resolv_conf() -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open("/etc/resolv.conf")?
        .take(MAX_FILE)
        .read_to_end(&mut content)?;
    Ok(content)
}

fn file_entry(name: &Path, content: Vec<u8>, mode: u32, show: Show) -> Option<EtcEntry> {
    match show {
        Show::Nsswitch => Some(nsswitch_entry(&String::from_utf8_lossy(&content))),
        Show::FileWithoutSecret if text_holds_secret(&content) => None,
        _ => Some(EtcEntry::File {
            name: name.to_owned(),
            content,
            mode,
        }),
    }
}

fn nsswitch_entry(host: &str) -> EtcEntry {
    let content = nsswitch::filtered(host).into_bytes();
    EtcEntry::File {
        name: "nsswitch.conf".into(),
        content,
        mode: 0o644,
    }
}

/// The target of `path` if it is a link whose target is there inside as well.
fn link_into_system(path: &Path, name: &Path) -> Option<PathBuf> {
    let target = fs::read_link(path).ok()?;
    let parent = Path::new("/etc").join(name.parent().unwrap_or(Path::new("")));
    let resolved = normalized(&parent.join(&target));
    let there = is_system(&resolved) || resolved.starts_with("/proc") || resolved.starts_with("/etc/static");
    there.then_some(target)
}

/// A file that is better bound than copied: its own path, when it is large and no link.
fn large_file(path: &Path, metadata: &Metadata, show: Show) -> Option<PathBuf> {
    let is_large = show == Show::File && metadata.is_file() && metadata.len() > MAX_COPY;
    (is_large && world_may(metadata, 0o004)).then(|| path.to_owned())
}

/// A regular file that anybody may read, and its mode without write permission for others. `metadata` is that
/// of `path` itself, which may be a link.
fn readable_file(path: &Path, mut metadata: Metadata) -> Option<(Vec<u8>, u32)> {
    if metadata.is_symlink() {
        let real = path.canonicalize().ok()?;
        let name = real.file_name()?;
        if SECRET_NAMES.iter().any(|secret| name == OsStr::new(secret)) {
            return None;
        }
        metadata = real.metadata().ok()?;
    }
    // Before opening: to open a FIFO would wait for its writer.
    if !metadata.is_file() || !world_may(&metadata, 0o004) || metadata.len() > MAX_FILE {
        return None;
    }
    let length = usize::try_from(metadata.len()).unwrap_or(0);
    let mut content = Vec::with_capacity(length.saturating_add(1));
    File::open(path)
        .ok()?
        .take(MAX_FILE)
        .read_to_end(&mut content)
        .ok()?;
    Some((content, metadata.mode() & 0o755))
}

/// Files that no link makes harmless.
const SECRET_NAMES: &[&str] = &["shadow", "gshadow", "machine-id"];

fn world_may(metadata: &Metadata, bits: u32) -> bool {
    metadata.mode() & bits == bits
}

#[cfg(test)]
mod tests;

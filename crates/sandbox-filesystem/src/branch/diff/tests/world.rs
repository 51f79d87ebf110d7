//! A base and a layer in a temporary directory, written by hand or through a real overlayfs mount.

use std::ffi::OsStr;
use std::fs;
#[cfg(feature = "fuse")]
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
#[cfg(feature = "fuse")]
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use sandbox_types::{Attribute, Change, ChangeKind};

use super::super::super::base::BaseKnowledge;
use super::super::super::node::{Meta, Timestamp};
use super::super::super::stack::{LayerFormat, Stack};
use super::super::super::testing::skip;
use super::super::changes;
#[cfg(feature = "fuse")]
use crate::backend::{OverlayFs, overlay};
#[cfg(feature = "fuse")]
use crate::serve::fuse::Session;

pub(super) struct World {
    place: tempfile::TempDir,
    /// The topmost first.
    pub(super) layers: Vec<(PathBuf, LayerFormat)>,
    pub(super) knowledge: BaseKnowledge,
}

impl World {
    /// An empty base with an empty overlayfs layer.
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["base", "up", "work", "merged"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        Self {
            layers: vec![(place.path().join("up"), LayerFormat::Overlay)],
            place,
            knowledge: BaseKnowledge {
                birth: (i64::MAX, 0),
                ..BaseKnowledge::default()
            },
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(super) fn base(&self, name: &str) -> PathBuf {
        self.path("base").join(name)
    }

    pub(super) fn up(&self, name: &str) -> PathBuf {
        self.path("up").join(name)
    }

    /// From here on, what happens to the base is somebody else's doing.
    pub(super) fn is_born(&mut self) {
        self.knowledge.birth = self.stamp();
    }

    /// A moment after everything that has happened.
    pub(super) fn stamp(&self) -> Timestamp {
        let path = self.path("stamp");
        let stamp = || {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            Meta::of_path(&path).unwrap().ctime
        };
        let first = stamp();
        // The kernel's clock of coarse times has to tick.
        loop {
            let now = stamp();
            if now > first {
                return now;
            }
        }
    }

    /// A work directory for the next mount.
    pub(super) fn renew_work(&self) {
        let work = self.path("work");
        mode(work.join("work"), 0o700);
        fs::remove_dir_all(&work).unwrap();
        fs::create_dir(work).unwrap();
    }

    pub(super) fn stack(&self) -> Stack {
        Stack::open(&self.layers, &self.path("base")).unwrap()
    }

    pub(super) fn diff(&self) -> Vec<Change> {
        changes(&self.stack(), &self.knowledge, &mut |_| {}).unwrap()
    }

    /// Changes as lines: letter, path, what changed, conflict.
    pub(super) fn lines(&self) -> Vec<String> {
        self.diff().iter().map(line).collect()
    }

    /// Runs a script in the merged view; `false`, and the reason printed, where overlayfs cannot be mounted.
    pub(super) fn in_view(&self, test: &str, script: &str) -> bool {
        let lower: Vec<_> = self.layers.iter().skip(1).map(|(path, _)| path.clone()).collect();
        let lower: Vec<_> = lower.into_iter().chain([self.path("base")]).collect();
        let lower: Vec<_> = lower.iter().map(|path| path.to_str().unwrap()).collect();
        let options = format!(
            "userxattr,lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            self.layers.first().unwrap().0.display(),
            self.path("work").display()
        );
        let script = format!(
            "mount -t overlay overlay -o '{options}' '{}' || exit 99\ncd '{}'\nset -e\n{script}",
            self.path("merged").display(),
            self.path("merged").display(),
        );
        in_namespace(test, &script)
    }

    /// The same through an overlay of our own, as in mode `exact`, whose names are settled afterwards.
    #[cfg(feature = "fuse")]
    pub(super) fn in_exact_view(&self, test: &str, script: &str) -> bool {
        let (upper, lowers) = self.layers.split_first().unwrap();
        let layers = lowers.iter().rev().map(|(path, _)| path.clone());
        let work = self.path("exact-work");
        fs::create_dir_all(&work).unwrap();
        let builder = std::iter::once(self.path("base"))
            .chain(layers)
            .fold(OverlayFs::builder(), |builder, layer| {
                builder.layer_in(layer, overlay::LayerFormat::Overlay)
            });
        let builder = builder.writable(&upper.0).staging(&work);
        let fs = builder.durability(overlay::Durability::Volatile).build().unwrap();
        let fs = Arc::new(fs);
        let session = match Session::builder(fs.clone()).mount_detached() {
            Ok(session) => session,
            Err(error) => {
                skip(test, &format!("nothing can be served here: {error}"));
                return false;
            }
        };
        let merged = self.path("merged");
        drop(fs::remove_dir(&merged).or_else(|_| fs::remove_file(&merged)));
        let number = session.root().unwrap().as_raw_fd();
        let root = format!("/proc/{}/fd/{number}", std::process::id());
        std::os::unix::fs::symlink(root, &merged).unwrap();
        let is_done = in_namespace(test, &format!("cd '{}'\nset -e\n{script}", merged.display()));
        drop(session);
        fs.settle_names().unwrap();
        drop(fs);
        // Nothing beside the layer is needed.
        fs::remove_dir_all(work).unwrap();
        is_done
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A plain user cannot remove what has no permissions.
        let done = Command::new("chmod")
            .arg("-Rf")
            .arg("u+rwX")
            .arg(self.place.path())
            .status();
        drop(done);
    }
}

/// Runs a script with mount rights; `false`, and the reason printed, where there are none.
pub(super) fn in_namespace(test: &str, script: &str) -> bool {
    let flags = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-Urm"
    };
    let output = Command::new("unshare")
        .args([flags, "--propagation", "private", "sh", "-c"])
        .arg(format!("echo started\n{script}"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.stdout.starts_with(b"started") || output.status.code() == Some(99) {
        skip(
            test,
            &format!("overlayfs cannot be mounted here: {}", errors.trim()),
        );
        return false;
    }
    assert!(output.status.success(), "{script}\n{errors}");
    true
}

pub(super) fn line(change: &Change) -> String {
    let mut line = format!("{} {}", change.change.letter(), change.path);
    match &change.change {
        ChangeKind::Modified { content, attributes } => {
            line.push_str(if *content { " content" } else { "" });
            // Whether two files written one after the other have different times is a matter of luck.
            let counts = |attribute: &&Attribute| !content || **attribute != Attribute::Time;
            for attribute in attributes.iter().filter(counts) {
                line.push_str(&format!(" {attribute:?}"));
            }
        }
        ChangeKind::Renamed { from, content } => {
            line.push_str(&format!(" from {from}{}", if *content { " content" } else { "" }));
        }
        ChangeKind::TypeChanged { from } => line.push_str(&format!(" from {from:?}")),
        _ => {}
    }
    if let Some(conflict) = change.conflict {
        line.push_str(&format!(" !{conflict:?}"));
    }
    line
}

pub(super) fn write(path: impl AsRef<Path>, content: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(super) fn mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives both the times of the first.
pub(super) fn same_time(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let time = fs::symlink_metadata(from).unwrap().modified().unwrap();
    fs::File::open(to).unwrap().set_modified(time).unwrap();
}

pub(super) fn whiteout(path: impl AsRef<Path>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

pub(super) fn xattr(path: impl AsRef<Path>, name: &str, value: &str) {
    rustix::fs::lsetxattr(path.as_ref(), name, value.as_bytes(), XattrFlags::empty()).unwrap();
}

pub(super) fn opaque(path: impl AsRef<Path>) {
    fs::create_dir_all(path.as_ref()).unwrap();
    xattr(path, "user.overlay.opaque", "y");
}

pub(super) fn odd(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Puts each in the place of the other.
pub(super) fn swap(one: &Path, other: &Path) {
    rustix::fs::renameat_with(CWD, one, CWD, other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
}

//! Branches to be exported, and what is seen of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use sandbox_types::{NodeKind, RelPath};

use super::super::*;
use crate::branch::copy::{Attributes, symlink_target};
use crate::branch::stack::{Dir, LayerFormat, Stack};
use crate::branch::walk::Walk;

/// What is at a path: its kind, its attributes but for a directory's time, its content or target, and the path of
/// the first link of the same file.
pub(super) type Seen = BTreeMap<RelPath, (NodeKind, Attributes, Vec<u8>, Option<RelPath>)>;

/// A base and a layer over it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) place: tempfile::TempDir,
    pub(super) format: LayerFormat,
}

impl World {
    pub(super) fn new(format: LayerFormat) -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["base", "layer"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        Self { place, format }
    }

    pub(super) fn base(&self) -> PathBuf {
        self.place.path().join("base")
    }

    pub(super) fn layer(&self) -> PathBuf {
        self.place.path().join("layer")
    }

    pub(super) fn stack(&self, layer: &Path) -> Stack {
        Stack::open(&[(layer.to_owned(), self.format)], &self.base()).unwrap()
    }

    pub(super) fn export(&self, layer: &Path) -> Vec<u8> {
        self.try_export(layer).0
    }

    pub(super) fn try_export(&self, layer: &Path) -> (Vec<u8>, ExportReport) {
        let mut archive = Vec::new();
        let about = About {
            branch: &"fix".parse().unwrap(),
            created: 7,
            over: None,
        };
        let part = Part {
            role: Role::Layer,
            stack: &self.stack(layer),
            base: &self.base(),
        };
        let report = export(&[part], &about, &mut archive, &mut |_| {}).unwrap();
        (archive, report)
    }

    /// Imports into a new directory of that name.
    pub(super) fn import(&self, archive: &[u8], name: &str) -> Result<(Imported, PathBuf), ImportError> {
        let into = self.place.path().join(name);
        fs::create_dir(&into).unwrap();
        let place = |_: &ArchiveManifest| Ok::<_, ImportError>(vec![into.clone()]);
        let imported = import(&mut &archive[..], &Limits::default(), place, &mut |_| {})?;
        Ok((imported, into))
    }
}

impl Drop for World {
    /// Directories that forbid it are removed too.
    fn drop(&mut self) {
        crate::branch::remove::remove_tree(&self.place.path().join("layer")).unwrap();
        for entry in fs::read_dir(self.place.path()).unwrap() {
            crate::branch::remove::remove_tree(&entry.unwrap().path()).unwrap();
        }
    }
}

/// The merged view.
pub(super) fn seen(stack: &Stack) -> Seen {
    let walk = Walk::new(stack);
    let mut seen = Seen::new();
    let mut links = BTreeMap::new();
    look(&walk, &stack.root().unwrap(), &mut links, &mut seen);
    seen
}

fn look(walk: &Walk<'_>, dir: &Dir<'_>, links: &mut BTreeMap<u64, RelPath>, seen: &mut Seen) {
    for (name, found) in dir.entries().unwrap() {
        let path = dir.path().join(&name).unwrap();
        let mut attributes = walk.attributes(&path, &found).unwrap();
        let mut content = Vec::new();
        match found.meta.kind {
            NodeKind::File => {
                let mut file = dir.open_file(&name, found.origin).unwrap();
                file.read_to_end(&mut content).unwrap();
            }
            NodeKind::Symlink => {
                content = symlink_target(dir.holder(found.origin).unwrap(), Path::new(&name))
                    .unwrap()
                    .0;
            }
            NodeKind::Directory => {
                attributes.mtime = None;
                look(walk, &dir.enter(&name).unwrap().unwrap(), links, seen);
            }
            _ => {}
        }
        let is_linked = found.meta.kind == NodeKind::File && found.meta.nlink > 1;
        let first = is_linked.then(|| {
            links
                .entry(found.meta.ino)
                .or_insert_with(|| path.clone())
                .clone()
        });
        seen.insert(path, (found.meta.kind, attributes, content, first));
    }
}

pub(super) fn write(dir: &Path, path: &str, content: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(super) fn chmod(dir: &Path, path: &str, mode: u32) {
    fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn whiteout(dir: &Path, path: &str) {
    rustix::fs::mknodat(CWD, dir.join(path), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

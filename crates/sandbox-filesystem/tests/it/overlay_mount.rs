//! `OverlayMount`: mounted for a program, privately or for everybody, and gone with it.

mod ends;
mod lives;
mod refused;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox_filesystem::branch::{OverlayConfig, OverlayError, OverlayMount, OverlayPlace};
use tempfile::TempDir;

use crate::harness::{is_root, part, passes};

/// A base with files, and where an upper over it may be.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("overlay-it-")
            .tempdir()
            .expect("a directory");
        let place = Self { dir };
        place.file("base/kept", "kept");
        place.file("base/dir/changed", "old");
        place.file("base/gone", "gone");
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below")).expect("mkdir");
        fs::write(&path, content).expect("write");
        path
    }

    fn read(&self, path: &str) -> String {
        read(&self.path(path))
    }

    fn config(&self) -> OverlayConfig {
        OverlayConfig::new(self.path("base"), self.path("layer/upper"))
    }

    fn overlay(&self) -> OverlayMount {
        OverlayMount::new(self.config())
    }

    /// The base is what `new` has made.
    #[track_caller]
    fn base_is_untouched(&self) {
        let files = ["base/kept", "base/dir/changed", "base/gone"].map(|path| self.read(path));
        assert_eq!(files, ["kept", "old", "gone"]);
        assert_eq!(fs::read_dir(self.path("base")).expect("readable").count(), 3);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

/// Writes, deletes and makes in the view.
fn change(view: &Path) {
    fs::write(view.join("dir/changed"), "new").expect("write");
    fs::remove_file(view.join("gone")).expect("unlink");
    fs::create_dir_all(view.join("a/b")).expect("mkdir");
    fs::write(view.join("a/b/made"), "made").expect("write");
}

/// The ways to reach a view that work for this user.
fn places() -> Vec<OverlayPlace> {
    let mut places = vec![OverlayPlace::Private];
    if is_root() {
        places.push(OverlayPlace::Merged);
    }
    places
}

/// Why no overlay can be had here.
pub(crate) fn impossible() -> Option<String> {
    let place = Place::new();
    match place.overlay().setup() {
        Err(error @ (OverlayError::NoNamespaces { .. } | OverlayError::Unsuitable(_))) => {
            Some(error.to_string())
        }
        result => {
            result.expect("an overlay");
            None
        }
    }
}

/// Runs `in_part` in a process of its own that `command` starts, with a new place.
fn in_part(name: &str, command: impl Fn(&str, &Path) -> Command, in_part: impl FnOnce(PathBuf)) {
    match part() {
        Some(dir) => in_part(dir),
        None => passes(&mut command(name, Place::new().dir.path())),
    }
}

/// Returns from the test, saying why, where overlays cannot be had. Whoever starts another process has looked.
macro_rules! needs_overlay {
    () => {
        if crate::harness::part().is_none()
            && let Some(reason) = super::impossible()
        {
            skip!("{reason}");
        }
    };
}
use needs_overlay;

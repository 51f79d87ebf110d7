//! A directory the plain user can read: programs, and a copy of the packages as far as tests read them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use crate::{
    artifact::{Artifact, Kind},
    cmd::Cmd,
    error::{Error, Result},
    scratch::copy_tree,
    workspace,
};

use super::account::Account;

pub(super) struct Place<'a> {
    root: &'a Path,
}

impl<'a> Place<'a> {
    pub(super) fn prepare(root: &'a Path, built: &[Artifact], user: &Account) -> Result<Self> {
        let place = Self { root };
        for dir in [place.bin(), place.tmp(), place.workspace()] {
            fs::create_dir(&dir).map_err(Error::io(dir))?;
        }
        chown(place.tmp(), Some(user.uid), Some(user.gid)).map_err(Error::io(place.tmp()))?;
        for program in built.iter().filter(|artifact| artifact.kind == Kind::Program) {
            copy_program(&program.executable, &place.program(&program.name))?;
        }
        for file in ["Cargo.toml", ".config"] {
            place.copy_source(Path::new(file))?;
        }
        for test in built
            .iter()
            .filter(|artifact| artifact.kind == Kind::IntegrationTest)
        {
            place.copy_source(&package(test).join("tests"))?;
        }
        Ok(place)
    }

    /// Copies a test program; the command that runs it where its package is, its environment empty.
    pub(super) fn install(&self, test: &Artifact) -> Result<Cmd> {
        let dir = self.workspace().join(package(test));
        let program = dir.join(&test.name);
        copy_program(&test.executable, &program)?;
        Ok(Cmd::new(program)
            .clear_env()
            .dir(&dir)
            .env("CARGO_MANIFEST_DIR", &dir))
    }

    /// Copies a program; the command that runs it in the copy of the workspace, its
    /// environment empty.
    pub(super) fn copy(&self, program: &Path) -> Result<Cmd> {
        let copy = self.bin().join(program.file_name().unwrap_or_default());
        copy_program(program, &copy)?;
        Ok(Cmd::new(copy).clear_env().dir(&self.workspace()))
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin().join(name)
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.root.join("tests.tar.zst")
    }

    /// A node for FUSE that the user may open, where the system's own is root's alone, as on a bare devtmpfs.
    pub(super) fn fuse_node(&self) -> Result<Option<PathBuf>> {
        let Ok(device) = fs::metadata("/dev/fuse") else {
            return Ok(None);
        };
        if device.permissions().mode() & 0o006 == 0o006 {
            return Ok(None);
        }
        let node = self.root.join("fuse");
        Cmd::new("mknod")
            .args(["-m", "666"])
            .arg(&node)
            .args(["c", "10", "229"])
            .run()?;
        Ok(Some(node))
    }

    /// The user's own.
    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Copies a file or directory of the workspace to the same place in the copy, when it exists.
    fn copy_source(&self, relative: &Path) -> Result<()> {
        let (from, to) = (workspace::root().join(relative), self.workspace().join(relative));
        if from.is_dir() {
            return copy_tree(&from, &to);
        }
        if from.is_file() {
            fs::copy(&from, &to).map_err(Error::io(&from))?;
        }
        Ok(())
    }
}

/// The directory of a test's package, relative to the workspace.
fn package(test: &Artifact) -> &Path {
    test.package_dir
        .strip_prefix(workspace::root())
        .unwrap_or(&test.package_dir)
}

fn copy_program(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(Error::io(from))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(Error::io(to))
}

//! The programs that are measured, built and put where every user can run them.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use super::account::Account;

use crate::{
    artifact::{self, Kind},
    cmd::{Cmd, cargo},
    dist,
    error::{Error, Result},
    scratch::Scratch,
    workspace,
};

/// The example that measures.
const DRIVER: &str = "bench_driver";
const FLOOR: &str = "floor";

/// Where the programs are. They are removed when this is dropped.
pub(super) struct Tools {
    scratch: Scratch,
}

impl Tools {
    /// Builds the command line tool as it is released, the driver, and the floor.
    pub(super) fn build() -> Result<Self> {
        let scratch = Scratch::new(Path::new("/tmp"), "sandbox-bench")?;
        let tools = Self { scratch };
        copy(&dist::build_static()?, &tools.sandbox())?;
        copy(&build_driver()?, &tools.driver())?;
        compile(FLOOR, tools.dir())?;
        Ok(tools)
    }

    pub(super) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn sandbox(&self) -> PathBuf {
        self.dir().join("sandbox")
    }

    pub(super) fn driver(&self) -> PathBuf {
        self.dir().join(DRIVER)
    }

    pub(super) fn floor(&self) -> PathBuf {
        self.dir().join(FLOOR)
    }

    /// A new directory that belongs to the user.
    pub(super) fn work_dir(&self, name: &str, account: &Account) -> Result<PathBuf> {
        let dir = self.dir().join(name);
        fs::create_dir(&dir).map_err(Error::io(&dir))?;
        give(&dir, account)?;
        Ok(dir)
    }
}

/// Where the benchmarks' own programs and scripts are.
pub(super) fn sources() -> PathBuf {
    workspace::root().join("xtask/bench")
}

/// Builds one of the benchmarks' own programs in C into `dir`.
pub(super) fn compile(name: &str, dir: &Path) -> Result<()> {
    let source = sources().join(format!("{name}.c"));
    Cmd::new("gcc")
        .args(["-O2", "-static", "-o"])
        .arg(dir.join(name))
        .arg(source)
        .run()
}

fn build_driver() -> Result<PathBuf> {
    build_example(DRIVER)
}

/// An example of the crate that is measured, as it is released.
pub(super) fn build_example(name: &'static str) -> Result<PathBuf> {
    build_example_of("sandbox-confine", name)
}

/// An example of that crate, as it is released, but for what only other programs need.
pub(super) fn build_example_of(package: &str, name: &'static str) -> Result<PathBuf> {
    let cargo = cargo().args([
        "build",
        "--locked",
        "--release",
        "--no-default-features",
        "--package",
        package,
        "--example",
        name,
    ]);
    let built = artifact::build(cargo)?;
    let driver = built
        .into_iter()
        .find(|artifact| artifact.kind == Kind::Example && artifact.name == name);
    driver
        .map(|artifact| artifact.executable)
        .ok_or(Error::NotBuilt { name })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(Error::io(from)).map(drop)
}

/// Makes `dir` the user's own.
pub(super) fn give(dir: &Path, account: &Account) -> Result<()> {
    if account.is_other {
        chown(dir, Some(account.uid), Some(account.gid)).map_err(Error::io(dir))?;
    }
    Ok(())
}

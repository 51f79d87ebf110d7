//! Programs from crates.io, built once into a directory of the project's own.

use std::path::PathBuf;

use crate::{cmd::cargo, error::Result, workspace};

/// Where they are, and what else no package brings.
pub(crate) fn bin() -> PathBuf {
    root().join("bin")
}

/// The program `name` of the crate of the same name; built when it is not there, in this version.
pub(crate) fn ensure(name: &str, version: &str) -> Result<PathBuf> {
    let program = bin().join(name);
    if !program.exists() {
        let install = cargo().args(["install", name, "--locked", "--version", version]);
        install
            .arg("--root")
            .arg(root())
            .arg("--target-dir")
            .arg(root().join("build"))
            .run()?;
    }
    Ok(program)
}

fn root() -> PathBuf {
    workspace::root().join("target/tools")
}

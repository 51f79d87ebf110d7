//! pjdfstest and fsx, built from crates.io into a directory of their own when they are not there.

use std::path::PathBuf;

use crate::{
    cmd::cargo,
    error::Result,
    setup::{self, Need},
    workspace,
};

/// Each with the version whose output is read here.
const CRATES: [(&str, &str); 2] = [("pjdfstest", "0.2.2"), ("fsx", "0.3.2")];

/// Where they are.
pub(super) struct Tools {
    pub(super) pjdfstest: PathBuf,
    pub(super) fsx: PathBuf,
}

pub(super) fn ensure() -> Result<Tools> {
    setup::ensure(&[Need::Conformance])?;
    let root = workspace::root().join("target/tools");
    let program = |name: &str| root.join("bin").join(name);
    for (name, version) in CRATES {
        if !program(name).exists() {
            let install = cargo().args(["install", name, "--locked", "--version", version]);
            install
                .arg("--root")
                .arg(&root)
                .arg("--target-dir")
                .arg(root.join("build"))
                .run()?;
        }
    }
    Ok(Tools {
        pjdfstest: program("pjdfstest"),
        fsx: program("fsx"),
    })
}

//! The programs that are compared: ours is built, peers are found or installed.

use std::{fs, path::PathBuf};

use super::contestants::FUSE_OVERLAYFS_CRATE;
use crate::{
    artifact,
    bench::tools::sources,
    cmd::{Cmd, cargo},
    error::{Error, Result},
    installed,
};

pub(super) fn build_server() -> Result<PathBuf> {
    let build = cargo().args([
        "build",
        "--locked",
        "--release",
        "--package=sandbox-filesystem",
        "--example",
        "serve",
    ]);
    let built = artifact::build(build)?;
    Ok(artifact::example(&built, "serve")?.executable.clone())
}

/// What no package brings. Where it cannot be built it is left out.
pub(super) fn ensure() {
    told("passthrough_hp and passthrough_ll", libfuse());
    told(FUSE_OVERLAYFS_CRATE, fuse_overlayfs());
}

fn told(what: &str, ensured: Result<()>) {
    if let Err(error) = ensured {
        println!("going on without {what}: {error}");
    }
}

/// libfuse's own examples, from Debian's source.
fn libfuse() -> Result<()> {
    let bin = installed::bin();
    let built = bin.join("libfuse-examples-with-xattrs");
    if built.exists() {
        return Ok(());
    }
    Cmd::new("sh").arg(sources().join("libfuse.sh")).arg(&bin).run()?;
    fs::write(&built, "").map_err(Error::io(&built))
}

/// The crate's program under a name of its own: Debian's is compared as well.
fn fuse_overlayfs() -> Result<()> {
    let renamed = installed::bin().join(FUSE_OVERLAYFS_CRATE);
    if renamed.exists() {
        return Ok(());
    }
    let program = installed::ensure("fuse-overlayfs", "2.0.0")?;
    fs::rename(program, &renamed).map_err(Error::io(&renamed))
}

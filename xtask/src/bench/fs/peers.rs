//! The programs that are compared: ours is built, peers are found or installed.

use std::path::PathBuf;

use crate::{
    artifact,
    bench::tools::sources,
    cmd::{Cmd, cargo},
    error::Result,
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

/// libfuse's own examples, from Debian's source. Where they cannot be built they are left out.
pub(super) fn ensure() {
    let bin = installed::bin();
    if bin.join("passthrough_hp").exists() {
        return;
    }
    let build = Cmd::new("sh").arg(sources().join("libfuse.sh")).arg(&bin);
    if let Err(error) = build.run() {
        println!("going on without passthrough_hp and passthrough_ll: {error}");
    }
}

//! `cargo xtask bench catalog`: what the catalog of volumes costs, against the floor it stands on.
//!
//! Both are measured by one program in one run: `crates/sandbox-volumes/examples/bench_volumes.rs`.

use std::path::PathBuf;

use crate::{
    artifact,
    cmd::{Cmd, cargo},
    error::Result,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many volumes are made
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(20..))]
    count: u32,
    /// Where they are made; a file system on a disk says most
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let built = artifact::build(cargo().args([
        "build",
        "--release",
        "--package=sandbox-volumes",
        "--example=bench_volumes",
    ]))?;
    let program = artifact::example(&built, "bench_volumes")?;
    Cmd::new(&program.executable)
        .arg(args.count.to_string())
        .arg(&args.dir)
        .run()
}

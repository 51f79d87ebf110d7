//! `sandbox mount`: a filesystem of ours, served by FUSE until it is unmounted.

mod background;
mod dual;
mod hints;
mod ids;
mod job;
mod mem;
mod options;
mod overlay;
mod passthrough;
mod serve;
mod server;
mod stats;
mod wire;

use std::io;
use std::process::ExitCode;

use crate::error::CliError;

pub(crate) use hints::hint;

/// Serve a filesystem: a directory as somebody else's, several on top of each other, or one in memory
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Unmount with Ctrl-C, or: fusermount3 -u MOUNTPOINT (as root: umount MOUNTPOINT)"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    filesystem: Filesystem,
}

#[derive(Debug, clap::Subcommand)]
enum Filesystem {
    Passthrough(passthrough::Args),
    Overlay(overlay::Args),
    Mem(mem::Args),
    Dual(dual::Args),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.filesystem {
        Filesystem::Passthrough(args) => passthrough::run(args),
        Filesystem::Overlay(args) => overlay::run(args),
        Filesystem::Mem(args) => mem::run(args),
        Filesystem::Dual(args) => dual::run(args),
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> CliError + Copy {
    move |source| CliError::Serving { what, source }
}

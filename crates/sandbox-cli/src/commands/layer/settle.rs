//! `sandbox layer settle`: what this program becomes when a signal has interrupted an import.

use std::path::PathBuf;
use std::process::ExitCode;

use sandbox::oci::Store;

use crate::error::CliError;

/// Remove what was interrupted
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory that layers are kept in
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The status to exit with
    #[arg(long, value_name = "STATUS")]
    interrupted: Option<u8>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.into.is_dir() {
        // Whoever opens it removes what nobody is unpacking any more.
        Store::open(&args.into)?;
    }
    Ok(args.interrupted.map_or(ExitCode::SUCCESS, ExitCode::from))
}

//! `sandbox man`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, ValueHint};

use crate::cli::Cli;
use crate::error::CliError;

/// Write the manual pages, one for each command
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory to write to; it is made when it does not exist
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut command = Cli::command();
    command.build();
    fs::create_dir_all(&args.dir).map_err(at(&args.dir))?;
    pages(&command, &args.dir)?;
    Ok(ExitCode::SUCCESS)
}

/// The page of a command, and those of its subcommands.
fn pages(command: &clap::Command, dir: &Path) -> Result<(), CliError> {
    // Its display name is that of its page: sandbox-run.
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    write(command, &dir.join(format!("{name}.1")))?;
    command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_name() != "help")
        .try_for_each(|subcommand| pages(subcommand, dir))
}

fn write(command: &clap::Command, path: &Path) -> Result<(), CliError> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut page)
        .and_then(|()| fs::write(path, page))
        .map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    move |source| CliError::File {
        path: path.to_owned(),
        source,
    }
}

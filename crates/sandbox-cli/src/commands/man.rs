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
    write(&command, &args.dir.join("sandbox.1"))?;
    for subcommand in command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_name() != "help")
    {
        // Its display name is that of its page: sandbox-run.
        let name = subcommand
            .get_display_name()
            .unwrap_or_else(|| subcommand.get_name());
        write(subcommand, &args.dir.join(format!("{name}.1")))?;
    }
    Ok(ExitCode::SUCCESS)
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

//! `sandbox completions`, and what the scripts that it prints ask for.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};

use crate::cli::Cli;
use crate::error::CliError;
use crate::output;

/// By which a script says that it wants to know how a line can go on.
const VARIABLE: &str = "COMPLETE";
const PROGRAM: &str = "sandbox";

/// Print completions for a shell
///
/// What the script prints asks this program while you type, so names of volumes are completed as well.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  $ sandbox completions bash > ~/.local/share/bash-completion/completions/sandbox"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    if let Some(shell) = shells.completer(&args.shell.to_string()) {
        shell
            .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
            .map_err(CliError::Stdout)?;
    }
    output::print(&String::from_utf8_lossy(&script), ExitCode::SUCCESS)
}

/// Answers a script that asks how a line can go on; the status to end with, where one does.
pub(crate) fn answer(args: &[OsString]) -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let here = std::env::current_dir().ok();
    match CompleteEnv::with_factory(Cli::command).try_complete(args.iter().cloned(), here.as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(error) => Some(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))),
    }
}

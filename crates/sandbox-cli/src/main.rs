//! The `sandbox` command: flags to policies, results to exit statuses and JSON. No logic of confinement.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod error;
mod output;
mod profiles;
mod run;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Subcommand};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = match cli.command {
        Subcommand::Run(args) => return run::run(&args),
        Subcommand::Doctor(args) => commands::doctor::run(&args),
        Subcommand::Profile(args) => commands::profile::run(&args),
        Subcommand::Gc(args) => commands::gc::run(&args),
        Subcommand::Completions(args) => commands::completions::run(&args),
        Subcommand::Man(args) => commands::man::run(&args),
    };
    result.unwrap_or_else(|error| {
        error.print();
        ExitCode::FAILURE
    })
}

/// What clap did not accept. A value that cannot be means that the sandbox failed before the command, as
/// every other bad value does; a word that no flag has is a usage error.
fn refuse(error: &clap::Error) -> ExitCode {
    let status = match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => error::SANDBOX_FAILED,
        _ => u8::try_from(error.exit_code()).unwrap_or(2),
    };
    match error.print() {
        Ok(()) => ExitCode::from(status),
        // The reader of the help text has seen enough.
        Err(_) => ExitCode::from(if status == 0 { 0 } else { status }),
    }
}

//! The `sandbox` command: flags to policies, results to exit statuses and JSON. No logic of confinement.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod error;
mod fork;
mod interrupt;
mod open_files;
mod output;
mod profiles;
mod progress;
mod run;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::{Cli, Subcommand};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(status) = commands::completions::answer(&args) {
        return status;
    }
    let cli = match Cli::read(&args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&args, &error),
    };
    let result = match cli.command {
        Subcommand::Run(args) => return run::run(&args),
        Subcommand::Fork(args) => return fork::run(*args),
        Subcommand::Exec(args) => return commands::exec::run(&args),
        Subcommand::Branch(args) => commands::branch::run(&args),
        Subcommand::Ps(args) => commands::ps::run(&args),
        Subcommand::Mount(args) => commands::mount::run(&args),
        Subcommand::Layer(args) => commands::layer::run(&args),
        Subcommand::Volume(args) => commands::volume::run(&args),
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

/// What clap did not accept. For `run` and `fork` it means that the sandbox failed before the command, whose own status
/// 2 must not be taken for it.
fn refuse(args: &[OsString], error: &clap::Error) -> ExitCode {
    let is_run = cli::runs_something(args);
    let status = match u8::try_from(error.exit_code()).unwrap_or(2) {
        0 => 0,
        _ if is_run => error::SANDBOX_FAILED,
        status => status,
    };
    // A reader who has seen enough of the text is no failure.
    error.print().ok();
    if is_run && status != 0 {
        run::refused(args, error, status);
    }
    ExitCode::from(status)
}

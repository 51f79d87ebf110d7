//! `sandbox exec`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use sandbox::branch::{BranchError, Use};
use sandbox::{BranchName, Command};

use crate::error::CliError;
use crate::run::{self, branch_end, live, live::Live};
use crate::workspace::WorkspaceArgs;

/// Run another command in the sandbox that has a branch mounted
///
/// It sees the same live view, the same processes and the same network, under the policy the sandbox was started with.
/// The sandbox goes on until the last command that was started from outside has ended.
#[derive(Debug, clap::Args)]
#[command(override_usage = "sandbox exec [OPTIONS] NAME -- COMMAND [ARGS]...")]
#[command(after_help = "\
Example:
  $ sandbox run --branch=fix-42 -- ./agent &
  $ sandbox exec fix-42 -- make test")]
pub(crate) struct Args {
    /// The branch
    name: BranchName,
    /// Start in this directory [default: the current one, where it is on the branch]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Set a variable; NAME alone takes it over from the caller
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    /// Give the command a terminal even when the caller has none
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    workspace: WorkspaceArgs,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let status = execute(args).unwrap_or_else(|error| {
        error.print();
        error.exit_status()
    });
    ExitCode::from(status)
}

fn execute(args: &Args) -> Result<u8, CliError> {
    let branch = args.workspace.branch(&args.name)?;
    if branch.in_use()? == Use::Free {
        return Err(CliError::NotRunning {
            name: args.name.clone(),
        });
    }
    let (program, words) = args
        .command
        .split_first()
        .map_or((OsStr::new(""), &[][..]), |(program, words)| {
            (program.as_os_str(), words)
        });
    let mut command = Command::new(program).args(words);
    if let Some(directory) = live::directory(&branch, args.cwd.as_deref()) {
        command = command.cwd(directory);
    }
    for variable in &args.env {
        let text = variable.to_string_lossy();
        command = match text.split_once('=') {
            Some((name, value)) => command.env(name, value),
            None => match std::env::var_os(variable) {
                Some(value) => command.env(variable, value),
                None => command,
            },
        };
    }
    let ended = run::run_in(args.interactive, command, |command| Live::join(&branch, command))?;
    if !ended.goes_on {
        // The last to leave puts on the disk what all have written.
        match branch_end::settle(branch, &args.command, &ended, true) {
            // Somebody has come in the meantime: now it is for them.
            Err(CliError::Branch(BranchError::InUse { .. })) => {}
            settled => settled?.tell(),
        }
    }
    Ok(ended.exit_status())
}

//! `sandbox run`: one command, confined.

pub(crate) mod args;
mod directory;
mod examples;
mod explain;
pub(crate) mod flags;
mod json;
mod notes;
mod paths;
mod policy;
mod signals;
mod streams;
mod terminal;
mod values;

use std::process::ExitCode;

use sandbox::{Command, RunResult, Sandbox};

use self::args::RunArgs;
use self::directory::Start;
use self::json::JsonTo;
use crate::error::CliError;

/// How a run ended, and with which status to say so.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: RunResult,
    /// The signal for which the caller's wish ended it.
    pub(crate) cancelled_by: Option<u8>,
}

/// Runs the command and gives the status to exit with.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let mut json = match args
        .output
        .json
        .as_ref()
        .map(|file| JsonTo::open(file.as_deref()))
        .transpose()
    {
        Ok(json) => json,
        Err(error) => {
            error.print();
            return ExitCode::from(error.exit_status());
        }
    };
    let status = match run_and_wait(args) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(ended)) => {
            let status = ended.exit_status();
            if notes_are_wanted(args) {
                notes::after(&ended.result.outcome, &args.limits);
            }
            json.as_mut().map_or(Ok(status), |json| {
                json.result(&ended.result, status).map(|()| status)
            })
        }
        Err(error) => {
            let status = error.exit_status();
            error.print();
            json.as_mut()
                .map_or(Ok(status), |json| json.error(&error, status).map(|()| status))
        }
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        error.print();
        error.exit_status()
    }))
}

fn run_and_wait(args: &RunArgs) -> Result<Option<Ended>, CliError> {
    let (policy, start) = policy::of(args)?;
    let prepared = Sandbox::prepare(&policy)?;
    if args.output.explain {
        explain::print(&prepared, &start)?;
        return Ok(None);
    }
    if !args.output.quiet {
        notes::hidden_directory(&start, &args.command);
    }
    let wants_terminal = args.output.interactive || terminal::is_ours();
    let command = if wants_terminal {
        command(args, &start).pty()
    } else {
        command(args, &start)
    };
    let process = prepared.spawn(command)?;
    if notes_are_wanted(args) {
        notes::before(process.report());
    }
    if wants_terminal {
        terminal::wait(process).map(Some)
    } else {
        streams::wait(process).map(Some)
    }
}

fn command(args: &RunArgs, start: &Start) -> Command {
    let command = Command::from(args.command.as_slice());
    match start {
        Start::In(directory) | Start::Grant(directory) => command.cwd(directory),
        Start::AsPolicy | Start::Home { .. } => command,
    }
}

/// JSON on standard error says all of it, and nothing else of ours may stand between its lines.
fn notes_are_wanted(args: &RunArgs) -> bool {
    !args.output.quiet && args.output.json != Some(None)
}

impl Ended {
    fn exit_status(&self) -> u8 {
        match (self.cancelled_by, &self.result.outcome) {
            (Some(signal), sandbox::Outcome::Cancelled) => 128_u8.saturating_add(signal),
            (_, outcome) => outcome.exit_status(),
        }
    }
}

//! `sandbox run`: one command, confined.

pub(crate) mod args;
mod attached;
pub(crate) mod branch_args;
pub(crate) mod branch_end;
mod branch_report;
pub(crate) mod directory;
mod examples;
mod explain;
pub(crate) mod flags;
pub(crate) mod given;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod notes;
pub(crate) mod on_branch;
mod paths;
pub(crate) mod policy;
pub(crate) mod signals;
mod streams;
pub(crate) mod terminal;
mod values;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use sandbox::cgroup::{Adopt, Hierarchy};
use sandbox::{Command, Left, Policy, Process, RunResult, Sandbox};

use self::args::RunArgs;
use self::branch_report::BranchReport;
use self::directory::Start;
use self::given::Given;
use self::json::JsonTo;
use self::live::{Door, Live};
use self::on_branch::Session;
use self::signals::Signals;
use crate::error::CliError;
use crate::output;

/// How a run ended, and with which status to say so.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: RunResult,
    /// The signal for which the caller's wish ended it.
    pub(crate) cancelled_by: Option<u8>,
    /// Others go on in its sandbox.
    pub(crate) goes_on: bool,
    /// The status to exit with, where it is not for the command to say.
    pub(crate) status: Option<u8>,
    /// What has become of the branch it ran on.
    pub(crate) branch: Option<BranchReport>,
}

/// Runs the command and gives the status to exit with.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    if args.output.json.as_deref() == Some(Path::new(json::STDERR)) {
        // JSON on standard error says all of it, and nothing else of ours may stand between its lines.
        output::collect();
    }
    let mut json = match args
        .output
        .json
        .as_ref()
        .map(|file| JsonTo::open(file))
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
            if !args.output.quiet {
                notes::after(ended.result.outcome, &args.limits);
            }
            json.as_mut().map_or(Ok(status), |json| {
                json.result(&ended.result, ended.branch.as_ref(), status)
                    .map(|()| status)
            })
        }
        Err(error) => {
            let status = error.exit_status();
            error.print();
            notes::name_apart(args, "--branch", status);
            json.as_mut()
                .map_or(Ok(status), |json| json.error(&error, status).map(|()| status))
        }
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        error.print();
        error.exit_status()
    }))
}

/// Says in JSON, where that was asked for, that the command line cannot be read.
pub(crate) fn refused(args: &[OsString], error: &clap::Error, status: u8) {
    let Some(file) = json::named_in(args) else { return };
    let command = args
        .get(1)
        .map_or_else(|| "run".into(), |word| word.to_string_lossy());
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    if let Err(error) = JsonTo::open(&file).and_then(|mut json| json.usage(what, &command, status)) {
        error.print();
    }
}

fn run_and_wait(args: &RunArgs) -> Result<Option<Ended>, CliError> {
    if !args.branch.is_asked() {
        return execute(args, None);
    }
    if args.branch.may_ask() && output::is_collecting() {
        return Err(CliError::QuestionInJson);
    }
    let mut session = Session::open(&args.branch)?;
    loop {
        let error = match execute(args, Some(&session)) {
            Ok(Some(mut ended)) => {
                let (report, status) = session.end(args, &ended);
                ended.branch = Some(report);
                ended.status = status;
                return Ok(Some(ended));
            }
            Ok(None) => {
                session.abandon();
                return Ok(None);
            }
            Err(error) => error,
        };
        session = session.after_failure(&args.branch, error)?;
    }
}

fn execute(args: &RunArgs, session: Option<&Session>) -> Result<Option<Ended>, CliError> {
    let (policy, start) = policy::of(args, session)?;
    let (policy, given) = Given::take(policy, args, session)?;
    let ended = execute_under(args, session, &policy, &given, &start);
    given.give_back();
    ended
}

fn execute_under(
    args: &RunArgs,
    session: Option<&Session>,
    policy: &Policy,
    given: &Given,
    start: &Start,
) -> Result<Option<Ended>, CliError> {
    stand_aside_for_limits(policy);
    if args.output.explain {
        let prepared = match given.prepared(policy)? {
            Some(prepared) => prepared,
            None => Sandbox::prepare(policy)?,
        };
        explain::print(&prepared, start)?;
        return Ok(None);
    }
    if !args.output.quiet {
        notes::hidden_directory(start, &args.command);
        notes::unset_variables(&args.process.env);
    }
    let on_terminal = wants_terminal(args, policy)?;
    let command = command(args, session, start, on_terminal);
    // A signal that comes during the start is for the command as well.
    let signals = Signals::block()?;
    let (process, live) = match session {
        None => match given.prepared(policy)? {
            Some(prepared) => (prepared.spawn(command)?, None),
            None => (command.under(policy).spawn()?, None),
        },
        Some(session) => {
            let (live, process) = session.start(|| given.sandbox(policy), command)?;
            (process, Some(live))
        }
    };
    if !args.output.quiet {
        notes::before(process.report());
        if let Some(session) = session {
            session.announce();
        }
    }
    wait(on_terminal, process, signals, live, given.leaving()).map(Some)
}

/// Runs a command that `start` starts, on the caller's streams, or on a terminal where the caller has one.
pub(crate) fn run_in(
    interactive: bool,
    command: Command,
    start: impl FnOnce(Command) -> Result<(Live, Process), CliError>,
) -> Result<Ended, CliError> {
    let on_terminal = if interactive || terminal::is_ours() {
        OnTerminal::Yes
    } else {
        OnTerminal::No
    };
    let command = on_terminal.set(command);
    let signals = Signals::block()?;
    let (live, process) = start(command)?;
    wait(on_terminal, process, signals, Some(live), Leaving::AnyTime)
}

/// When a holder of a sandbox may leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    AnyTime,
    /// What others use ends with this process.
    Last,
}

fn wait(
    on_terminal: OnTerminal,
    process: Process,
    signals: Signals,
    mut live: Option<Live>,
    leaving: Leaving,
) -> Result<Ended, CliError> {
    let mut shut = Door::Shut;
    let door = live.as_mut().map_or(&mut shut, Live::door);
    let mut ended = match on_terminal {
        OnTerminal::Yes => terminal::wait(process, signals, door)?,
        OnTerminal::No => streams::wait(process, signals, door)?,
    };
    if let Some(mut live) = live {
        if leaving == Leaving::Last {
            live.wait_for_others();
        }
        ended.goes_on = live.leave()? == Left::GoesOn;
    }
    Ok(ended)
}

/// In a cgroup that was delegated to this process alone (`systemd-run --user --scope -p Delegate=yes`), limits
/// can be set on a sibling only: this process moves into a leaf of its own. Where that does not work, the
/// report says what the limits are held by instead.
pub(crate) fn stand_aside_for_limits(policy: &Policy) {
    let limits = &policy.limits;
    if (limits.memory.is_some() || limits.processes.is_some() || limits.cpu_time.is_some())
        && let Err(error) = Hierarchy::host().probe_adopting(Adopt::OwnLeaf)
    {
        output::note(error);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTerminal {
    Yes,
    No,
}

/// A terminal is relayed and not counted, so a limit on output and a terminal exclude each other.
fn wants_terminal(args: &RunArgs, policy: &Policy) -> Result<OnTerminal, CliError> {
    match (args.output.interactive, policy.limits.output) {
        (true, Some(_)) => Err(CliError::UncountedTerminal),
        (true, None) => Ok(OnTerminal::Yes),
        (false, None) if terminal::is_ours() => Ok(OnTerminal::Yes),
        (false, _) => Ok(OnTerminal::No),
    }
}

impl OnTerminal {
    fn set(self, command: Command) -> Command {
        match self {
            Self::Yes => command.pty(),
            Self::No => command,
        }
    }
}

pub(crate) fn command(
    args: &RunArgs,
    session: Option<&Session>,
    start: &Start,
    on_terminal: OnTerminal,
) -> Command {
    let (program, words) = args
        .command
        .split_first()
        .map_or((OsStr::new(""), &[][..]), |(program, words)| (program, words));
    let mut command = Command::new(program).args(words);
    let directory = match start {
        Start::In(directory) | Start::Grant(directory) => Some(directory.clone()),
        Start::AsPolicy | Start::Home { .. } => None,
    };
    if let Some(directory) = session.and_then(Session::directory).or(directory) {
        command = command.cwd(directory);
    }
    on_terminal.set(command)
}

impl Ended {
    pub(crate) fn exit_status(&self) -> u8 {
        if let Some(status) = self.status {
            return status;
        }
        match (self.cancelled_by, &self.result.outcome) {
            (Some(signal), sandbox::Outcome::Cancelled) => 128_u8.saturating_add(signal),
            (_, outcome) => outcome.exit_status(),
        }
    }
}

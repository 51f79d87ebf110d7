//! `sandbox fork`: one program, warmed up once, and any number of clones of it.

pub(crate) mod args;
mod cancel;
mod examples;
mod install;
mod report;
mod window;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use sandbox::{ForkError, Policy, ReduceError, Sandbox, Stdio};

use self::args::{CloneArgs, ForkArgs, OutputArgs};
use self::cancel::Cancel;
use self::report::Report;
use crate::error::CliError;
use crate::output;
use crate::run::args::RunArgs;
use crate::run::directory::Start;
use crate::run::given::Given;
use crate::run::json::{self, JsonTo};
use crate::run::on_branch::Session;
use crate::run::{self, notes, policy};

/// Warms up, forks, gathers, and gives the status to exit with.
pub(crate) fn run(args: ForkArgs) -> ExitCode {
    if args.output.json.as_deref() == Some(Path::new(json::STDERR)) {
        output::collect();
    }
    let json = args.output.json.as_deref().map(JsonTo::open).transpose();
    let mut json = match json {
        Ok(json) => json,
        Err(error) => {
            error.print();
            return ExitCode::from(error.exit_status());
        }
    };
    let (run, clones, output) = args.into_run();
    let told = match execute(&run, &clones, &output) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(report)) => report.tell(&output, json.as_mut()),
        Err(error) => {
            let status = error.exit_status();
            error.print();
            notes::name_apart(&run, "--branch-per-clone", status);
            json.map_or(Ok(status), |mut json| json.error(&error, status).map(|()| status))
        }
    };
    ExitCode::from(told.unwrap_or_else(|error| {
        error.print();
        error.exit_status()
    }))
}

fn execute(run: &RunArgs, clones: &CloneArgs, output: &OutputArgs) -> Result<Option<Report>, CliError> {
    if let Some(directory) = &clones.runtime {
        return install::into(directory).map(|()| None);
    }
    let cancel = Cancel::block()?;
    // Each clone takes descriptors of this process.
    crate::open_files::raise();
    let session = clones
        .branch_per_clone
        .as_ref()
        .map(|_| session_of_its_own(run))
        .transpose()?;
    let report = on_branch(run, clones, output, session.as_ref(), &cancel);
    match session {
        Some(session) if report.is_err() => session.abandon(),
        _ => {}
    }
    report.map(Some)
}

/// The branch that the program works on. What is below clones' branches, nobody else may write to.
fn session_of_its_own(run: &RunArgs) -> Result<Session, CliError> {
    let session = Session::open(&run.branch)?;
    match session.joined() {
        None => Ok(session),
        Some(name) => Err(CliError::ForkOnLiveBranch { name: name.clone() }),
    }
}

fn on_branch(
    run: &RunArgs,
    clones: &CloneArgs,
    output: &OutputArgs,
    session: Option<&Session>,
    cancel: &Cancel,
) -> Result<Report, CliError> {
    let (policy, start) = policy::of(run, session)?;
    let (policy, given) = Given::take(policy, run, session)?;
    let place = Place {
        run,
        policy: &policy,
        given: &given,
        start: &start,
        session,
    };
    let report = place.execute(clones, output, cancel);
    given.give_back();
    report
}

/// Where the program runs.
struct Place<'a> {
    run: &'a RunArgs,
    policy: &'a Policy,
    given: &'a Given,
    start: &'a Start,
    session: Option<&'a Session>,
}

impl Place<'_> {
    fn execute(&self, clones: &CloneArgs, output: &OutputArgs, cancel: &Cancel) -> Result<Report, CliError> {
        run::stand_aside_for_limits(self.policy);
        if !output.quiet {
            notes::hidden_directory(self.start, &self.run.command);
            notes::unset_variables(&self.run.process.env);
        }
        let mut report = Report::new(clones.count());
        report.on_branch = self.session.map(|session| session.branch().name().clone());
        let ended = self.warm_up(clones, cancel).and_then(|mut template| {
            report.is_ready();
            report.enforced = Some(template.report());
            if !output.quiet {
                notes::before(&template.report());
            }
            window::run(&mut template, clones, &mut report)
        });
        match ended {
            Ok(()) => Ok(report),
            Err(CliError::Fork(ForkError::Cancelled) | CliError::Reduce(ReduceError::Cancelled)) => {
                report.cancelled_by = cancel.signal();
                Ok(report)
            }
            Err(error) => Err(error),
        }
    }

    /// The template, once its program has said that it is ready.
    fn warm_up(&self, clones: &CloneArgs, cancel: &Cancel) -> Result<Sandbox, CliError> {
        let command = run::command(self.run, self.session, self.start, run::OnTerminal::No)
            .stdin(Stdio::Null)
            .stdout(Stdio::Inherit)
            .stderr(Stdio::Inherit);
        let builder = self.given.builder(self.policy);
        let mut template = builder.template()?.cancel_when(cancel.descriptor()?);
        if let Some(session) = self.session {
            template = template.branches(session.branch().for_clones()?);
        }
        if let Some(span) = clones.ready_timeout {
            template = template.init_timeout(span.duration());
        }
        if clones.huge_pages {
            template = template.huge_pages();
        }
        Ok(template.command(command)?)
    }
}

/// Microseconds since then.
fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

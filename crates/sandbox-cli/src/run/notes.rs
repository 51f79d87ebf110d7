//! What a user should know about a run and would not see otherwise: lines on standard error.

use std::ffi::OsString;
use std::path::Path;

use sandbox::{EnforcementReport, Guarantee, GuaranteeReport, Mechanism, Outcome, Status, Stream};

use super::args::{LimitArgs, RunArgs};
use super::directory::Start;
use crate::output::{note, tell};

/// As a shell says it.
const NO_SUCH_COMMAND: u8 = 127;

/// The current directory stays hidden although the command line names something in it.
pub(crate) fn hidden_directory(start: &Start, command: &[OsString]) {
    let Start::Home { hidden, why } = start else {
        return;
    };
    let names_file = command.iter().enumerate().any(|(index, word)| {
        let path = Path::new(word);
        let is_looked_up = index == 0 && path.components().count() == 1;
        !path.is_absolute() && !is_looked_up && !word.is_empty() && path.exists()
    });
    if names_file {
        let hidden = hidden.display();
        note(format_args!(
            "{hidden} stays hidden ({why}); the command starts in an empty home; to allow: -r ."
        ));
    }
}

/// There is no such command, since it was to be the name of a branch: `--branch NAME -- COMMAND`; `flag` is what names one.
pub(crate) fn name_apart(args: &RunArgs, flag: &str, status: u8) {
    let is_nameless = args.branch.branch.as_ref().is_some_and(String::is_empty);
    if let [name, dashes, ..] = args.command.as_slice()
        && status == NO_SUCH_COMMAND
        && is_nameless
        && dashes == "--"
    {
        tell(format_args!(
            "  hint: a branch is named with an equals sign: {flag}={} --",
            name.display()
        ));
    }
}

/// Variables that were to be taken over and that nobody has set.
pub(crate) fn unset_variables(asked: &[OsString]) {
    for name in asked {
        if !name.as_encoded_bytes().contains(&b'=') && std::env::var_os(name).is_none() {
            note(format_args!("--env {}: is not set here", name.display()));
        }
    }
}

/// What is weaker than it could be, if anything.
pub(crate) fn before(report: &EnforcementReport) {
    if report.full {
        return;
    }
    for entry in &report.notes {
        match &entry.hint {
            Some(hint) => note(format_args!("{} → {hint}", entry.what)),
            None => note(&entry.what),
        }
    }
    for entry in report.weaker().filter(|entry| needs_a_line(entry)) {
        let title = entry.guarantee.title();
        match (entry.status, sandbox::doctor::remedy(entry.guarantee)) {
            (Status::Disabled, Some(hint)) => note(format_args!("{title}: NOT ENFORCED → {hint}")),
            (Status::Disabled, None) => note(format_args!("{title}: NOT ENFORCED")),
            (_, Some(hint)) => note(format_args!("{title}: {} → {hint}", entry.says)),
            (_, None) => note(format_args!("{title}: {}", entry.says)),
        }
    }
}

/// A limit, or something that is not there at all. What only lacks namespaces or Landlock is one note.
fn needs_a_line(entry: &GuaranteeReport) -> bool {
    let is_limit = matches!(
        entry.guarantee,
        Guarantee::Memory | Guarantee::Processes | Guarantee::CpuTime
    );
    is_limit
        || entry.status == Status::Disabled
        || entry.missing.iter().all(|missing| !is_said_once(*missing))
}

fn is_said_once(mechanism: Mechanism) -> bool {
    use Mechanism as M;
    matches!(
        mechanism,
        M::UserNamespace
            | M::PrivateRoot
            | M::PidNamespace
            | M::IpcNamespace
            | M::NetworkNamespace
            | M::Landlock
            | M::LandlockNet
            | M::LandlockScope
            | M::LandlockUnix
    )
}

/// The limit that ended the run, and the flag that would allow more.
pub(crate) fn after(outcome: Outcome, limits: &LimitArgs) {
    let of = |value: Option<String>| value.map(|value| format!(" of {value}")).unwrap_or_default();
    let size = |size: Option<sandbox::ByteSize>| of(size.map(|size| size.to_string()));
    let span = |span: Option<sandbox::Span>| of(span.map(|span| span.to_string()));
    let (what, value, flag) = match outcome {
        Outcome::WallTime => ("wall time limit", span(limits.wall_time), "--wall-time"),
        Outcome::CpuTime => ("CPU time limit", span(limits.cpu_time), "--cpu-time"),
        Outcome::Memory => ("memory limit", size(limits.memory), "--memory"),
        Outcome::Processes => (
            "process limit",
            of(limits.processes.map(|n| n.to_string())),
            "--processes",
        ),
        Outcome::FileSize => ("file size limit", size(limits.file_size), "--file-size"),
        Outcome::Output {
            stream: Stream::Stdout,
        } => (
            "limit on standard output",
            size(limits.output_limit),
            "--output-limit",
        ),
        Outcome::Output {
            stream: Stream::Stderr,
        } => (
            "limit on standard error",
            size(limits.output_limit),
            "--output-limit",
        ),
        _ => return,
    };
    note(format_args!("{what}{value} reached; to allow more: {flag}"));
}

//! `--explain`: the plan, and what it would enforce.

use std::process::ExitCode;

use sandbox::Prepared;
use sandbox::plan::Plan;

use super::directory::Start;
use crate::error::CliError;
use crate::output;

/// Prints the plan.
pub(crate) fn print(prepared: &Prepared, start: &Start) -> Result<(), CliError> {
    output::print(&text(&prepared.plan(), start), ExitCode::SUCCESS).map(drop)
}

fn text(plan: &Plan, start: &Start) -> String {
    let mut text = String::new();
    section(&mut text, "Root", &plan.steps);
    let rules = plan
        .landlock
        .paths
        .iter()
        .map(|rule| format!("{:#06x} beneath {}", rule.rights, rule.path.display()));
    section(&mut text, "Landlock", rules);
    section(
        &mut text,
        "TCP ports",
        plan.landlock
            .ports
            .iter()
            .map(|(port, rights)| format!("{rights:#x} on {port}")),
    );
    section(
        &mut text,
        "Environment",
        plan.env
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display())),
    );
    let directory = match start {
        Start::In(directory) | Start::Grant(directory) => directory,
        Start::AsPolicy | Start::Home { .. } => &plan.cwd,
    };
    section(&mut text, "Directory", [directory.display()]);
    let guarantees = plan.report.guarantees.iter().map(|entry| {
        let by: Vec<_> = entry.by.iter().map(|mechanism| mechanism.title()).collect();
        format!(
            "{:<16} {:<9} {}",
            entry.guarantee.title(),
            format!("{:?}", entry.status),
            by.join(", ")
        )
    });
    section(&mut text, "Guarantees", guarantees);
    section(
        &mut text,
        "Notes",
        plan.report.notes.iter().map(|note| &note.what),
    );
    text
}

fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = impl std::fmt::Display>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return;
    }
    text.push_str(&format!("{title}\n"));
    for line in lines {
        text.push_str(&format!("  {line}\n"));
    }
}

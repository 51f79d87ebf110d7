//! `sandbox doctor`.

use std::process::ExitCode;

use sandbox::doctor::{Diagnosis, diagnose};
use sandbox::{EnforcementReport, Status};
use serde::Serialize;

use super::volume::health::{VolumesHealth, Wish, health};
use crate::error::CliError;
use crate::output::{print, print_json};

/// Say what this host can enforce, by trying it, and whether volumes are as they should be
///
/// Ends with status 0 when everything can be (`--require full` would start, with limits) and nothing is wrong with
/// volumes, else with 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mend what is wrong with volumes first: a damaged catalog is set aside and made anew from their directories
    #[arg(long)]
    repair: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let diagnosis = diagnose();
    let wish = if args.repair { Wish::Mend } else { Wish::Look };
    let volumes = health(wish);
    let is_well = volumes.as_ref().is_none_or(|volumes| volumes.problems.is_empty());
    let status = if diagnosis.full && is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if args.json {
        print_json(&Json::of(&diagnosis, volumes.as_ref()), status)
    } else {
        let mut text = text(&diagnosis);
        if let Some(volumes) = &volumes {
            text.push_str(&of_volumes(volumes));
        }
        print(&text, status)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    full: bool,
    findings: Vec<Finding<'a>>,
    report: &'a EnforcementReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<&'a VolumesHealth>,
}

#[derive(Serialize)]
struct Finding<'a> {
    title: &'a str,
    status: Status,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Json<'a> {
    fn of(diagnosis: &'a Diagnosis, volumes: Option<&'a VolumesHealth>) -> Self {
        let findings = diagnosis.findings.iter().map(|finding| Finding {
            title: finding.title,
            status: finding.status,
            detail: &finding.detail,
            hint: finding.hint.as_deref(),
        });
        Self {
            full: diagnosis.full,
            findings: findings.collect(),
            report: &diagnosis.report,
            volumes,
        }
    }
}

fn text(diagnosis: &Diagnosis) -> String {
    let width = diagnosis
        .findings
        .iter()
        .map(|finding| finding.title.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for finding in &diagnosis.findings {
        let status = format!("{:?}", finding.status);
        let line = format!("{:width$}  {status:<8}  {}", finding.title, finding.detail);
        text.push_str(&format!("{}\n", line.trim_end()));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("{:width$}  → {hint}\n", ""));
        }
    }
    let missing: Vec<_> = diagnosis.missing().map(|finding| finding.title).collect();
    let answer = if missing.is_empty() {
        "yes".to_owned()
    } else {
        format!("no ({})", missing.join(", "))
    };
    text.push_str(&format!("`full` possible: {answer}\n"));
    text
}

fn of_volumes(health: &VolumesHealth) -> String {
    let mut text = String::new();
    for line in health.repaired.iter().chain(&health.problems) {
        text.push_str(&format!("volumes: {line}\n"));
    }
    if health.problems.is_empty() {
        text.push_str(&format!(
            "volumes: {} sound, {} snapshots\n",
            health.volumes, health.snapshots
        ));
    } else {
        text.push_str("  → mend what can be: sandbox doctor --repair\n");
    }
    text
}

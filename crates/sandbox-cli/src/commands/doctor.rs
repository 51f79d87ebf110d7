//! `sandbox doctor`.

use std::process::ExitCode;

use sandbox::doctor::{Diagnosis, diagnose};
use sandbox::{EnforcementReport, Status};
use serde::Serialize;

use crate::error::CliError;
use crate::output::{print, print_json};

/// Say what this host can enforce, by trying it
///
/// Ends with status 0 when everything can be (`--require full` would start, with limits), else with 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let diagnosis = diagnose();
    let status = if diagnosis.full {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if args.json {
        print_json(&Json::from(&diagnosis), status)
    } else {
        print(&text(&diagnosis), status)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    full: bool,
    findings: Vec<Finding<'a>>,
    report: &'a EnforcementReport,
}

#[derive(Serialize)]
struct Finding<'a> {
    title: &'a str,
    status: Status,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> From<&'a Diagnosis> for Json<'a> {
    fn from(diagnosis: &'a Diagnosis) -> Self {
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

//! What this host can enforce, found by doing it.

use std::time::Duration;

use sandbox_types::{
    EnforcementReport, Guarantee, GuaranteeReport, Mechanism, Outcome, Policy, Require, SizeExt, Status,
};

use super::{namespaces_note, remedy};
use crate::command::Stdio;
use crate::error::RunError;
use crate::host::{Host, known_no_namespaces};
use crate::sandbox::Sandbox;

/// What this host can enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Whether `require = "full"` can be kept, limits included.
    pub full: bool,
    /// Every protection.
    pub findings: Vec<Finding>,
    /// What the probe itself enforced, with limits on memory, processes and CPU time.
    pub report: EnforcementReport,
}

/// One protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub title: &'static str,
    /// How far it holds.
    pub status: Status,
    /// By what, or why not.
    pub detail: String,
    /// What would change it.
    pub hint: Option<String>,
}

impl Diagnosis {
    /// What is not fully enforced.
    pub fn missing(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.status != Status::Enforced)
    }
}

/// Runs a probe and says what held. Never fails: that nothing runs is a finding, too.
pub fn diagnose() -> Diagnosis {
    let probed = match probe(&limited()) {
        Ok(report) => Ok((report, None)),
        // Limits are the only part that differs; how far the rest holds is still of interest.
        Err(why) => probe(&unlimited()).map(|report| (report, Some(why))),
    };
    match probed {
        Ok((report, limits_failure)) => of_report(report, limits_failure.as_ref()),
        Err(why) => Diagnosis {
            full: false,
            findings: vec![Finding {
                title: "sandbox",
                status: Status::Disabled,
                detail: why.to_string(),
                hint: None,
            }],
            report: EnforcementReport::default(),
        },
    }
}

fn unlimited() -> Policy {
    Policy {
        require: Require::BestEffort,
        ..Policy::default()
    }
}

fn limited() -> Policy {
    let mut policy = unlimited();
    policy.limits.memory = Some(1.gib());
    policy.limits.processes = Some(1000);
    policy.limits.cpu_time = Some(Duration::from_mins(1).into());
    policy
}

/// What the run of a program that does nothing enforced.
fn probe(policy: &Policy) -> Result<EnforcementReport, RunError> {
    let command = Sandbox::command(policy, "/bin/true")
        .stdout(Stdio::Null)
        .stderr(Stdio::Null)
        .stdin(Stdio::Null);
    let result = command.spawn()?.wait()?;
    match result.outcome {
        Outcome::Exited { code: 0 } => Ok(result.report),
        _ => Err(RunError::InitDied),
    }
}

fn of_report(report: EnforcementReport, limits_failure: Option<&RunError>) -> Diagnosis {
    let mut findings = vec![namespaces(&report), landlock(), seccomp(&report)];
    let limits = [
        (Guarantee::Memory, "memory limit"),
        (Guarantee::Processes, "process limit"),
        (Guarantee::CpuTime, "CPU-time limit"),
    ];
    findings.extend(limits.map(|(guarantee, title)| limit(&report, guarantee, title, limits_failure)));
    // What of the rest is weaker for a reason that no line above gives.
    let is_told = findings.iter().any(|finding| finding.status != Status::Enforced);
    if !is_told {
        findings.extend(report.weaker().map(of_guarantee));
    }
    let full = report.full && findings.iter().all(|finding| finding.status == Status::Enforced);
    Diagnosis {
        full,
        findings,
        report,
    }
}

fn of_guarantee(entry: &GuaranteeReport) -> Finding {
    Finding {
        title: entry.guarantee.title(),
        status: entry.status,
        detail: entry.says.clone(),
        hint: None,
    }
}

fn namespaces(report: &EnforcementReport) -> Finding {
    const TITLE: &str = "user+mount+pid+ipc+uts+net";
    let is_used = report
        .get(Guarantee::FilesRead)
        .is_some_and(|entry| entry.by.contains(&Mechanism::PrivateRoot));
    if is_used {
        return Finding {
            title: TITLE,
            status: Status::Enforced,
            detail: String::new(),
            hint: None,
        };
    }
    let note = known_no_namespaces().map(|cause| namespaces_note(&cause));
    let (detail, hint) = note.map_or_else(
        || ("no namespaces".to_owned(), None),
        |note| (note.what, note.hint),
    );
    Finding {
        title: TITLE,
        status: Status::Disabled,
        detail,
        hint,
    }
}

fn landlock() -> Finding {
    let abi = Host::detect().map_or(0, |host| host.landlock_abi);
    match abi {
        0 => Finding {
            title: "landlock",
            status: Status::Disabled,
            detail: "not in this kernel, not enabled, or refused by a filter".to_owned(),
            hint: Some("Linux 5.13 or later with landlock in the lsm= boot parameter".to_owned()),
        },
        abi => Finding {
            title: "landlock",
            status: Status::Enforced,
            detail: format!("ABI {abi}"),
            hint: None,
        },
    }
}

fn seccomp(report: &EnforcementReport) -> Finding {
    let of = |guarantee| {
        report
            .get(guarantee)
            .map_or(Status::Disabled, |entry| entry.status)
    };
    let status = of(Guarantee::Syscalls);
    Finding {
        title: "seccomp · capabilities",
        status,
        detail: String::new(),
        hint: None,
    }
}

fn limit(
    report: &EnforcementReport,
    guarantee: Guarantee,
    title: &'static str,
    failure: Option<&RunError>,
) -> Finding {
    let hint = || remedy(guarantee).map(str::to_owned);
    match (report.get(guarantee), failure) {
        (Some(entry), _) if entry.status == Status::Enforced => {
            let by: Vec<_> = entry.by.iter().map(|mechanism| mechanism.title()).collect();
            Finding {
                title,
                status: entry.status,
                detail: by.join(", "),
                hint: None,
            }
        }
        (Some(entry), _) => Finding {
            title,
            status: entry.status,
            detail: entry.says.clone(),
            hint: hint(),
        },
        (None, Some(failure)) => Finding {
            title,
            status: Status::Disabled,
            detail: failure.to_string(),
            hint: hint(),
        },
        (None, None) => Finding {
            title,
            status: Status::Disabled,
            detail: String::new(),
            hint: hint(),
        },
    }
}

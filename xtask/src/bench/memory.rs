//! What the supervising process of a plain run holds in memory while the command runs.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use super::{BenchError, account::Account, left::status_kib, peer::command_as, tools::Tools};
use crate::error::{Error, Result};

const LIMIT_KIB: u64 = 5 * 1024;

/// Kibibytes, as in /proc/PID/status.
pub(super) struct Memory {
    resident: u64,
    anonymous: u64,
    peak: u64,
}

/// Looks at the supervisor while its command waits for input.
pub(super) fn measure(tools: &Tools, account: &Account) -> Result<Memory> {
    let mut command = command_as(account, &tools.sandbox());
    command
        .args(["run", "--", "sh", "-c", "echo running; read line"])
        .current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let failed = |source| BenchError::Peer {
        program: "sandbox run".to_owned(),
        source,
    };
    let mut child = command.spawn().map_err(failed)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.as_mut() {
        BufReader::new(output).read_line(&mut line).map_err(failed)?;
    }
    let path = format!("/proc/{}/status", child.id());
    let status = fs::read_to_string(&path).map_err(Error::io(&path))?;
    // The end of its input ends the command.
    drop(child.stdin.take());
    child.wait().map_err(failed)?;
    if line.trim_end() != "running" {
        return Err(BenchError::Answer {
            program: "sandbox run".to_owned(),
            answer: line,
        }
        .into());
    }
    Ok(Memory {
        resident: status_kib(&status, "VmRSS").unwrap_or(0),
        anonymous: status_kib(&status, "RssAnon").unwrap_or(0),
        peak: status_kib(&status, "VmHWM").unwrap_or(0),
    })
}

impl Memory {
    pub(super) fn print(&self) {
        let Self {
            resident,
            anonymous,
            peak,
        } = self;
        println!(
            "\nsupervisor of a plain run: {resident} KiB resident ({anonymous} KiB its own), at most {peak} KiB"
        );
        let verdict = if self.is_met() { "met" } else { "not met" };
        println!("target: supervisor ≤ {LIMIT_KIB} KiB: {peak}, {verdict}");
    }

    pub(super) fn json(&self) -> Value {
        json!({ "resident_kib": self.resident, "anonymous_kib": self.anonymous, "peak_kib": self.peak,
                "limit_kib": LIMIT_KIB, "met": self.is_met() })
    }

    fn is_met(&self) -> bool {
        self.peak <= LIMIT_KIB
    }
}

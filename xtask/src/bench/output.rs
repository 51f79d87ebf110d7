//! Programs whose output is their answer.

use std::{
    io,
    process::{Command, Output},
};

use super::BenchError;

/// Its standard output; a failure names the last line of what it said.
pub(super) fn output_of(command: &mut Command) -> Result<String, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source: io::Error| BenchError::Peer {
        program: program.clone(),
        source,
    };
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().map_err(failed)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(BenchError::Run {
        program,
        why: last.map_or_else(|| status.to_string(), |line| format!("{status}: {}", line.trim())),
    })
}

//! A process that forks when it is told to.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::{
    bench::{BenchError, account::Account, peer::command_as},
    error::Result,
};

/// A process that forks when told to. Killed and reaped when dropped.
pub(super) struct Forker {
    program: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Forker {
    /// One with so much memory in such pages, whose clones do that.
    pub(super) fn start(
        account: &Account,
        program: &Path,
        (mib, pages): (u32, &str),
        does: &str,
    ) -> Result<Self> {
        let mut command = command_as(account, program);
        command.arg(mib.to_string()).args([pages, does]).current_dir("/");
        Self::of(command, program)
    }

    pub(super) fn of(mut command: Command, program: &Path) -> Result<Self> {
        let program = program.display().to_string();
        let failed = |source| BenchError::Peer {
            program: program.clone(),
            source,
        };
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(failed)?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::Ended { program }.into());
        };
        Ok(Self {
            program,
            child,
            requests,
            answers: BufReader::new(answers),
        })
    }

    /// Until all ran, and until all had ended.
    pub(super) fn ask(&mut self, request: &str, count: u32) -> Result<(Duration, Duration)> {
        match self.times(request, count)?.as_slice() {
            [made, ended] => Ok((*made, *ended)),
            times => Err(BenchError::Answer {
                program: self.program.clone(),
                answer: format!("{times:?}"),
            }
            .into()),
        }
    }

    /// As many times as are answered.
    pub(super) fn times(&mut self, request: &str, count: u32) -> Result<Vec<Duration>> {
        let program = || self.program.clone();
        let failed = |source| BenchError::Peer {
            program: program(),
            source,
        };
        writeln!(self.requests, "{request}\t{count}").map_err(failed)?;
        let mut line = String::new();
        if self.answers.read_line(&mut line).map_err(failed)? == 0 {
            return Err(BenchError::Ended { program: program() }.into());
        }
        let words: Vec<&str> = line.trim_end().split('\t').collect();
        let nanos = |word: &str| word.parse().ok().map(Duration::from_nanos);
        match words.as_slice() {
            ["ok", times @ ..] => times
                .iter()
                .map(|time| nanos(time))
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    BenchError::Answer {
                        program: program(),
                        answer: line.clone(),
                    }
                    .into()
                }),
            ["failed", why] => Err(BenchError::Run {
                program: program(),
                why: (*why).to_owned(),
            }
            .into()),
            _ => Err(BenchError::Answer {
                program: program(),
                answer: line.clone(),
            }
            .into()),
        }
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("warning: {}: {error}", self.program);
        }
    }
}

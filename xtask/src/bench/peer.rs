//! A process that makes one run when told to, and answers how long it took.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::{BenchError, account::Account};

/// As the system's own login sets it.
pub(super) const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The driver, or the floor in a loop. Killed and reaped when dropped.
pub(super) struct Peer {
    program: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A command that runs as `account`, with that user's home.
pub(super) fn command_as(account: &Account, program: &Path) -> Command {
    let mut command = Command::new(program);
    if account.is_other {
        command.uid(account.uid).gid(account.gid).env_clear();
        command
            .env("PATH", SYSTEM_PATH)
            .env("HOME", &account.home)
            .env("USER", &account.name);
    }
    command
}

impl Peer {
    /// Starts `command`, which reads requests and writes answers.
    pub(super) fn start(mut command: Command) -> Result<Self, BenchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |source| BenchError::Peer {
            program: program.clone(),
            source,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => Ok(Self {
                program,
                child,
                requests,
                answers: BufReader::new(answers),
            }),
            _ => Err(BenchError::Ended { program }),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long the run took that the words ask for.
    pub(super) fn ask(&mut self, words: &[String]) -> Result<Duration, BenchError> {
        self.ask_all(words, &mut |_, _| {})
    }

    /// The same for many runs; `on_run` hears when each ended, and how long it took.
    pub(super) fn ask_all(
        &mut self,
        words: &[String],
        on_run: &mut dyn FnMut(Duration, Duration),
    ) -> Result<Duration, BenchError> {
        let failed = |source| BenchError::Peer {
            program: self.program.clone(),
            source,
        };
        writeln!(self.requests, "{}", words.join("\t")).map_err(failed)?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line).map_err(failed)? == 0 {
                return Err(BenchError::Ended {
                    program: self.program.clone(),
                });
            }
            match Answer::parse(line.trim_end()) {
                Some(Answer::Run { at, took }) => on_run(at, took),
                Some(Answer::Done(took)) => return Ok(took),
                Some(Answer::Failed(why)) => {
                    return Err(BenchError::Run {
                        program: self.program.clone(),
                        why: why.to_owned(),
                    });
                }
                None => {
                    let answer = line.trim_end().to_owned();
                    return Err(BenchError::Answer {
                        program: self.program.clone(),
                        answer,
                    });
                }
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("warning: {}: {error}", self.program);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer<'a> {
    Run { at: Duration, took: Duration },
    Done(Duration),
    Failed(&'a str),
}

impl<'a> Answer<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once('\t')?;
        match word {
            "run" => {
                let (at, took) = rest.split_once('\t')?;
                let at = Duration::from_micros(at.parse().ok()?);
                Some(Self::Run {
                    at,
                    took: Duration::from_nanos(took.parse().ok()?),
                })
            }
            "ok" => Some(Self::Done(Duration::from_nanos(rest.parse().ok()?))),
            "failed" => Some(Self::Failed(rest)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_times_or_reasons() {
        let run = Answer::Run {
            at: Duration::from_micros(5),
            took: Duration::from_nanos(7),
        };
        assert_eq!(Answer::parse("run\t5\t7"), Some(run));
        assert_eq!(
            Answer::parse("ok\t12"),
            Some(Answer::Done(Duration::from_nanos(12)))
        );
        assert_eq!(
            Answer::parse("failed\tno such file"),
            Some(Answer::Failed("no such file"))
        );
        assert_eq!(Answer::parse("ok\tsoon"), None);
    }
}

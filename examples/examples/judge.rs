//! A judge: one untrusted program, many tests, one verdict each.
//!
//! The policy is prepared once; every test runs in a sandbox of its own. The verdict is decided by what
//! ended the run, so a program that exits with 124 is not mistaken for one that ran out of time.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use sandbox::policy::OnOutput;
use sandbox::{Outcome, Policy, Prepared, Sandbox, SizeExt};

/// Reads a number and prints its double; knows three ways to misbehave.
const PROGRAM: &str = r"read n
case $n in
    loop) while :; do :; done ;;
    flood) while echo flood; do :; done ;;
    crash) kill -SEGV $$ ;;
    *) echo $((n * 2)) ;;
esac";

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    WrongAnswer,
    TimeLimit,
    OutputLimit,
    RuntimeError,
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::builder()
        .wall_time(Duration::from_millis(500))
        .output(64.kib(), OnOutput::Kill)
        .open_files(32)
        .build()?;
    let ready = Sandbox::prepare(&policy)?;

    let tests = [
        ("21", "42\n", Verdict::Accepted),
        ("1", "3\n", Verdict::WrongAnswer),
        ("loop", "", Verdict::TimeLimit),
        ("flood", "", Verdict::OutputLimit),
        ("crash", "", Verdict::RuntimeError),
    ];
    for (input, expected, verdict) in tests {
        let found = judge(&ready, input, expected)?;
        writeln!(stdout(), "{input:>6}: {found:?}")?;
        assert_eq!(found, verdict);
    }
    Ok(())
}

fn judge(ready: &Prepared, input: &str, expected: &str) -> Result<Verdict, sandbox::RunError> {
    let stdin = format!("{input}\n").into_bytes();
    let result = ready.command("sh").args(["-c", PROGRAM]).stdin(stdin).output()?;
    Ok(match result.outcome {
        Outcome::Exited { code: 0 } if result.stdout == expected.as_bytes() => Verdict::Accepted,
        Outcome::Exited { code: 0 } => Verdict::WrongAnswer,
        Outcome::WallTime | Outcome::CpuTime => Verdict::TimeLimit,
        Outcome::Output { .. } => Verdict::OutputLimit,
        _ => Verdict::RuntimeError,
    })
}

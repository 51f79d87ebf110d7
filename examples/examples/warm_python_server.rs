//! A warm Python server: the interpreter and its imports are loaded once, and each request is answered by a clone that
//! has them, behind every wall of the policy, in a few milliseconds.
//!
//! The program says that it is ready by `sandbox_fork.ready()`, which is there inside: nothing has to be installed. What
//! one request does to the interpreter, to /dev/shm of its process, or to itself is of no concern to the next: the third
//! one here ends its interpreter by a signal, and the template does not even notice.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use sandbox::{CloneInput, Command, ForkOptions, Outcome, Policy, Sandbox};

const PROGRAM: &str = r"
import decimal, fractions, json, statistics, sys
import sandbox_fork

history = []
sandbox_fork.ready()
request = sys.stdin.read()
history.append(request)
print(eval(request), len(history))
";

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::builder().wall_time(Duration::from_secs(10)).build()?;
    let start = Instant::now();
    let mut python = Sandbox::template(&policy).command(Command::new("python3").args(["-c", PROGRAM]))?;
    writeln!(stdout(), "warm after {:?}", start.elapsed())?;
    let requests = [
        ("statistics.mean([1, 2, 6])", Some("3 1\n")),
        (
            "fractions.Fraction(1, 3) + fractions.Fraction(1, 6)",
            Some("1/2 1\n"),
        ),
        ("__import__('os').kill(__import__('os').getpid(), 9)", None),
        ("open('/etc/hostname').read().strip()", Some("sandbox 1\n")),
    ];
    for (request, expected) in requests {
        let start = Instant::now();
        let (outcome, answer) = answer(&mut python, request)?;
        writeln!(
            stdout(),
            "{request}: {outcome} after {:?}: {}",
            start.elapsed(),
            answer.trim()
        )?;
        if expected.is_some_and(|expected| expected != answer) || expected.is_some() != outcome.success() {
            return Err(format!("{request}: {answer:?}, {outcome}").into());
        }
    }
    Ok(())
}

/// How the clone ended that was given the request, and what it printed.
fn answer(python: &mut Sandbox, request: &str) -> Result<(Outcome, String), Box<dyn Error>> {
    let options = ForkOptions::default().stdin(CloneInput::Piped);
    let mut clones = python.fork_with(1, &options)?;
    let clone = clones.first_mut().ok_or("a clone")?;
    let mut stdin = clone.take_stdin().ok_or("its standard input")?;
    stdin.write_all(request.as_bytes())?;
    drop(stdin);
    let result = clone.wait()?;
    Ok((
        result.outcome,
        String::from_utf8_lossy(&result.stdout).into_owned(),
    ))
}

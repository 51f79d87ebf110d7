//! Several commands in one live sandbox: they share its files, its processes and its loopback.
//!
//! What the first one writes the second one reads, and a server outlives the command that started it. When
//! the sandbox is dropped, all of it ends.

use std::error::Error;
use std::io::{Write, stdout};

use sandbox::{Command, Outcome, Policy, Sandbox, Stdio};

fn main() -> Result<(), Box<dyn Error>> {
    let mut sandbox = Sandbox::new(&Policy::default())?;

    // A background process goes on after the command that started it.
    let shell = |script: &str| Command::new("sh").args(["-c", script]).stdout(Stdio::capture());
    let first = sandbox.spawn(shell(
        "mkfifo ~/door; (read word < ~/door; echo $word > ~/heard) & echo started",
    ))?;
    let first = first.wait()?;
    assert_eq!(first.outcome, Outcome::Exited { code: 0 });
    stdout().write_all(&first.stdout)?;

    let second = sandbox.spawn(shell(
        "echo knock > ~/door; until test -s ~/heard; do :; done; cat ~/heard",
    ))?;
    let second = second.wait()?;
    stdout().write_all(&second.stdout)?;
    assert_eq!(second.stdout, b"knock\n");

    sandbox.kill()?;
    writeln!(stdout(), "{:?}", sandbox.status())?;
    Ok(())
}

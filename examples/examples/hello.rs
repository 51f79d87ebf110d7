//! The smallest use: run a program confined, look at how it ended.
//!
//! No flags and no root: the system is read-only, the home private and without keys, there is no network.

use std::error::Error;
use std::io::{Write, stdout};

use sandbox::{Outcome, Policy, Sandbox};

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default();
    let result = Sandbox::command(&policy, "sh")
        .args([
            "-c",
            "echo hello from $SANDBOX; test -e ~/.ssh || echo no keys here",
        ])
        .output()?;

    stdout().write_all(&result.stdout)?;
    writeln!(stdout(), "{:?} after {:?}", result.outcome, result.usage.wall())?;
    assert_eq!(result.outcome, Outcome::Exited { code: 0 });
    assert_eq!(result.stdout, b"hello from 1\nno keys here\n");
    Ok(())
}

//! Output as it comes: read a long-running command line by line, and end it when enough has been seen.

use std::error::Error;
use std::io::{BufRead, BufReader, Write, stdout};

use sandbox::{Outcome, Policy, Sandbox, Stdio};

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default();
    let counts = "i=0; while :; do i=$((i + 1)); echo line $i; done";
    let mut process = Sandbox::command(&policy, "sh")
        .args(["-c", counts])
        .stdout(Stdio::Piped)
        .spawn()?;

    let lines = BufReader::new(process.stdout.take().ok_or("piped")?).lines();
    for line in lines.take(3) {
        writeln!(stdout(), "{}", line?)?;
    }
    process.kill();

    let result = process.wait()?;
    writeln!(stdout(), "{:?}", result.outcome)?;
    assert!(matches!(
        result.outcome,
        Outcome::Cancelled | Outcome::Signaled { .. }
    ));
    Ok(())
}

//! Best of N: several edits of one repository, each on a branch of its own; the best one is committed.
//!
//! The template has read the repository once. Each of its clones sees a branch of its own in the repository's place,
//! makes its edit there, and measures it by running the repository's own test, all behind every wall of the policy. The
//! repository itself is written once: when the winner is committed.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;

use sandbox::branch::{CommitOptions, Mode, Storage, Workspace};
use sandbox::{Branches, ForkOptions, OnBranch, Policy, Sandbox};

/// What is to be edited: it counts how many of the numbers below 20 are prime, and is wrong.
const PROGRAM: &str = "count=0; for n in $(seq 2 19); do RULE && count=$((count + 1)); done; echo $count\n";

/// Edits to try, as somebody or something has proposed them.
const EDITS: [&str; 4] = [
    "test $((n % 2)) != 0",
    "test $((n % 3)) != 0",
    "{ test $n = 2 || test $((n % 2)) != 0; }",
    "{ test $n -le 3 || { test $((n % 2)) != 0 && test $((n % 3)) != 0; }; }",
];

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let repository = place.path().join("primes");
    fs::create_dir(&repository)?;
    fs::write(repository.join("count.sh"), PROGRAM.replace("RULE", "true"))?;
    fs::write(repository.join("test.sh"), "expr 8 - $(sh count.sh) | tr -d -\n")?;

    let workspace = Workspace::open_in(&repository, &Storage::At(place.path().join("branches")))?;
    let branch = workspace.branch("attempts")?;
    if branch.mode() != Mode::Kernel {
        writeln!(
            stdout(),
            "no overlays here, so clones cannot have branches of their own"
        )?;
        return Ok(());
    }
    let policy = Policy::builder()
        .cwd(workspace.base())
        .on_branch(&branch)?
        .build()?;

    // First in main, as far as threads go: a template is a copy of this process.
    let read = || fs::read_to_string("count.sh").unwrap_or_default();
    let mut template = Sandbox::template(&policy)
        .branches(branch.for_clones()?)
        .typed(read, |text, id| attempt(text, id))?;
    let options = ForkOptions::default().branches(Branches::PerClone);
    let mut clones = template.fork_with(u32::try_from(EDITS.len())?, &options)?;

    let mut attempts = Vec::new();
    for clone in &mut clones {
        let result = clone.wait()?;
        let distance: u32 = String::from_utf8(result.stdout)?.trim().parse()?;
        let name = clone.branch().ok_or("each has one")?.clone();
        writeln!(stdout(), "{name}: off by {distance}")?;
        attempts.push((distance, name));
    }
    drop((clones, template));

    let (_, winner) = attempts.iter().min().ok_or("nothing was tried")?;
    let commit = workspace.get(winner)?.commit(&CommitOptions::default())?;
    writeln!(
        stdout(),
        "committed {winner} as {}: {} file",
        commit.id,
        commit.changes.len()
    )?;
    let names: Vec<_> = attempts.into_iter().map(|(_, name)| name).collect();
    workspace.discard_all(&names)?;
    check(&repository)
}

/// One edit, in a clone: how far its result is from the right one.
fn attempt(text: &str, id: u32) -> Result<Vec<u8>, std::io::Error> {
    let edit = usize::try_from(id)
        .ok()
        .and_then(|id| EDITS.get(id))
        .copied()
        .unwrap_or("false");
    fs::write("count.sh", text.replace("true", edit))?;
    Ok(Command::new("sh").arg("test.sh").output()?.stdout)
}

fn check(repository: &Path) -> Result<(), Box<dyn Error>> {
    let output = Command::new("sh")
        .arg("test.sh")
        .current_dir(repository)
        .output()?;
    match output.stdout.as_slice() {
        b"0\n" => Ok(()),
        other => Err(format!("the best edit is right: {}", String::from_utf8_lossy(other)).into()),
    }
}

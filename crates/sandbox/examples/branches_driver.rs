//! The measuring half of `cargo xtask bench fork` for clones with branches of their own.
//!
//! Argument: a directory in which a workspace and its branches are made; a temporary one without. A request is a word and
//! a number separated by a tab; the answer is `ok`, then nanoseconds until all clones ran, and until all had ended; or
//! `failed`, then why.
//!
//! - `fork COUNT`: clones that end at once, each on a branch of its own; the branches are discarded before the answer,
//!   which is not timed;
//! - `write COUNT`: the same, and each writes a file of the workspace anew.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use sandbox::branch::{Storage, Workspace};
use sandbox::{Branches, CloneOutput, ForkOptions, OnBranch, Policy, Sandbox};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a clone does, by the size of the batch that it is of: a clone knows nothing but its number.
const WRITE: &str = "/tmp/write";

fn main() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let place = std::env::args_os()
        .nth(1)
        .map_or(temporary.path().to_owned(), PathBuf::from);
    let base = place.join("workspace");
    std::fs::create_dir_all(&base)?;
    std::fs::write(base.join("file"), "content\n")?;
    let workspace = Workspace::open_in(&base, &Storage::At(place.join("branches")))?;
    let branch = workspace.branch("bench")?;
    let policy = Policy::builder()
        .cwd(workspace.base())
        .on_branch(&branch)?
        .build()?;
    let work = |_| {
        if Path::new(WRITE).exists() {
            // A failure is the clone's end with another status.
            std::fs::write("file", "of its own\n").expect("its own branch");
        }
    };
    let mut template = Sandbox::template(&policy)
        .branches(branch.for_clones()?)
        .functions(|| {}, work)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let request = line.split_once('\t');
        let answer = match request.map(|(word, count)| answer(&mut template, &workspace, word, count)) {
            Some(Ok((made, ended))) => format!("ok\t{made}\t{ended}"),
            Some(Err(error)) => format!("failed\t{error}"),
            None => "failed\tno such request".to_owned(),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(template: &mut Sandbox, workspace: &Workspace, word: &str, count: &str) -> Result<(u128, u128)> {
    let count = count.parse()?;
    let options = ForkOptions::default()
        .stdout(CloneOutput::Null)
        .stderr(CloneOutput::Null);
    if word == "write" {
        command(template, "touch /tmp/write")?;
    }
    let start = Instant::now();
    let mut clones = template.fork_with(count, &options.branches(Branches::PerClone))?;
    let made = start.elapsed().as_nanos();
    for clone in &mut clones {
        let outcome = clone.wait()?.outcome;
        if !outcome.success() {
            return Err(format!("a clone {outcome}").into());
        }
    }
    let ended = start.elapsed().as_nanos();
    let names: Vec<_> = clones
        .iter()
        .filter_map(|clone| clone.branch().cloned())
        .collect();
    drop(clones);
    workspace.discard_all(&names)?;
    if word == "write" {
        command(template, "rm /tmp/write")?;
    }
    Ok((made, ended))
}

fn command(template: &mut Sandbox, script: &str) -> Result<()> {
    let command = sandbox::Command::new("sh").args(["-c", script]);
    match template.spawn(command)?.wait()?.outcome {
        outcome if outcome.success() => Ok(()),
        outcome => Err(format!("{script}: {outcome}").into()),
    }
}

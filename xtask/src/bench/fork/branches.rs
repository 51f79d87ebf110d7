//! Clones with branches of their own, on ext4 and in memory.

use std::path::{Path, PathBuf};

use super::{Row, forker::Forker};
use crate::bench::{account::Account, figures::Figures, peer::command_as, tools};
use crate::error::{Error, Result};
use crate::scratch::Scratch;

/// A directory on a file system of that name.
pub(super) struct Place {
    names: [&'static str; 2],
    scratch: Scratch,
}

/// Where it is measured: in memory, and where /var/tmp is, which is named after the file system that it is on.
pub(super) fn places(account: &Account) -> Result<Vec<Place>> {
    let mut places = vec![Place::new(
        ["tmpfs fork", "tmpfs write"],
        Path::new("/dev/shm"),
        account,
    )?];
    match file_system("/var/tmp") {
        Some(kind) if kind == "ext4" => {
            places.push(Place::new(
                ["ext4 fork", "ext4 write"],
                Path::new("/var/tmp"),
                account,
            )?);
        }
        other => println!(
            "/var/tmp is on {}: branches on ext4 are not measured",
            other.as_deref().unwrap_or("nothing known")
        ),
    }
    Ok(places)
}

impl Place {
    fn new(names: [&'static str; 2], parent: &Path, account: &Account) -> Result<Self> {
        let scratch = Scratch::new(parent, "sandbox-bench-branches")?;
        let directory = scratch.path().join("own");
        std::fs::create_dir(&directory).map_err(Error::io(&directory))?;
        tools::give(&directory, account)?;
        Ok(Self { names, scratch })
    }

    fn directory(&self) -> PathBuf {
        self.scratch.path().join("own")
    }
}

pub(super) fn measure(account: &Account, place: &Place, count: u32, rounds: u32) -> Result<Vec<Row>> {
    let programs = Scratch::new(Path::new("/tmp"), "sandbox-bench-branches")?;
    let driver = programs.path().join("branches_driver");
    let built = tools::build_example_of("sandbox", "branches_driver")?;
    std::fs::copy(&built, &driver).map_err(Error::io(&built))?;
    let mut command = command_as(account, &driver);
    command.arg(place.directory()).current_dir("/");
    let mut forker = Forker::of(command, &driver)?;
    let mut rows = Vec::new();
    for (name, request) in place.names.into_iter().zip(["fork", "write"]) {
        let mut times = Vec::new();
        for _ in 0..=rounds {
            times.push(forker.ask(request, count)?.1);
        }
        // Until all had ended; the first round freezes what the template has written.
        let times = times.into_iter().skip(1).collect();
        rows.push(Row {
            request: name,
            count,
            ours: Figures::of(times),
            bare: None,
        });
    }
    Ok(rows)
}

/// The kind of the file system that a path is on, by the longest mount point above it.
fn file_system(path: &str) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (at, kind) = (fields.nth(1)?, fields.next()?);
        if Path::new(path).starts_with(at) && found.is_none_or(|(length, _)| at.len() >= length) {
            found = Some((at.len(), kind));
        }
    }
    found.map(|(_, kind)| kind.to_owned())
}

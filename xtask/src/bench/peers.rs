//! Every way to start /bin/true that is measured.

use std::path::Path;

use super::{account::Account, runc, tools::Tools};
use crate::{error::Result, workspace};

const TRUE: &str = "/bin/true";

/// Who makes the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Driver,
    Floor,
}

/// One way to start a program.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) who: Who,
    /// The request, word for word.
    pub(super) words: Vec<String>,
    /// It is measured in one round of so many: some take a hundred times as long as others.
    pub(super) every: usize,
}

pub(super) const BARE: &str = "bare posix_spawn";
pub(super) const FLOOR: &str = "floor, in a loop";
pub(super) const FLOOR_ONCE: &str = "floor, fresh process";
pub(super) const BWRAP_ALL: &str = "bwrap --unshare-all";
pub(super) const CLI: &str = "sandbox run";
pub(super) const PREPARED: &str = "Prepared, in a loop";

/// The peers that are installed, in the order of a round.
pub(super) fn list(tools: &Tools, account: &Account, work: &Path) -> Result<Vec<Peer>> {
    let path = |path: std::path::PathBuf| path.display().to_string();
    let (sandbox, floor) = (path(tools.sandbox()), path(tools.floor()));
    let bwrap = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"];
    let mut peers = vec![driver(BARE, "spawn", &[])];
    if workspace::has_program("unshare") {
        let namespaces = ["-U", "-c", "-m", "-p", "-f", "-i", "-u", "-n", "-C"];
        peers.push(driver(
            "unshare, all namespaces",
            "spawn",
            &[&["unshare"], namespaces.as_slice()].concat(),
        ));
    }
    peers.push(driver(FLOOR_ONCE, "spawn", &[&floor, "once"]));
    peers.push(Peer {
        name: FLOOR,
        who: Who::Floor,
        words: vec!["run".to_owned()],
        every: 1,
    });
    if workspace::has_program("bwrap") {
        peers.push(driver("bwrap", "spawn", &[&["bwrap"], bwrap.as_slice()].concat()));
        peers.push(driver(
            BWRAP_ALL,
            "spawn",
            &[&["bwrap", "--unshare-all"], bwrap.as_slice()].concat(),
        ));
    }
    peers.push(driver(CLI, "spawn", &[&sandbox, "run", "--"]));
    peers.push(driver(PREPARED, "prepared", &[]));
    peers.push(driver("in a live sandbox", "inside", &[]));
    if workspace::has_program("firejail") {
        let walls = "--quiet --noprofile --net=none --private-dev --private-tmp --caps.drop=all --seccomp";
        let walls: Vec<&str> = ["firejail"]
            .into_iter()
            .chain(walls.split(' '))
            .chain(["--nonewprivs", "--"])
            .collect();
        peers.push(Peer {
            every: 10,
            ..driver("firejail", "spawn", &walls)
        });
    }
    if let Some(words) = runc::command(work, account)? {
        let words = ["spawn".to_owned()].into_iter().chain(words).collect();
        peers.push(Peer {
            name: "runc",
            who: Who::Driver,
            words,
            every: 10,
        });
    }
    Ok(peers)
}

fn driver(name: &'static str, verb: &str, before: &[&str]) -> Peer {
    let words = [&[verb], before, &[TRUE]].concat();
    Peer {
        name,
        who: Who::Driver,
        words: words.into_iter().map(str::to_owned).collect(),
        every: 1,
    }
}

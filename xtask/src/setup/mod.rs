//! `cargo xtask setup`: what the build, the tests and the benchmarks need from the system.
//!
//! Nothing is installed that is already there, by whatever way it came. Without root or password-less
//! sudo the one line to run is printed instead, and the status is not 0.

mod manager;
mod probe;
mod tools;

use crate::{
    cmd::Cmd,
    error::{Error, Result},
    workspace,
};

use manager::Manager;
pub(crate) use probe::static_library;
pub(crate) use tools::Need;
use tools::{TOOLS, Tool};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Say what is missing and install nothing
    #[arg(long)]
    check: bool,
    /// Also what only the benchmarks compare with
    #[arg(long)]
    bench: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let needs: &[Need] = if args.bench {
        &[Need::Build, Need::Bench]
    } else {
        &[Need::Build]
    };
    if args.check { check(needs) } else { ensure(needs) }
}

/// Installs what is missing for `needs`.
///
/// What only the benchmarks need is optional: when it cannot be installed this is said, no more.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    for &need in needs {
        match (install(need), need) {
            (Err(error), Need::Bench) => println!("setup: going on without: {error}"),
            (result, _) => result?,
        }
    }
    Ok(())
}

fn check(needs: &[Need]) -> Result<()> {
    let lacking: Vec<_> = needs.iter().flat_map(|&need| missing(need)).collect();
    if lacking.is_empty() {
        println!("setup: nothing is missing");
        return Ok(());
    }
    advise(Manager::detect(), &lacking);
    Err(missing_error(&lacking))
}

fn install(need: Need) -> Result<()> {
    let lacking = missing(need);
    if lacking.is_empty() {
        return Ok(());
    }
    println!("setup: missing: {}", names(&lacking).join(", "));
    let (Some(manager), Some(become_root)) = (Manager::detect(), become_root()) else {
        advise(Manager::detect(), &lacking);
        return Err(missing_error(&lacking));
    };
    let packages = manager.packages(&lacking);
    for (number, argv) in manager.commands(&packages).into_iter().enumerate() {
        let words = become_root
            .iter()
            .copied()
            .chain(["env", "DEBIAN_FRONTEND=noninteractive"])
            .chain(argv);
        let mut words = words.map(str::to_owned);
        let program = words.next().unwrap_or_default();
        match Cmd::new(program).args(words).run() {
            // The first of several refreshes the index; one broken mirror must not stop the installation.
            Err(error) if number == 0 && manager.refreshes_first() => println!("setup: {error}"),
            result => result?,
        }
    }
    let still = missing(need);
    if still.is_empty() {
        Ok(())
    } else {
        Err(missing_error(&still))
    }
}

fn missing(need: Need) -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| tool.need == need && !tool.probe.is_there())
        .collect()
}

/// The words to put before a command so that it runs as root, when that asks for no password.
fn become_root() -> Option<&'static [&'static str]> {
    if workspace::is_root() {
        Some(&[])
    } else if Cmd::new("sudo").args(["-n", "true"]).succeeds() {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

fn advise(manager: Option<Manager>, lacking: &[&Tool]) {
    match manager {
        Some(manager) => println!("setup: run:\n  {}", manager.one_line(&manager.packages(lacking))),
        None => {
            println!("setup: none of apt-get, dnf, pacman, apk is here; install by hand what is named below");
        }
    }
}

fn names(tools: &[&'static Tool]) -> Vec<&'static str> {
    tools.iter().map(|tool| tool.name).collect()
}

fn missing_error(tools: &[&'static Tool]) -> Error {
    Error::Missing { tools: names(tools) }
}

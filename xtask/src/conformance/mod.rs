//! `cargo xtask conformance`: public suites and real programs on backends that are mounted by FUSE, and on the host.
//!
//! What passes on the host has to pass on every backend, but for what xtask/conformance/exclusions.txt lists with a reason.

mod document;
mod exclusions;
mod kept;
mod killed;
mod known;
mod served;
mod stuck;
mod suites;
mod tools;

use std::collections::BTreeMap;
use std::path::Path;

use crate::{
    artifact,
    cmd::cargo,
    error::{Error, Result},
    scratch::Scratch,
    steps::Outcome,
    test::Tally,
    workspace,
};

use exclusions::Exclusions;
use served::{Served, Subject};
pub(crate) use suites::Scale;
use suites::{Results, Suite};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A million operations of fsx, a minute of stress-ng, and docs/conformance.md
    #[arg(long)]
    full: bool,
    /// Go on with a full run that was stopped: what it has found out, of what was built then, is kept in target/conformance.json
    #[arg(long, requires = "full")]
    resume: bool,
}

/// Which backends: the host is the oracle and comes first.
const SUBJECTS: [Subject; 8] = [
    Subject::Host,
    Subject::Memory,
    Subject::STRICT,
    Subject::Passthrough("off", &["off"]),
    Subject::Overlay("strict"),
    Subject::Overlay("off"),
    Subject::Dual("strict"),
    Subject::Dual("off"),
];

/// In the long run also with everything remembered and writes collected, which is another path through the kernel.
const FURTHER: [Subject; 1] = [Subject::Passthrough("writeback", &["off", "always", "writeback"])];

fn subjects(scale: Scale) -> Vec<Subject> {
    let further = match scale {
        Scale::Short => &[][..],
        Scale::Full => &FURTHER[..],
    };
    SUBJECTS.iter().chain(further).copied().collect()
}

/// What every suite said of every subject.
type Said = BTreeMap<(Subject, Suite), Results>;

pub(crate) fn run(args: &Args) -> Result<()> {
    let scale = if args.full { Scale::Full } else { Scale::Short };
    match check_from(scale, args.resume)? {
        Outcome::Tested(tally) if tally.failed > 0 => Err(Error::Conformance { failed: tally.failed }),
        Outcome::Skipped { why } => {
            println!("skipped: {why}");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Runs every suite on every subject and compares.
pub(crate) fn check(scale: Scale) -> Result<Outcome> {
    check_from(scale, false)
}

fn check_from(scale: Scale, resume: bool) -> Result<Outcome> {
    if !workspace::is_root() {
        return Ok(Outcome::Skipped {
            why: "the suites change owners and become other users, which takes root".to_owned(),
        });
    }
    if !Path::new("/dev/fuse").exists() {
        return Ok(Outcome::Skipped {
            why: "there is no /dev/fuse".to_owned(),
        });
    }
    let tools = tools::ensure()?;
    let exclusions = Exclusions::read(&workspace::root().join("xtask/conformance/exclusions.txt"))?;
    let mut build = cargo().args(["build", "-p", "sandbox-filesystem", "--example", "serve"]);
    if scale == Scale::Full {
        build = build.arg("--release");
    }
    let built = artifact::build(build)?;
    let server = artifact::example(&built, "serve")?;

    // A short path, since those of sockets are limited; and outside of the project, of which cargo would take notice.
    let scratch = Scratch::new(&std::env::temp_dir(), "sandbox")?;
    let mut said = if resume {
        kept::load(&subjects(scale))?
    } else {
        Said::new()
    };
    for subject in subjects(scale) {
        let suites = suites::ALL.into_iter().filter(|suite| {
            let says_something = suite.is_of(subject) && (subject != Subject::Host || !suite.knows_itself());
            suite.is_at(scale) && says_something && !said.contains_key(&(subject, *suite))
        });
        let suites: Vec<_> = suites.collect();
        if suites.is_empty() {
            continue;
        }
        let mut served = Served::start(subject, &server.executable, scratch.path())?;
        for suite in suites {
            println!("--- {} on {}", suite.name(), subject.name());
            let results = suites::run(suite, scale, &tools, &mut served)?;
            println!("{}", results.summary());
            said.insert((subject, suite), results);
            // After each of them: the whole takes long, and what is measured is measured.
            if scale == Scale::Full {
                kept::store(&said)?;
                document::write(&subjects(scale), &said, &exclusions)?;
            }
        }
        served.end()?;
    }
    let tally = compare(&said, &exclusions);
    Ok(Outcome::Tested(tally))
}

/// A test that passes on the host has to pass, unless it is excluded; an excluded one that passes is a failure too.
fn compare(said: &Said, exclusions: &Exclusions) -> Tally {
    let mut tally = Tally { passed: 0, failed: 0 };
    let mut failures = Vec::new();
    for ((subject, suite), results) in said.iter().filter(|((subject, _), _)| *subject != Subject::Host) {
        let subject = subject.name();
        let host = said.get(&(Subject::Host, *suite));
        let itself = results.passed.iter().chain(&results.failed);
        let tests: Vec<&String> = match host {
            Some(host) => host.passed.iter().collect(),
            None => itself.collect(),
        };
        for test in &results.flaky {
            failures.push(format!("FLAKY: {subject}: {test} passed in one of two tries"));
            failures.extend(results.why.get(test).cloned());
        }
        for test in tests {
            match (results.passed.contains(test), exclusions.has(&subject, test)) {
                (true, false) => tally.passed += 1,
                (false, true) => println!("{subject}: {test} is excluded"),
                (false, false) => {
                    failures.push(format!("{subject}: {test} passes on the host, and not here"));
                    failures.extend(results.why.get(test).cloned());
                    tally.failed += 1;
                }
                (true, true) => {
                    failures.push(format!(
                        "exclusions.txt: {subject} {test} is listed, but it passes"
                    ));
                    tally.failed += 1;
                }
            }
        }
    }
    // Last, where they are looked for.
    for said in failures {
        println!("{said}");
    }
    println!("{}", tally.as_test_result());
    tally
}

//! docs/conformance.md: what the suites said, as it was measured.

use std::{fmt::Write as _, fs};

use crate::{
    cmd::Cmd,
    error::{Error, Result},
    workspace,
};

use super::{
    Said,
    exclusions::Exclusions,
    served::Subject,
    suites::{self, Results},
};

const HEAD: &str = "# Conformance\n\nWritten by `cargo xtask conformance --full`. Each backend is mounted by FUSE and \
                    served by a process of its own; *host* is the filesystem that temporary files are on. A number is \
                    tests passed / failed / skipped. What passes on the host has to pass on every backend.\n\n";

pub(super) fn write(subjects: &[Subject], said: &Said, exclusions: &Exclusions) -> Result<()> {
    let path = workspace::root().join("docs/conformance.md");
    fs::write(&path, text(subjects, said, exclusions)).map_err(Error::io(&path))
}

fn text(subjects: &[Subject], said: &Said, exclusions: &Exclusions) -> String {
    let mut text = HEAD.to_owned();
    row(&mut text, "suite", subjects, Subject::name);
    row(&mut text, "---", subjects, |_| "---".to_owned());
    for suite in suites::ALL {
        row(&mut text, suite.name(), subjects, |subject| {
            said.get(&(subject, suite)).map_or_else(String::new, figures)
        });
    }
    text.push('\n');
    for suite in suites::ALL {
        line(&mut text, &format!("{}: {}", suite.name(), suite.description()));
    }
    for (program, arguments) in [("uname", "-sr"), ("stress-ng", "--version"), ("git", "--version")] {
        let version = Cmd::new(program)
            .arg(arguments)
            .silent()
            .read()
            .unwrap_or_default();
        line(&mut text, version.trim());
    }
    for ((subject, suite), results) in said {
        for remark in &results.remarks {
            line(
                &mut text,
                &format!("{} {}: {remark}", subject.name(), suite.name()),
            );
        }
    }
    text.push_str("\n## Failed\n\n");
    let before = text.len();
    for ((subject, suite), results) in said {
        let subject = subject.name();
        for test in results
            .failed
            .iter()
            .filter(|test| !exclusions.has(&subject, test))
        {
            line(&mut text, &format!("{subject} {}: {test}", suite.name()));
        }
    }
    if text.len() == before {
        text.push_str("Nothing but what is excluded.\n");
    }
    text.push_str("\n## Exclusions\n\nWhat passes on the host and may fail on a backend.\n\n");
    for excluded in exclusions.lines() {
        let (subject, test, reason) = (&excluded.subject, &excluded.test, &excluded.reason);
        line(&mut text, &format!("{subject} {test}: {reason}"));
    }
    text
}

fn figures(results: &Results) -> String {
    let (passed, failed, skipped) = (results.passed.len(), results.failed.len(), results.skipped);
    format!("{passed} / {failed} / {skipped}")
}

fn line(text: &mut String, what: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "- {what}");
}

fn row(text: &mut String, first: &str, subjects: &[Subject], cell: impl Fn(Subject) -> String) {
    let cells: Vec<String> = subjects.iter().copied().map(cell).collect();
    // As above.
    let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
}

//! docs/conformance.md: what the suites said, as it was measured.

use std::{fmt::Write as _, fs};

use crate::{
    error::{Error, Result},
    workspace,
};

use super::{
    SUBJECTS, Said,
    exclusions::Exclusions,
    served::Subject,
    suites::{self, Results},
};

const HEAD: &str = "# Conformance\n\nWritten by `cargo xtask conformance --full`. Each backend is mounted by FUSE and \
                    served by a process of its own; *host* is the filesystem that the project's directory is on. A \
                    number is tests passed / failed / skipped.\n\n";

pub(super) fn write(said: &Said, exclusions: &Exclusions) -> Result<()> {
    let path = workspace::root().join("docs/conformance.md");
    fs::write(&path, text(said, exclusions)).map_err(Error::io(&path))
}

fn text(said: &Said, exclusions: &Exclusions) -> String {
    let mut text = HEAD.to_owned();
    row(&mut text, "suite", Subject::name);
    row(&mut text, "---", |_| "---".to_owned());
    for suite in suites::ALL {
        row(&mut text, suite.name(), |subject| {
            said.get(&(subject, suite)).map_or_else(String::new, figures)
        });
    }
    text.push_str("\n## Failed\n\n");
    for ((subject, suite), results) in said {
        for test in &results.failed {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {} {}: {test}", subject.name(), suite.name());
        }
    }
    text.push_str("\n## Exclusions\n\nWhat passes on the host and may fail on a backend.\n\n");
    for line in exclusions.lines() {
        let _ = writeln!(text, "- {} {}: {}", line.subject, line.test, line.reason);
    }
    text
}

fn figures(results: &Results) -> String {
    let (passed, failed, skipped) = (results.passed.len(), results.failed.len(), results.skipped);
    format!("{passed} / {failed} / {skipped}")
}

fn row(text: &mut String, first: &str, cell: impl Fn(Subject) -> String) {
    let cells: Vec<String> = SUBJECTS.into_iter().map(cell).collect();
    let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
}

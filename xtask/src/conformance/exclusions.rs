//! Tests that may fail, each with its reason.

use std::{fs, path::Path};

use crate::error::{Error, Result};

/// The lines of xtask/conformance/exclusions.txt.
#[derive(Debug)]
pub(super) struct Exclusions(Vec<Exclusion>);

#[derive(Debug)]
pub(super) struct Exclusion {
    pub(super) subject: String,
    pub(super) test: String,
    pub(super) reason: String,
}

impl Exclusions {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|line| Error::SkipList {
            path: path.to_owned(),
            line,
        })
    }

    pub(super) fn has(&self, subject: &str, test: &str) -> bool {
        self.0
            .iter()
            .any(|line| line.subject == subject && line.test == test)
    }

    pub(super) fn lines(&self) -> &[Exclusion] {
        &self.0
    }

    /// The list, or the number of a line that is not `SUBJECT TEST: reason`.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut lines = Vec::new();
        for (number, line) in (1_usize..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (what, reason) = line.split_once(": ").ok_or(number)?;
            let (subject, test) = what.split_once(' ').ok_or(number)?;
            lines.push(Exclusion {
                subject: subject.to_owned(),
                test: test.to_owned(),
                reason: reason.to_owned(),
            });
        }
        Ok(Self(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_reason_is_an_error_with_its_number() {
        assert_eq!(Exclusions::parse("# x\nmem chmod::a\n").unwrap_err(), 2);
        let list = Exclusions::parse("mem chmod::a: FUSE has no such thing\n").unwrap();
        assert!(list.has("mem", "chmod::a") && !list.has("strict", "chmod::a"));
        assert_eq!(list.lines().len(), 1);
    }
}

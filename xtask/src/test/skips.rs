//! The tests that may skip where a skip is otherwise a failure.

use std::{fs, path::Path};

use crate::{
    cmd::Cmd,
    error::{Error, Result},
};

/// Names from xtask/skips.txt.
#[derive(Debug)]
pub(super) struct SkipList {
    names: Vec<String>,
}

impl SkipList {
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::parse(&fs::read_to_string(path).map_err(Error::io(path))?).map_err(|line| Error::SkipList {
            path: path.to_owned(),
            line,
        })
    }

    /// Tells tests what they may skip: in CI nothing but what is listed.
    pub(super) fn tell(&self, tests: Cmd) -> Cmd {
        if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false") {
            tests
                .env("SANDBOX_TEST_NO_SKIP", "1")
                .env("SANDBOX_TEST_ALLOWED_SKIPS", self.names.join(","))
        } else {
            tests
        }
    }

    /// The list, or the number of a line that is not `name: reason`.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut names = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(": ") {
                Some((name, reason)) if !reason.trim().is_empty() && !name.contains(',') => {
                    names.push(name.to_owned());
                }
                _ => return Err(number),
            }
        }
        Ok(Self { names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_no_entries() {
        let list = SkipList::parse("# why\n\nescape::bpf_is_denied: this host has no bpf(2)\n").unwrap();
        assert_eq!(list.names, ["escape::bpf_is_denied"]);
    }

    #[test]
    fn an_entry_without_a_reason_is_refused_by_its_line() {
        assert_eq!(SkipList::parse("a: because\nb:\n").unwrap_err(), 2);
    }
}

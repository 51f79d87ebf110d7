//! What a file has gained, line by line.

use std::collections::HashSet;

use regex::bytes::{Regex, RegexBuilder};

/// Finds lines that are new and that matter.
#[derive(Debug)]
pub(super) struct Lines {
    gains: Vec<Regex>,
    harmless: Vec<Regex>,
}

impl Lines {
    /// None where a rule says nothing about lines.
    pub(super) fn new(gains: &[String], harmless: &[String]) -> Result<Option<Self>, regex::Error> {
        if gains.is_empty() && harmless.is_empty() {
            return Ok(None);
        }
        let gains = gains.iter().map(|text| compile(text));
        let harmless = harmless.iter().map(|text| compile(&format!("^(?:{text})$")));
        Ok(Some(Self {
            gains: gains.collect::<Result<_, _>>()?,
            harmless: harmless.collect::<Result<_, _>>()?,
        }))
    }

    /// Whether `now` has such a line that `before` does not have.
    pub(super) fn found_in(&self, now: &[u8], before: &[u8]) -> bool {
        let known: HashSet<_> = lines(before).collect();
        lines(now).any(|line| !line.is_empty() && !known.contains(line) && self.matters(line))
    }

    fn matters(&self, line: &[u8]) -> bool {
        let is_looked_for = self.gains.is_empty() || self.gains.iter().any(|regex| regex.is_match(line));
        is_looked_for && !self.harmless.iter().any(|regex| regex.is_match(line))
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).build()
}

/// Lines without white space at either end, and without the mark that says that this is UTF-8.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(text)
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gains: &[&str], harmless: &[&str], now: &str, before: &str) -> bool {
        let [gains, harmless] =
            [gains, harmless].map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        let lines = Lines::new(&gains, &harmless).unwrap().unwrap();
        lines.found_in(now.as_bytes(), before.as_bytes())
    }

    #[test]
    fn only_lines_that_are_new_count() {
        let rule: &[&str] = &["filter="];
        assert!(found(rule, &[], "a text\nb filter=x\n", "a text\n"));
        assert!(!found(
            rule,
            &[],
            "a text\r\nb filter=x\nc text\n",
            "b filter=x\na text"
        ));
        assert!(found(&["^import"], &[], "\u{feff}import os", ""));
    }

    #[test]
    fn a_harmless_line_is_harmless_as_a_whole() {
        let harmless: &[&str] = &["a = \\w*"];
        assert!(!found(&[], harmless, "  a = b\n\n", ""));
        assert!(found(&[], harmless, "a = b; c", ""));
        assert!(found(&[], harmless, "x a = b", ""));
        assert!(found(&[], harmless, "a = b \\\nc = d", ""));
        assert!(found(&[], harmless, "a = b\rc = d", ""));
    }
}

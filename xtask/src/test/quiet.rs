//! Leaves out what passed tests print under nextest, all but their SKIP lines.

/// Follows nextest's output line by line; that of other runners goes through unchanged.
#[derive(Default)]
pub(super) struct Filter {
    inside_passed: bool,
}

impl Filter {
    /// The line, when it is to be shown.
    pub(super) fn shown<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if let Some(status) = status(line) {
            self.inside_passed = matches!(status, "PASS" | "LEAK");
            return Some(line);
        }
        if line.starts_with('─') {
            self.inside_passed = false;
        }
        (!self.inside_passed || line.contains("SKIP: ")).then_some(line)
    }
}

/// The word before the duration in `        PASS [   0.014s] (1/4) crate test`.
fn status(line: &str) -> Option<&str> {
    let (word, rest) = line.trim_start().split_once(" [")?;
    let timed = rest
        .trim_start_matches(['>', ' '])
        .starts_with(|c: char| c.is_ascii_digit());
    let shouted = word
        .chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "- ".contains(c));
    (timed && (shouted || word == "Summary")).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failed_tests_keep_their_output() {
        let mut filter = Filter::default();
        let output = [
            ("    Starting 3 tests across 2 binaries", true),
            ("        PASS [   0.014s] (1/3) nt tests::ok", true),
            ("  stdout ───", false),
            ("    running 1 test", false),
            ("    SKIP: tests::ok: no landlock", true),
            ("", false),
            ("        FAIL [   0.152s] (2/3) nt tests::fails", true),
            ("  stderr ───", true),
            ("    panicked", true),
            ("        LEAK [   0.211s] (3/3) nt::it it_ok", true),
            ("    running 1 test", false),
            ("────────────", true),
            (
                "     Summary [   0.241s] 3 tests run: 2 passed (1 leaky), 1 failed, 0 skipped",
                true,
            ),
            ("error: test run failed", true),
        ];
        for (line, expected) in output {
            assert_eq!(filter.shown(line).is_some(), expected, "{line}");
        }
    }

    #[test]
    fn the_output_of_the_built_in_runner_is_shown() {
        let mut filter = Filter::default();
        for line in [
            "running 1 test",
            "test tests::ok ... ok",
            "test result: ok. 1 passed; 0 failed",
        ] {
            assert_eq!(filter.shown(line), Some(line));
        }
    }
}

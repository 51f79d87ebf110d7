//! Reads totals and skips from what test runners print.

use std::collections::BTreeSet;

use super::tally::Tally;

/// Everything seen so far, over all runs.
#[derive(Default)]
pub(super) struct Observed {
    tally: Tally,
    skips: BTreeSet<String>,
    flaky: BTreeSet<String>,
}

impl Observed {
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes in one line; the total when it is nextest's summary, which has no line of the usual form.
    pub(super) fn line(&mut self, line: &str) -> Option<Tally> {
        if let Some((_, skip)) = line.split_once("SKIP: ") {
            self.skips.insert(skip.trim().to_owned());
        }
        if let Some((_, test)) = line
            .trim_start()
            .strip_prefix("FLAKY ")
            .and_then(|rest| rest.split_once("] "))
        {
            self.flaky.insert(without_place(test).to_owned());
        }
        if let Some(tally) = libtest_total(line) {
            self.tally = self.tally + tally;
            return None;
        }
        let summary = nextest_total(line)?;
        self.tally = self.tally + summary;
        Some(summary)
    }

    pub(super) fn print_skips(&self) {
        list("skipped tests", "SKIP: ", &self.skips);
    }

    pub(super) fn print_flaky(&self) {
        list("tests that passed the second time only", "FLAKY: ", &self.flaky);
    }
}

fn list(title: &str, mark: &str, lines: &BTreeSet<String>) {
    if lines.is_empty() {
        return;
    }
    println!("\n=== {title}");
    for line in lines {
        println!("{mark}{line}");
    }
}

/// Without the number of the test, `(3/40) `.
fn without_place(test: &str) -> &str {
    test.strip_prefix('(')
        .and_then(|rest| rest.split_once(") "))
        .map_or(test, |(_, name)| name)
}

/// `test result: ok. 3 passed; 0 failed; 0 ignored; …`, at the start of the line: an indented one is
/// the output of a single test under nextest.
fn libtest_total(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    Some(sum(counts.split(';')))
}

/// `Summary [   0.241s] 4/5 tests run: 3 passed (1 leaky), 1 failed, 0 skipped`.
fn nextest_total(line: &str) -> Option<Tally> {
    let (_, counts) = line.trim_start().strip_prefix("Summary [")?.split_once("run: ")?;
    Some(sum(counts.split(',')))
}

fn sum<'a>(counts: impl Iterator<Item = &'a str>) -> Tally {
    counts.map(count).fold(Tally::default(), |sum, count| sum + count)
}

/// One of `3 passed (1 slow)`, `1 failed`, `1 timed out`, `1 exec failed`, `0 skipped`.
fn count(part: &str) -> Tally {
    let Some((number, what)) = part.trim().split_once(' ') else {
        return Tally::default();
    };
    let Ok(number) = number.parse() else {
        return Tally::default();
    };
    match what.split(" (").next() {
        Some("passed") => Tally {
            passed: number,
            failed: 0,
        },
        Some("failed" | "exec failed" | "timed out") => Tally {
            passed: 0,
            failed: number,
        },
        _ => Tally::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], passed: u64, failed: u64) {
        let mut observed = Observed::default();
        for line in lines {
            observed.line(line);
        }
        assert_eq!(observed.tally(), Tally { passed, failed });
    }

    #[test]
    fn totals_of_several_test_programs_add_up() {
        check(
            &[
                "running 4 tests",
                "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
                "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            ],
            6,
            1,
        );
    }

    #[test]
    fn the_summary_of_nextest_counts_once() {
        check(
            &[
                "    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out",
                "     Summary [   0.241s] 4 tests run: 3 passed (1 leaky), 1 failed, 0 skipped",
                "        FAIL [   0.152s] (3/4) nt tests::fails",
            ],
            3,
            1,
        );
    }

    #[test]
    fn a_test_that_timed_out_or_did_not_start_failed() {
        check(
            &["     Summary [  60.2s] 5/9 tests run: 2 passed, 1 timed out, 2 exec failed, 7 skipped"],
            2,
            3,
        );
    }

    #[test]
    fn skips_are_collected_once_wherever_they_are_indented() {
        let mut observed = Observed::default();
        observed.line("    SKIP: escape::bpf: no user namespaces");
        observed.line("SKIP: escape::bpf: no user namespaces");
        assert_eq!(
            observed.skips,
            BTreeSet::from(["escape::bpf: no user namespaces".to_owned()])
        );
    }
    #[test]
    fn a_test_that_passed_the_second_time_is_named_and_counts_as_passed() {
        let lines = [
            "  TRY 1 FAIL [   0.250s] (1/2) xtask tests::races",
            "  TRY 2 PASS [   0.043s] (2/2) xtask tests::races",
            "     Summary [   0.308s] 2 tests run: 2 passed (1 flaky), 0 skipped",
            "   FLAKY 2/2 [   0.043s] (2/2) xtask tests::races",
        ];
        check(&lines, 2, 0);
        let mut observed = Observed::default();
        for line in lines {
            observed.line(line);
        }
        assert_eq!(observed.flaky, BTreeSet::from(["xtask tests::races".to_owned()]));
    }
}

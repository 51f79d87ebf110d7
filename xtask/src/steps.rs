//! A sequence of checks: each is timed, the table at the end says how each went.

use std::time::{Duration, Instant};

use crate::{
    error::{Error, Result},
    test::Tally,
};

/// What to do when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Stop,
    KeepGoing,
}

/// How a step that did not break off went.
pub(crate) enum Outcome {
    Done,
    Tested(Tally),
    Skipped { why: String },
}

/// The steps so far.
pub(crate) struct Steps {
    on_failure: OnFailure,
    /// The names of those that are run, where not all are.
    only: Option<Vec<String>>,
    records: Vec<Record>,
}

struct Record {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
}

enum Verdict {
    Passed(Tally),
    Failed(Tally),
    Skipped(String),
}

impl Steps {
    pub(crate) fn new(on_failure: OnFailure) -> Self {
        Self {
            on_failure,
            only: None,
            records: Vec::new(),
        }
    }

    /// Runs only the steps of these names from now on.
    pub(crate) fn only<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.only = Some(names.map(str::to_owned).collect());
    }

    /// Runs a step, unless one has failed already and the first failure stops.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        if self.on_failure == OnFailure::Stop && self.failed().next().is_some() {
            return;
        }
        if self
            .only
            .as_ref()
            .is_some_and(|only| only.iter().all(|wanted| wanted != name))
        {
            return;
        }
        println!("\n=== {name}");
        let start = Instant::now();
        let verdict = match work() {
            Ok(Outcome::Done) => Verdict::Passed(Tally::default()),
            Ok(Outcome::Tested(tally)) if tally.failed == 0 => Verdict::Passed(tally),
            Ok(Outcome::Tested(tally)) => Verdict::Failed(tally),
            Ok(Outcome::Skipped { why }) => {
                println!("skipped: {why}");
                Verdict::Skipped(why)
            }
            Err(error) => {
                println!("error: {error}");
                // A step that fails without a failed test still shows in the total.
                Verdict::Failed(Tally { passed: 0, failed: 1 })
            }
        };
        self.records.push(Record {
            name,
            verdict,
            took: start.elapsed(),
        });
    }

    /// Prints the table.
    pub(crate) fn print_table(&self) {
        println!("\n=== summary");
        for Record { name, verdict, took } in &self.records {
            let (mark, detail) = match verdict {
                Verdict::Passed(tally) if tally.passed == 0 => ("ok", String::new()),
                Verdict::Passed(tally) => ("ok", format!("{} passed", tally.passed)),
                Verdict::Failed(tally) => (
                    "FAILED",
                    format!("{} passed, {} failed", tally.passed, tally.failed),
                ),
                Verdict::Skipped(why) => ("skipped", why.clone()),
            };
            let line = format!("{name:<28} {mark:<8} {:>7.1} s  {detail}", took.as_secs_f64());
            println!("{}", line.trim_end());
        }
    }

    /// All tests of all steps.
    pub(crate) fn total(&self) -> Tally {
        self.records
            .iter()
            .fold(Tally::default(), |sum, record| match &record.verdict {
                Verdict::Passed(tally) | Verdict::Failed(tally) => sum + *tally,
                Verdict::Skipped(_) => sum,
            })
    }

    /// An error that names the failed steps, when there are any.
    pub(crate) fn result(&self) -> Result<()> {
        let steps: Vec<_> = self.failed().collect();
        if steps.is_empty() {
            Ok(())
        } else {
            Err(Error::Steps { steps })
        }
    }

    fn failed(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.records
            .iter()
            .filter(|r| matches!(r.verdict, Verdict::Failed(_)))
            .map(|r| r.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_passes_one_breaks_one_fails(on_failure: OnFailure) -> Steps {
        let mut steps = Steps::new(on_failure);
        steps.step("passes", || Ok(Outcome::Tested(Tally { passed: 3, failed: 0 })));
        steps.step("breaks", || Err(Error::NoCargoDeny));
        steps.step("fails", || Ok(Outcome::Tested(Tally { passed: 1, failed: 2 })));
        steps
    }

    #[test]
    fn a_step_that_breaks_counts_as_one_failure() {
        let steps = one_passes_one_breaks_one_fails(OnFailure::KeepGoing);
        assert_eq!(steps.total(), Tally { passed: 4, failed: 3 });
        assert_eq!(steps.result().unwrap_err().to_string(), "failed: breaks, fails");
    }

    #[test]
    fn the_first_failure_stops_unless_told_to_keep_going() {
        let steps = one_passes_one_breaks_one_fails(OnFailure::Stop);
        assert_eq!(steps.total(), Tally { passed: 3, failed: 1 });
    }

    #[test]
    fn a_skipped_step_is_no_failure() {
        let mut steps = Steps::new(OnFailure::Stop);
        steps.step("skips", || {
            Ok(Outcome::Skipped {
                why: "not root".to_owned(),
            })
        });
        assert!(steps.result().is_ok());
    }
}

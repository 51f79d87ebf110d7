//! How all of it ended: a line, a table, or JSON.

use std::collections::BTreeMap;
use std::time::Instant;

use sandbox::{BranchName, EnforcementReport, Outcome, RunResult, Usage};
use serde::Serialize;

use super::args::OutputArgs;
use super::micros_since;
use crate::error::CliError;
use crate::output::{self, note, tell};
use crate::run::json::JsonTo;

/// So many clones that failed are listed; `--table` lists all.
const LISTED: usize = 20;

/// The status to exit with when a clone did not succeed.
const CLONE_FAILED: u8 = 1;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    asked: u32,
    ready_us: Option<u64>,
    rows: Vec<Row>,
    /// How clones have ended of which there is no row yet.
    ended: BTreeMap<u32, Outcome>,
    pub(crate) reducer: Option<RunResult>,
    pub(crate) enforced: Option<EnforcementReport>,
    /// The branch that those of clones are made of.
    pub(crate) on_branch: Option<BranchName>,
    /// The signal that has ended all of it.
    pub(crate) cancelled_by: Option<u8>,
}

/// One clone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    id: u32,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<BranchName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Used>,
}

/// What a clone has used of its own. Memory and processes are counted for all of them together.
#[derive(Debug, Clone, Copy, Serialize)]
struct Used {
    wall_us: u64,
    user_us: u64,
    system_us: u64,
    stdout_bytes: u64,
}

#[derive(Serialize)]
struct Json<'a> {
    asked: u32,
    succeeded: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_us: Option<u64>,
    wall_us: u64,
    clones: &'a [Row],
    #[serde(skip_serializing_if = "Option::is_none")]
    reducer: Option<Reduced<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_by: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a EnforcementReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    exit: u8,
}

#[derive(Serialize)]
struct Reduced<'a> {
    outcome: Outcome,
    usage: &'a Usage,
}

impl Report {
    pub(crate) fn new(asked: u32) -> Self {
        Self {
            started: Instant::now(),
            asked,
            ready_us: None,
            rows: Vec::new(),
            ended: BTreeMap::new(),
            reducer: None,
            enforced: None,
            on_branch: None,
            cancelled_by: None,
        }
    }

    /// The program has said that it is ready.
    pub(crate) fn is_ready(&mut self) {
        self.ready_us = Some(micros_since(self.started));
    }

    /// A clone has ended; what it used comes later.
    pub(crate) fn ended(&mut self, id: u32, outcome: Outcome) {
        self.ended.insert(id, outcome);
    }

    /// What came of the next clone, in the order of their numbers.
    pub(crate) fn result(&mut self, row: Row) {
        self.ended.remove(&row.id);
        self.rows.push(row);
    }

    fn succeeded(&self) -> usize {
        self.rows.iter().filter(|row| row.is_success()).count()
    }

    fn exit_status(&self) -> u8 {
        if let Some(signal) = self.cancelled_by {
            return 128_u8.saturating_add(signal);
        }
        let reducer = self
            .reducer
            .as_ref()
            .map_or(0, |result| result.outcome.exit_status());
        let all = usize::try_from(self.asked).unwrap_or(usize::MAX);
        match reducer {
            0 if self.succeeded() == all => 0,
            0 => CLONE_FAILED,
            status => status,
        }
    }

    /// Says it, and gives the status to exit with.
    pub(crate) fn tell(mut self, args: &OutputArgs, json: Option<&mut JsonTo>) -> Result<u8, CliError> {
        // Those that had ended when it was cancelled, though others before them had not.
        let ended = std::mem::take(&mut self.ended).into_iter();
        self.rows.extend(ended.map(|(id, outcome)| Row {
            id,
            outcome,
            branch: None,
            usage: None,
        }));
        let exit = self.exit_status();
        if !args.quiet {
            self.summarize();
        }
        if args.table || !args.quiet {
            self.list(args.table);
        }
        let Some(json) = json else { return Ok(exit) };
        let reduced = |result: &'_ RunResult| result.outcome;
        let reducer = self.reducer.as_ref().map(|result| Reduced {
            outcome: reduced(result),
            usage: &result.usage,
        });
        json.write(&Json {
            asked: self.asked,
            succeeded: self.succeeded(),
            ready_us: self.ready_us,
            wall_us: micros_since(self.started),
            clones: &self.rows,
            reducer,
            cancelled_by: self.cancelled_by,
            report: self.enforced.as_ref(),
            notes: output::collected(),
            exit,
        })?;
        Ok(exit)
    }

    fn summarize(&self) {
        let wall = seconds(micros_since(self.started));
        let ready = self
            .ready_us
            .map(|us| format!(" (ready after {})", seconds(us)))
            .unwrap_or_default();
        let (asked, succeeded) = (self.asked, self.succeeded());
        if self.cancelled_by.is_some() {
            let ended = self.rows.len();
            note(format_args!(
                "interrupted after {wall}: {ended} of {asked} clones had ended, and none is left"
            ));
        } else if self.rows.len() < usize::try_from(asked).unwrap_or(usize::MAX) {
            let ran = self.rows.len();
            note(format_args!(
                "{succeeded} of {ran} clones succeeded in {wall}{ready}; {asked} were asked for"
            ));
        } else if succeeded == self.rows.len() {
            note(format_args!("{asked} clones, all succeeded in {wall}{ready}"));
        } else {
            note(format_args!(
                "{succeeded} of {asked} clones succeeded in {wall}{ready}"
            ));
        }
        if let Some(name) = self.rows.iter().find_map(|row| row.branch.as_ref()) {
            note(format_args!(
                "each is on a branch; see: sandbox branch list, sandbox branch diff {name}"
            ));
        } else if let (Some(name), Some(_)) = (&self.on_branch, self.ready_us) {
            note(format_args!(
                "what they have written is on branches of {name}; see: sandbox branch list"
            ));
        }
        if let Some(result) = self.reducer.as_ref().filter(|result| !result.outcome.success()) {
            note(format_args!("the reducer {}", result.outcome));
        }
    }

    /// All of them, or some of those that failed.
    fn list(&self, all: bool) {
        let shown = self.rows.iter().filter(|row| all || !row.is_success());
        let most = if all { usize::MAX } else { LISTED };
        let rows: Vec<_> = shown.clone().take(most).collect();
        if rows.is_empty() {
            return;
        }
        tell(format_args!("{:>8}  {:<32}  {:>10}", "CLONE", "STATUS", "TIME"));
        for row in &rows {
            let time = row.usage.map_or_else(String::new, |usage| seconds(usage.wall_us));
            let branch = row.branch.as_ref().map_or("", BranchName::as_str);
            let line = format!(
                "{:>8}  {:<32}  {time:>10}  {branch}",
                row.id,
                row.outcome.to_string()
            );
            tell(line.trim_end());
        }
        let more = shown.count() - rows.len();
        if more > 0 {
            tell(format_args!(
                "          and {more} more; --table lists all, --json as well"
            ));
        }
    }
}

impl Row {
    pub(crate) fn of(id: u32, result: &RunResult, branch: Option<BranchName>) -> Self {
        let usage = &result.usage;
        Self {
            id,
            outcome: result.outcome,
            branch,
            usage: Some(Used {
                wall_us: usage.wall_us,
                user_us: usage.user_us,
                system_us: usage.system_us,
                stdout_bytes: usage.stdout_bytes,
            }),
        }
    }

    fn is_success(&self) -> bool {
        self.outcome.success()
    }
}

/// `0.012 s`
fn seconds(us: u64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u32, outcome: Outcome) -> Row {
        Row {
            id,
            outcome,
            branch: None,
            usage: None,
        }
    }

    fn report(outcomes: &[Outcome]) -> Report {
        let mut report = Report::new(u32::try_from(outcomes.len()).expect("few"));
        for (id, outcome) in (0..).zip(outcomes) {
            report.ended(id, *outcome);
            report.result(row(id, *outcome));
        }
        report
    }

    #[test]
    fn the_status_is_that_of_the_worst_news() {
        let (good, bad) = (Outcome::Exited { code: 0 }, Outcome::Exited { code: 7 });
        assert_eq!(report(&[good, good]).exit_status(), 0);
        assert_eq!(report(&[good, bad]).exit_status(), CLONE_FAILED);
        let mut fewer = report(&[good]);
        fewer.asked = 2;
        assert_eq!(fewer.exit_status(), CLONE_FAILED);
        let mut cancelled = report(&[bad]);
        cancelled.cancelled_by = Some(2);
        assert_eq!(cancelled.exit_status(), 130);
    }

    #[test]
    fn what_is_told_twice_of_a_clone_is_one_row() {
        let mut report = report(&[Outcome::Cancelled]);
        report.ended(1, Outcome::Cancelled);
        report.ended(2, Outcome::Cancelled);
        report.result(row(1, Outcome::Cancelled));
        let left: Vec<_> = report.ended.keys().collect();
        assert_eq!((report.rows.len(), left), (2, vec![&2]));
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(seconds(1_012_999), "1.012 s");
    }
}

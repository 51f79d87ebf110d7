//! A bar for work that takes long: on a terminal, after it has taken long.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sandbox::branch::{Phase, Progress};

/// What is over before this needs no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// Shows how far work has come, and leaves nothing on the screen.
#[derive(Debug)]
pub(crate) struct Bar {
    started: Instant,
    shown: Option<(&'static str, ProgressBar)>,
    is_terminal: bool,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            shown: None,
            is_terminal: std::io::stderr().is_terminal() && !crate::output::is_collecting(),
        }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        let what = name(progress.phase);
        let Some(bar) = self.bar(what, || style(&progress)) else {
            return;
        };
        if progress.bytes_total.is_some() || progress.entries_total.is_none() {
            bar.set_position(progress.bytes);
        } else {
            bar.set_position(progress.entries);
        }
        bar.set_message(format!("{} entries", progress.entries));
    }

    /// Shows work of which so many bytes are done.
    pub(crate) fn bytes(&mut self, what: &'static str, bytes: u64, total: Option<u64>, entries: u64) {
        let template = || match total {
            Some(total) => (
                Some(total),
                "{prefix} [{wide_bar}] {bytes}/{total_bytes} {msg} {eta}",
            ),
            None => (None, "{prefix} {spinner} {bytes} {msg}"),
        };
        if let Some(bar) = self.bar(what, template) {
            bar.set_position(bytes);
            bar.set_message(format!("{entries} entries"));
        }
    }

    /// Shows work of which so many parts are done.
    pub(crate) fn items(&mut self, what: &'static str, done: u64, total: u64) {
        let template = || (Some(total), "{prefix} [{wide_bar}] {pos}/{len} {eta}");
        if let Some(bar) = self.bar(what, template) {
            bar.set_position(done);
        }
    }

    /// Shows work of which nobody knows how much there is.
    pub(crate) fn count(&mut self, what: &'static str, entries: u64) {
        let template = || (None, "{prefix} {spinner} {msg}");
        if let Some(bar) = self.bar(what, template) {
            bar.set_position(entries);
            bar.set_message(format!("{entries} entries"));
        }
    }

    /// The bar for `what`; none as long as there is to be none.
    fn bar(
        &mut self,
        what: &'static str,
        style: impl FnOnce() -> (Option<u64>, &'static str),
    ) -> Option<&ProgressBar> {
        if !self.is_terminal || self.started.elapsed() < PATIENCE {
            return None;
        }
        if self.shown.as_ref().is_none_or(|(shown, _)| *shown != what) {
            self.clear();
            self.shown = Some((what, bar(what, style())));
        }
        self.shown.as_ref().map(|(_, bar)| bar)
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Copying => "copying",
        Phase::Staging => "staging",
        Phase::Syncing => "syncing",
        Phase::Applying => "applying",
        Phase::Exporting => "exporting",
        Phase::Importing => "importing",
        Phase::Comparing => "comparing",
        Phase::Merging => "merging",
        _ => "working",
    }
}

/// How long the bar is, and what it looks like.
fn style(progress: &Progress) -> (Option<u64>, &'static str) {
    match (progress.bytes_total, progress.entries_total) {
        (Some(bytes), _) => (
            Some(bytes),
            "{prefix} [{wide_bar}] {bytes}/{total_bytes} {msg} {eta}",
        ),
        (None, Some(entries)) => (Some(entries), "{prefix} [{wide_bar}] {pos}/{len} {eta}"),
        (None, None) if progress.phase == Phase::Comparing => (None, "{prefix} {spinner} {msg}"),
        (None, None) => (None, "{prefix} {spinner} {bytes} {msg}"),
    }
}

fn bar(what: &'static str, (length, template): (Option<u64>, &str)) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    // A template that cannot be read would be a mistake in it; the plain bar does then.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(what)
}

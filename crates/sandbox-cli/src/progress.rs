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
    shown: Option<(Phase, ProgressBar)>,
    is_terminal: bool,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            shown: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        if !self.is_terminal || self.started.elapsed() < PATIENCE {
            return;
        }
        let is_other = self
            .shown
            .as_ref()
            .is_none_or(|(phase, _)| *phase != progress.phase);
        if is_other {
            self.clear();
            self.shown = Some((progress.phase, bar(&progress)));
        }
        let Some((_, bar)) = &self.shown else { return };
        if progress.bytes_total.is_some() || progress.entries_total.is_none() {
            bar.set_position(progress.bytes);
        } else {
            bar.set_position(progress.entries);
        }
        bar.set_message(format!("{} entries", progress.entries));
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

fn bar(progress: &Progress) -> ProgressBar {
    let what = match progress.phase {
        Phase::Copying => "copying",
        Phase::Staging => "staging",
        Phase::Syncing => "syncing",
        Phase::Applying => "applying",
        _ => "working",
    };
    let (length, template) = match (progress.bytes_total, progress.entries_total) {
        (Some(bytes), _) => (
            Some(bytes),
            "{prefix} [{wide_bar}] {bytes}/{total_bytes} {msg} {eta}",
        ),
        (None, Some(entries)) => (Some(entries), "{prefix} [{wide_bar}] {pos}/{len} {eta}"),
        (None, None) => (None, "{prefix} {spinner} {bytes} {msg}"),
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    // A template that cannot be read would be a mistake in it; the plain bar does then.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(what)
}

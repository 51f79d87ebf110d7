//! A bar for copying: on a terminal, after it has taken long.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sandbox::volume::{CopyProgress, Progress};

/// What is over before this needs no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// Clears the bar when it is dropped.
#[derive(Debug)]
struct Bar {
    started: Instant,
    shown: OnceLock<ProgressBar>,
}

/// Shows how far copying has come, and leaves nothing on the screen.
pub(super) fn bar() -> Progress {
    if !std::io::stderr().is_terminal() {
        return Progress::none();
    }
    let bar = Bar {
        started: Instant::now(),
        shown: OnceLock::new(),
    };
    Progress::new(move |now| bar.show(now))
}

impl Bar {
    fn show(&self, now: CopyProgress) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.shown.get_or_init(|| new(now.bytes_total));
        bar.set_position(now.bytes);
        bar.set_message(format!("{} entries", now.entries));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.shown.get() {
            bar.finish_and_clear();
        }
    }
}

fn new(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{prefix} [{wide_bar}] {bytes}/{total_bytes} {eta}",
        None => "{prefix} {spinner} {bytes} {msg}",
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    // A template that cannot be read would be a mistake in it; the plain bar does then.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix("copying")
}

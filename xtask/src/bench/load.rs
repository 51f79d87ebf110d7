//! Runs of one load, in the order they ended.

use std::time::Duration;

use serde_json::{Value, json};

use super::figures::{Figures, micros, millis};

/// When each run ended, since the start, and how long it took.
#[derive(Default)]
pub(super) struct Load {
    runs: Vec<(Duration, Duration)>,
    total: Duration,
}

/// A part of a load.
pub(super) struct Part {
    per_second: f64,
    figures: Figures,
}

impl Load {
    pub(super) fn push(&mut self, at: Duration, took: Duration) {
        self.runs.push((at, took));
    }

    pub(super) fn end(&mut self, total: Duration) {
        self.total = total;
    }

    pub(super) fn count(&self) -> usize {
        self.runs.len()
    }

    /// A minute, or a quarter where that is less.
    fn window(&self) -> Duration {
        (self.total / 4).min(Duration::from_mins(1))
    }

    pub(super) fn whole(&self) -> Part {
        self.part(Duration::ZERO, self.total)
    }

    pub(super) fn first(&self) -> Part {
        self.part(Duration::ZERO, self.window())
    }

    pub(super) fn last(&self) -> Part {
        self.part(self.total.saturating_sub(self.window()), self.total)
    }

    fn part(&self, from: Duration, to: Duration) -> Part {
        let times: Vec<Duration> = self
            .runs
            .iter()
            .filter(|(at, _)| (from..=to).contains(at))
            .map(|(_, took)| *took)
            .collect();
        let seconds = to.saturating_sub(from).as_secs_f64().max(f64::MIN_POSITIVE);
        let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
        Part {
            per_second: f64::from(count) / seconds,
            figures: Figures::of(times),
        }
    }
}

impl Part {
    pub(super) fn print(&self, name: &str) {
        let ms = |share| millis(self.figures.per_mille(share));
        println!(
            "{name:<12} {:>7} runs {:>7.1}/s   p50 {:>7.2}  p99 {:>7.2}  p99.9 {:>7.2}  max {:>7.2} ms",
            self.figures.count(),
            self.per_second,
            ms(500),
            ms(990),
            ms(999),
            millis(self.figures.max())
        );
    }

    pub(super) fn json(&self) -> Value {
        let us = |share| micros(self.figures.per_mille(share));
        json!({ "runs": self.figures.count(), "per_second": self.per_second, "p50_us": us(500),
                "p99_us": us(990), "p999_us": us(999), "max_us": micros(self.figures.max()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_quarter_of_a_short_load_are_compared() {
        let mut load = Load::default();
        for second in 1..=40 {
            load.push(Duration::from_secs(second), Duration::from_millis(second));
        }
        load.end(Duration::from_secs(40));
        assert_eq!(load.first().figures.max(), Duration::from_millis(10));
        assert_eq!(load.last().figures.min(), Duration::from_millis(30));
        assert!((load.whole().per_second - 1.0).abs() < 0.01);
    }
}

//! Medians, percentiles and ratios of measured times.

use std::time::Duration;

/// Times of one kind, sorted.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<Duration>);

impl Figures {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn min(&self) -> Duration {
        self.0.first().copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    pub(super) fn median(&self) -> Duration {
        self.per_mille(500)
    }

    /// The time that so many of a thousand do not exceed (nearest rank).
    pub(super) fn per_mille(&self, share: usize) -> Duration {
        let rank = (self.0.len() * share).div_ceil(1000).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// Median to median; none where there is nothing to compare.
    pub(super) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let (ours, theirs) = (self.median().as_secs_f64(), other.median().as_secs_f64());
        (ours > 0.0 && theirs > 0.0).then(|| ours / theirs)
    }
}

/// In milliseconds, for printing.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// In whole microseconds, for JSON.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_times_by_nearest_rank() {
        let figures = Figures::of((1..=1000).rev().map(Duration::from_micros).collect());
        assert_eq!(figures.median(), Duration::from_micros(500));
        assert_eq!(figures.per_mille(999), Duration::from_micros(999));
        assert_eq!(
            (figures.min(), figures.max()),
            (Duration::from_micros(1), Duration::from_millis(1))
        );
    }

    #[test]
    fn nothing_measured_has_no_ratio() {
        let some = Figures::of(vec![Duration::from_millis(2)]);
        assert_eq!(some.ratio_to(&Figures::default()), None);
        assert_eq!(
            some.ratio_to(&Figures::of(vec![Duration::from_millis(4)])),
            Some(0.5)
        );
    }
}

//! How many tests passed and failed.

use std::{
    fmt,
    ops::{Add, Sub},
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// The line every test program of Rust ends with.
    pub(crate) fn as_test_result(self) -> String {
        let verdict = if self.failed == 0 { "ok" } else { "FAILED" };
        format!(
            "test result: {verdict}. {} passed; {} failed",
            self.passed, self.failed
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            passed: self.passed - other.passed,
            failed: self.failed - other.failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_has_one_exact_form() {
        let tally = Tally {
            passed: 12,
            failed: 0,
        } + Tally { passed: 1, failed: 2 };
        assert_eq!(tally.to_string(), "13 passed, 2 failed");
        assert_eq!(tally.as_test_result(), "test result: FAILED. 13 passed; 2 failed");
    }
}

//! Spans of time as users write them: `500ms`, `1s`, `1m30s`, `2h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time, in whole microseconds, read and shown in the units of `sleep(1)` and systemd.
///
/// ```
/// use sandbox_types::Span;
/// let span: Span = "1m30s".parse().unwrap();
/// assert_eq!(span.duration().as_secs(), 90);
/// assert_eq!(span.to_string(), "1m30s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(Duration);

/// A text that is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSpan {
    /// Not a sequence of numbers with units.
    #[error("{0:?} is not a span of time: write 500ms, 10s, 1m30s or 2h")]
    Syntax(String),
    /// Longer than 2⁶³ microseconds.
    #[error("{0:?} is longer than any run can last")]
    TooLong(String),
}

const UNITS: [(&str, u128); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

impl Span {
    /// The same span as a [`Duration`].
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whether the span is empty.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    /// Reads one or more `NUMBER UNIT` pairs; a bare number is seconds; decimals are allowed.
    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let syntax = || InvalidSpan::Syntax(text.to_owned());
        let too_long = || InvalidSpan::TooLong(text.to_owned());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(syntax());
        }
        let mut micros: u128 = 0;
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(end);
            let end = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            let is_bare = unit.is_empty() && tail.is_empty() && number == text.trim();
            let unit = if is_bare { "s" } else { unit };
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(syntax)?;
            let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
            if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
                return Err(syntax());
            }
            let whole: u128 = whole.parse().map_err(|_| too_long())?;
            let digits = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
            let fraction: u128 = fraction.parse().map_err(|_| syntax())?;
            micros = whole
                .checked_mul(*scale)
                .and_then(|n| n.checked_add(fraction * scale / digits))
                .and_then(|n| n.checked_add(micros))
                .ok_or_else(too_long)?;
            rest = tail;
        }
        let micros = i64::try_from(micros).map_err(|_| too_long())?;
        Ok(Self(Duration::from_micros(micros.unsigned_abs())))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut micros = self.0.as_micros();
        if micros == 0 {
            return f.write_str("0s");
        }
        for (unit, scale) in UNITS.iter().rev() {
            if micros >= *scale {
                write!(f, "{}{unit}", micros / scale)?;
                micros %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_shown() {
        for (text, micros, shown) in [
            ("0", 0, "0s"),
            ("10", 10_000_000, "10s"),
            ("500ms", 500_000, "500ms"),
            ("1.5s", 1_500_000, "1s500ms"),
            ("1m30s", 90_000_000, "1m30s"),
            ("2h", 7_200_000_000, "2h"),
            ("7us", 7, "7us"),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.duration().as_micros(), micros, "{text}");
            assert_eq!(span.to_string(), shown);
            assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
    }

    #[test]
    fn a_bad_span_is_an_error_that_names_it() {
        for text in [
            "",
            "s",
            "10x",
            "-1s",
            "1..5s",
            "1 0",
            "99999999999999999999d",
            "1h30",
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}

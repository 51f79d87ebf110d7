//! Sizes in bytes, with units as types: `512.mib()`, `"1.5GiB".parse::<ByteSize>()`.
//!
//! Units are binary: K, M, G, T (and KiB, MiB, …) are powers of 1024, as `ulimit`, cgroups and tmpfs use
//! them. KB, MB, GB and TB are refused, because half of the readers mean 1000 by them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A size in bytes.
///
/// ```
/// use sandbox_types::{ByteSize, SizeExt};
/// assert_eq!("1.5GiB".parse::<ByteSize>().unwrap(), ByteSize::from_bytes(1_610_612_736));
/// assert_eq!(512.mib().to_string(), "512MiB");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

/// A size in whole mebibytes, for quotas that are kept in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mebibytes(u32);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSize {
    /// Not a number followed by a unit.
    #[error("{0:?} is not a size: write a number and a unit, as in 512M, 1.5GiB or 4096")]
    Syntax(String),
    /// A decimal unit, which is ambiguous.
    #[error("{0:?}: {1} is ambiguous; write {2} for powers of 1024")]
    Decimal(String, &'static str, &'static str),
    /// More than 2⁶⁴ − 1 bytes.
    #[error("{0:?} is more than 16 EiB, the largest size there is")]
    TooLarge(String),
}

const UNITS: [(&str, &str, u32); 7] = [
    ("", "B", 0),
    ("K", "KiB", 10),
    ("M", "MiB", 20),
    ("G", "GiB", 30),
    ("T", "TiB", 40),
    ("P", "PiB", 50),
    ("E", "EiB", 60),
];
const DECIMAL: [(&str, &str); 4] = [("KB", "KiB"), ("MB", "MiB"), ("GB", "GiB"), ("TB", "TiB")];

impl ByteSize {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// A size of exactly `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The sum, or `None` beyond 2⁶⁴ − 1 bytes.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl Mebibytes {
    /// A size of exactly `mib` mebibytes.
    pub const fn new(mib: u32) -> Self {
        Self(mib)
    }

    /// The number of mebibytes.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<Mebibytes> for ByteSize {
    fn from(size: Mebibytes) -> Self {
        Self(u64::from(size.0) << 20)
    }
}

/// Sizes from integer literals: `64.kib()`, `512.mib()`, `4.gib()`.
///
/// The results saturate at 2⁶⁴ − 1 bytes.
pub trait SizeExt {
    /// This many bytes.
    fn bytes(self) -> ByteSize;
    /// This many times 2¹⁰ bytes.
    fn kib(self) -> ByteSize;
    /// This many times 2²⁰ bytes.
    fn mib(self) -> ByteSize;
    /// This many times 2³⁰ bytes.
    fn gib(self) -> ByteSize;
}

impl SizeExt for u32 {
    fn bytes(self) -> ByteSize {
        ByteSize(u64::from(self))
    }
    fn kib(self) -> ByteSize {
        ByteSize(u64::from(self) << 10)
    }
    fn mib(self) -> ByteSize {
        ByteSize(u64::from(self) << 20)
    }
    fn gib(self) -> ByteSize {
        ByteSize(u64::from(self) << 30)
    }
}

impl fmt::Display for ByteSize {
    /// The shortest exact form, or two decimals of the largest unit: `512MiB`, `1.21GiB`, `17B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS
            .iter()
            .rev()
            .find(|(_, _, shift)| self.0 >> shift != 0 && self.0.trailing_zeros() >= *shift);
        let largest = UNITS.iter().rev().find(|(_, _, shift)| self.0 >> shift != 0);
        match (exact, largest) {
            (Some((_, unit, shift)), Some((_, _, top))) if self.0 >> shift < 1024 || shift == top => {
                write!(f, "{}{unit}", self.0 >> shift)
            }
            (_, Some((_, unit, shift))) => {
                let hundredths = (u128::from(self.0) * 100) >> shift;
                write!(f, "{}.{:02}{unit}", hundredths / 100, hundredths % 100)
            }
            _ => f.write_str("0B"),
        }
    }
}

impl FromStr for ByteSize {
    type Err = InvalidSize;

    /// Reads `4096`, `512M`, `512MiB`, `1.5g`; at most nine decimals, rounded down to whole bytes.
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let syntax = || InvalidSize::Syntax(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let unit = unit.trim();
        if let Some((bad, good)) = DECIMAL.iter().find(|(bad, _)| bad.eq_ignore_ascii_case(unit)) {
            return Err(InvalidSize::Decimal(text.to_owned(), bad, good));
        }
        let (_, _, shift) = UNITS
            .iter()
            .find(|(short, long, _)| short.eq_ignore_ascii_case(unit) || long.eq_ignore_ascii_case(unit))
            .ok_or_else(syntax)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
            return Err(syntax());
        }
        let too_large = || InvalidSize::TooLarge(text.to_owned());
        let whole: u128 = whole.parse().map_err(|_| too_large())?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let fraction: u128 = if fraction.is_empty() {
            0
        } else {
            fraction.parse().map_err(|_| syntax())?
        };
        let bytes = whole
            .checked_mul(scale)
            .and_then(|n| n.checked_add(fraction))
            .and_then(|n| n.checked_mul(1 << shift))
            .map(|n| n / scale)
            .ok_or_else(too_large)?;
        u64::try_from(bytes).map(Self).map_err(|_| too_large())
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    /// Accepts a whole number of bytes or a text such as `"512M"`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes or a size such as \"512M\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_spelling_users_know() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1k", 1024),
            ("512M", 512 << 20),
            ("512MiB", 512 << 20),
            (" 2 GiB ", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("0.5k", 512),
            ("16383P", 16383 << 50),
        ] {
            assert_eq!(text.parse::<ByteSize>().map(ByteSize::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_bad_size_is_an_error_that_names_it() {
        for text in [
            "",
            "M",
            "12X",
            "-1",
            "1.",
            ".5M",
            "1..2",
            "5MB",
            "99999999999999G",
            "1e9",
            "0x10",
        ] {
            let error = text.parse::<ByteSize>().expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn display_is_read_back_when_it_is_exact() {
        for bytes in [0, 1, 17, 1023, 1024, 512 << 20, 3 << 29, 1 << 40, u64::MAX] {
            let shown = ByteSize(bytes).to_string();
            let back = shown.parse::<ByteSize>().expect(&shown);
            assert!(
                back.0 <= bytes && bytes - back.0 <= bytes / 100,
                "{bytes} {shown}"
            );
        }
        assert_eq!(ByteSize(512 << 20).to_string(), "512MiB");
        assert_eq!(ByteSize(1_300_000_000).to_string(), "1.21GiB");
    }
}

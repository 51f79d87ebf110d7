//! Records of the PAX format (POSIX.1-2017, pax, "pax Extended Header"): `LENGTH KEY=VALUE\n`.
//!
//! They are read and written here and not by the tar crate, which ends a record at the first newline of its value:
//! the value of an extended attribute could then pretend to be a record of its own, such as another path.

use crate::branch::node::Timestamp;

/// Records, in the order in which they are to be written.
#[derive(Debug, Default)]
pub(crate) struct Records(Vec<u8>);

impl Records {
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        // The length counts its own digits.
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The records in `data`; none where it is not made of records.
pub(crate) fn parse(mut data: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let space = data.iter().take(20).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(data.get(..space)?).ok()?.parse().ok()?;
        let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((record.get(..equals)?, record.get(equals + 1..)?));
        data = data.get(length..)?;
    }
    Some(records)
}

/// Seconds with a fraction.
pub(crate) fn time((seconds, nanoseconds): Timestamp) -> String {
    if seconds < 0 && nanoseconds > 0 {
        // Nanoseconds always count forward: -2 s + 0.75 s is -1.25 s.
        format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        format!("{seconds}.{nanoseconds:09}")
    }
}

/// The time that `text` says, to the nanosecond.
pub(crate) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut nanoseconds = 0_u32;
    let mut digits = fraction.chars();
    for _ in 0..9 {
        let digit = digits.next().map_or(Some(0), |digit| digit.to_digit(10))?;
        nanoseconds = nanoseconds * 10 + digit;
    }
    if !digits.all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds))
    } else {
        Some((seconds, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for (value, expect) in [("", "6 k=\n"), ("1234", "9 k=1234\n"), ("12345", "11 k=12345\n")] {
            let mut records = Records::default();
            records.push(b"k", value.as_bytes());
            let text = std::str::from_utf8(records.as_bytes()).unwrap();
            assert_eq!(
                text.len(),
                text.split(' ').next().unwrap().parse::<usize>().unwrap(),
                "{text:?}"
            );
            assert!(value.is_empty() || text == expect, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bad in [
            "x", "4 a=\n", "99 a=b\n", "6 a=bc", "6 abc\n", " a=b\n", "-1 a=b\n", "3 =\n1",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (time, text) in [
            ((0, 0), "0.000000000"),
            ((1, 5), "1.000000005"),
            ((-1, 0), "-1.000000000"),
            ((-1, 250_000_000), "-0.750000000"),
            ((-2, 750_000_000), "-1.250000000"),
        ] {
            assert_eq!(super::time(time), text);
            assert_eq!(parse_time(text.as_bytes()), Some(time));
        }
        for (text, time) in [
            ("7", Some((7, 0))),
            ("7.5", Some((7, 500_000_000))),
            ("7.x", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), time, "{text:?}");
        }
        assert_eq!(parse_time(b"1.0000000019"), Some((1, 1)));
        assert_eq!(parse_time(b"1.000000000x"), None);
    }

    proptest::proptest! {
        #[test]
        fn records_survive_whatever_is_in_them(
            pairs in proptest::collection::vec(
                ("[a-zA-Z.]{1,20}", proptest::collection::vec(proptest::num::u8::ANY, 0..200)), 0..5
            )
        ) {
            let mut records = Records::default();
            for (key, value) in &pairs {
                records.push(key.as_bytes(), value);
            }
            let found = parse(records.as_bytes()).unwrap();
            let expect: Vec<_> = pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_slice())).collect();
            proptest::prop_assert_eq!(found, expect);
        }

        #[test]
        fn nothing_makes_the_parser_fail(data in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = parse(&data);
            let _ = parse_time(&data);
        }
    }
}

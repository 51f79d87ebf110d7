//! Numbers in the fields of a header: octal digits, or binary ones (GNU), which the first bit tells.
//!
//! They are read here and not by the tar crate, which knows no negative ones (times before 1970), and takes what does not
//! fit for another number.

/// The number in a field. One that was left blank is 0, as tar has it; none where it is no number, or too large.
pub(crate) fn parse(field: &[u8]) -> Option<i64> {
    match field.split_first() {
        Some((first, rest)) if first & 0x80 != 0 => binary(*first, rest),
        _ => octal(field),
    }
}

/// Two's complement, after the bit that says so.
fn binary(first: u8, rest: &[u8]) -> Option<i64> {
    let is_negative = first & 0x40 != 0;
    let start = i64::from(first & 0x3f) - if is_negative { 0x40 } else { 0 };
    rest.iter().try_fold(start, |number, byte| {
        number.checked_mul(256)?.checked_add(i64::from(*byte))
    })
}

/// Up to a zero byte, between spaces.
fn octal(field: &[u8]) -> Option<i64> {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = text.trim_ascii();
    if digits.is_empty() {
        return field.iter().all(|byte| matches!(byte, 0 | b' ')).then_some(0);
    }
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = char::from(*digit).to_digit(8)?;
        number.checked_mul(8)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_octal_between_spaces_and_nothing_else() {
        for (field, expect) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644\0junk", Some(0o644)),
            (b"777777777777", Some((1 << 36) - 1)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"\0junk", None),
            (b"+644", None),
            (b"-1", None),
            (b"0x1", None),
            (b"6 4", None),
            (b"8", None),
        ] {
            assert_eq!(parse(field), expect, "{field:?}");
        }
    }

    #[test]
    fn binary_numbers_are_negative_where_they_say_so_and_never_cut_off() {
        let field = |first: u8, fill: u8, last: [u8; 2]| [&[first], &[fill; 9][..], &last].concat();
        for (bytes, expect) in [
            (field(0x80, 0, [1, 2]), Some(0x102)),
            (field(0xff, 0xff, [0xff, 0xff]), Some(-1)),
            (field(0xff, 0xff, [0, 0]), Some(-0x1_0000)),
            (field(0x80, 0xff, [0, 0]), None),
            (field(0x81, 0, [0, 1]), None),
            (field(0xc0, 0, [0, 0]), None),
        ] {
            assert_eq!(parse(&bytes), expect, "{bytes:?}");
        }
        assert_eq!(parse(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe]), Some(0xffff_fffe));
    }
}

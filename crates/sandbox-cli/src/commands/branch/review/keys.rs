//! Keys, from the bytes that a terminal sends.

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C, Ctrl-D, a signal that asks to end, or the end of the input.
    Cancel,
    /// The terminal has another size, or is to be painted anew.
    Redraw,
    /// Nothing that is known here.
    Other,
}

/// Reads keys off the front of what has come.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a key has come in part.
    pub(super) fn is_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The next key; none until more has come. `is_over`: nothing more belongs to what has come, so that a lone escape
    /// is the key of that name.
    pub(super) fn next(&mut self, is_over: bool) -> Option<Key> {
        let (key, length) = match self.bytes.as_slice() {
            [0x1b] if is_over => (Key::Escape, 1),
            [] | [0x1b] => return None,
            [0x1b, b'[' | b'O', rest @ ..] => {
                let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
                match end {
                    Some(end) => (sequence(rest.get(..=end).unwrap_or_default()), end + 3),
                    None if is_over => (Key::Other, self.bytes.len()),
                    None => return None,
                }
            }
            [0x1b, ..] => (Key::Escape, 1),
            [b'\r' | b'\n', ..] => (Key::Enter, 1),
            [0x7f | 0x08, ..] => (Key::Backspace, 1),
            [0x03 | 0x04, ..] => (Key::Cancel, 1),
            [0x0c, ..] => (Key::Redraw, 1),
            [0x06, ..] => (Key::PageDown, 1),
            [0x02, ..] => (Key::PageUp, 1),
            [0x0e, ..] => (Key::Down, 1),
            [0x10, ..] => (Key::Up, 1),
            [0x09, ..] => (Key::Right, 1),
            [0..=0x1f, ..] => (Key::Other, 1),
            [first, ..] => {
                let length = utf8_length(*first);
                match self.bytes.get(..length).map(std::str::from_utf8) {
                    Some(Ok(text)) => (text.chars().next().map_or(Key::Other, Key::Char), length),
                    Some(Err(_)) => (Key::Other, 1),
                    None if is_over => (Key::Other, 1),
                    None => return None,
                }
            }
        };
        self.bytes.drain(..length.min(self.bytes.len()));
        Some(key)
    }
}

/// What follows ESC [ or ESC O.
fn sequence(bytes: &[u8]) -> Key {
    match bytes {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"C" => Key::Right,
        b"D" => Key::Left,
        b"H" | b"1~" | b"7~" => Key::Home,
        b"F" | b"4~" | b"8~" => Key::End,
        b"5~" => Key::PageUp,
        b"6~" => Key::PageDown,
        b"M" => Key::Enter,
        _ => Key::Other,
    }
}

fn utf8_length(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        std::iter::from_fn(|| decoder.next(true)).collect()
    }

    #[test]
    fn sequences_are_keys() {
        let expected = [
            Key::Up,
            Key::PageDown,
            Key::Home,
            Key::Other,
            Key::Enter,
            Key::Cancel,
        ];
        assert_eq!(keys(b"\x1b[A\x1b[6~\x1bOH\x1b[1;5C\r\x03"), expected);
        assert_eq!(
            keys("ä\u{1f33f}x".as_bytes()),
            ['ä', '\u{1f33f}', 'x'].map(Key::Char)
        );
    }

    #[test]
    fn a_sequence_that_comes_in_parts_is_waited_for_and_a_lone_escape_is_a_key() {
        let mut decoder = Decoder::default();
        decoder.push(b"\x1b");
        assert_eq!(decoder.next(false), None);
        decoder.push(b"[");
        assert_eq!(decoder.next(false), None);
        decoder.push(b"B");
        assert_eq!(decoder.next(false), Some(Key::Down));
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1bq"), [Key::Escape, Key::Char('q')]);
    }
}

//! Large memory: what a fork costs is the page tables, and a huge page needs none of its own.
//!
//! A template of 256 MiB in pages of 4 KiB has 65,536 entries that every fork copies; in huge pages it has 128. The
//! price is that a clone which writes a byte copies 2 MiB. Both figures are in docs/fork.md. Compiled twice, see
//! [`super::template`].

use super::sys::{files, huge_pages};

/// Mappings smaller than this stay as they are: there is little to be gained.
const LEAST: usize = 4 << 20;
const HUGE: usize = 2 << 20;
/// So many ranges are found before they are collapsed: what is collapsed changes the file that is read.
const RANGES: usize = 256;

/// Puts what this process has in large anonymous mappings into huge pages, as far as the kernel can.
pub fn collapse() {
    let mut ranges = [(0, 0); RANGES];
    let mut found = 0;
    each_line(|line| {
        if let (Some(range), Some(place)) = (large(line), ranges.get_mut(found)) {
            *place = range;
            found += 1;
        }
    });
    for (start, end) in ranges.iter().take(found) {
        huge_pages(*start, end - start);
    }
}

/// Calls with each line of /proc/self/maps. Without /proc a fork costs what it costs.
fn each_line(mut call: impl FnMut(&str)) {
    let Ok(file) = files::open_read(c"/proc/self/maps") else {
        return;
    };
    let (mut buffer, mut held) = ([0; 8192], 0);
    while let Some(room) = buffer.get_mut(held..).filter(|room| !room.is_empty()) {
        let count = files::read(&file, room).unwrap_or(0);
        if count == 0 {
            return;
        }
        held += count;
        let full = buffer.get(..held).unwrap_or_default();
        let end = full
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |place| place + 1);
        for line in full.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
            call(core::str::from_utf8(line).unwrap_or_default());
        }
        buffer.copy_within(end..held, 0);
        held -= end;
    }
}

/// The huge pages that fit into a line's mapping, if it is anonymous, private, writable and large.
fn large(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, access) = (fields.next()?, fields.next()?);
    let (inode, name) = (fields.nth(2)?, fields.next());
    let is_heap =
        matches!(name, None | Some("[heap]")) || name.is_some_and(|name| name.starts_with("[anon:"));
    if access != "rw-p" || inode != "0" || !is_heap {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16)
        .ok()?
        .checked_next_multiple_of(HUGE)?;
    let end = usize::from_str_radix(end, 16).ok()? / HUGE * HUGE;
    (end.checked_sub(start)? >= LEAST).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_private_anonymous_memory_is_put_into_huge_pages() {
        let large_one = large("7f0000100000-7f0001100000 rw-p 00000000 00:00 0");
        assert_eq!(large_one, Some((0x7f00_0020_0000, 0x7f00_0100_0000)));
        assert!(large("55550000000-55551000000 rw-p 00000000 00:00 0   [heap]").is_some());
        for line in [
            "7f0000100000-7f0000300000 rw-p 00000000 00:00 0",
            "7f0000100000-7f0001100000 r--p 00000000 00:00 0",
            "7f0000100000-7f0001100000 rw-p 00000000 08:01 42 /lib/x.so",
            "7ffd00000000-7ffd01000000 rw-p 00000000 00:00 0   [stack]",
            "",
        ] {
            assert_eq!(large(line), None, "{line}");
        }
    }

    #[test]
    fn every_line_of_the_own_maps_is_seen_whole() {
        let mut lines = 0;
        each_line(|line| {
            lines += 1;
            assert!(line.is_empty() || line.contains('-'), "{line}");
        });
        assert!(lines > 10);
    }
}

//! The hash of names in indexed directories: half MD4 over signed bytes.
//!
//! Source: Documentation/filesystems/ext4/directory.rst (hash tree directories); RFC 1320 for the rounds.

/// The hash of `name` under the file system's seed. Its lowest bit is 0: in an index that bit means that a
/// hash is continued from the block before.
pub(crate) fn half_md4(seed: [u32; 4], name: &[u8]) -> u32 {
    let mut state = if seed == [0; 4] {
        [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]
    } else {
        seed
    };
    let mut rest = name;
    loop {
        rounds(&mut state, words(rest));
        match rest.get(32..) {
            Some(more) if !more.is_empty() => rest = more,
            _ => break,
        }
    }
    let [_, hash, ..] = state;
    // The largest value is kept for the end of a directory.
    (hash & !1).min(0xFFFF_FFFC)
}

/// Up to 32 bytes of a name as eight words, padded with the length of what is left of the name.
fn words(rest: &[u8]) -> [u32; 8] {
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX) & 0xFF;
    let padding = length * 0x0101_0101;
    let mut words = [padding; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes.iter().fold(padding, |word, byte| {
            (word << 8).wrapping_add(i32::from(byte.cast_signed()).cast_unsigned())
        });
    }
    words
}

type Mix = fn(u32, u32, u32) -> u32;

fn rounds(state: &mut [u32; 4], words: [u32; 8]) {
    let [w0, w1, w2, w3, w4, w5, w6, w7] = words;
    let all: [(Mix, u32, [u32; 8], [u32; 4]); 3] = [
        (
            |x, y, z| z ^ (x & (y ^ z)),
            0,
            [w0, w1, w2, w3, w4, w5, w6, w7],
            [3, 7, 11, 19],
        ),
        (
            |x, y, z| (x & y).wrapping_add((x ^ y) & z),
            0x5A82_7999,
            [w1, w3, w5, w7, w0, w2, w4, w6],
            [3, 5, 9, 13],
        ),
        (
            |x, y, z| x ^ y ^ z,
            0x6ED9_EBA1,
            [w3, w7, w2, w6, w1, w5, w0, w4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in all {
        for (word, shift) in order.into_iter().zip(shifts.into_iter().cycle()) {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(word)
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shift), b, c);
        }
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = old.wrapping_add(new);
    }
}

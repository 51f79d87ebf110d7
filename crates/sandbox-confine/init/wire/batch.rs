//! What messages say of several clones at once.

use super::{MESSAGE_CLONES, MESSAGE_FDS};

/// What each clone of a batch has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape(pub u64);

impl Shape {
    /// Views, in a mount namespace of its own.
    pub const VIEWS: u64 = 8;
    /// Something that it waits at.
    pub const WAITS: u64 = 16;

    /// Whether it has this standard stream, by its number.
    pub const fn has_stream(self, number: usize) -> bool {
        number < 3 && self.0 >> number & 1 == 1
    }

    /// How many streams all have in common.
    pub const fn common_streams(self) -> usize {
        3 - self.own_streams()
    }

    /// How many streams each has of its own.
    pub const fn own_streams(self) -> usize {
        (self.0 & 7).count_ones() as usize
    }

    /// Whether it has views.
    pub const fn has_views(self) -> bool {
        self.0 & Self::VIEWS != 0
    }

    /// Whether it waits.
    pub const fn waits(self) -> bool {
        self.0 & Self::WAITS != 0
    }

    /// Descriptors of each with [`FORK`]; with [`CLONE`] one more where it has views.
    pub const fn descriptors(self) -> usize {
        1 + self.own_streams() + self.waits() as usize
    }

    /// How many are made by one message.
    pub const fn at_once(self) -> usize {
        let room = MESSAGE_FDS / (self.descriptors() + self.has_views() as usize);
        if room < MESSAGE_CLONES {
            room
        } else {
            MESSAGE_CLONES
        }
    }
}

/// One of several clones of a message, in one value, which is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The keeper's place for it, less than [`MAX_CLONES`].
    pub place: u16,
    /// Its number, or its pid.
    pub number: u32,
    /// Why there is none, less than 4096.
    pub errno: u16,
}

impl Entry {
    const IS_ONE: u64 = 1 << 63;

    /// It as a value.
    pub const fn to_word(self) -> u64 {
        let errno = (self.errno & 0xfff) as u64;
        Self::IS_ONE | errno << 48 | (self.place as u64) << 32 | self.number as u64
    }

    /// The answer that it was forked as this process.
    pub const fn forked_as(self, pid: i32) -> u64 {
        let number = pid.unsigned_abs();
        Self { number, ..self }.to_word()
    }

    /// The answer that it was not.
    pub const fn failed(self, errno: i32) -> u64 {
        let errno = errno.unsigned_abs() as u16;
        let number = 0;
        Self {
            number,
            errno,
            ..self
        }
        .to_word()
    }

    /// The one that a value is; none of 0.
    pub const fn from_word(word: u64) -> Option<Self> {
        if word & Self::IS_ONE == 0 {
            return None;
        }
        Some(Self {
            place: (word >> 32) as u16,
            number: word as u32,
            errno: (word >> 48) as u16 & 0xfff,
        })
    }
}

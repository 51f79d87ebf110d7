//! Entries of tar archives, read and written: what the archives of branches and the layers of images have in common.
//!
//! Reading takes nothing for granted: every number is checked, nothing is reserved because a header asks for it, an
//! entry without content has none, what belongs to the next entry is bounded, and an archive ends with the two
//! blocks of zeros that say so. What an entry may be called, and what is done with it, is for whoever reads.

mod entry;
mod error;
mod number;
pub(crate) mod pax;
mod reader;
mod writer;

pub(crate) use entry::{Entry, Read};
pub(crate) use error::TarError;
pub(crate) use reader::{RawEntry, Reader};
pub(crate) use writer::append;

//! Copying trees: by reflink where the file system shares blocks, else sparse.
//!
//! It guarantees: nothing outside the source is read and nothing outside the target written, whatever links are in
//! the tree or are swapped in meanwhile; holes stay holes; files with several names keep them; permissions, times
//! and `user.` attributes are kept, owners where the caller is root. Sockets are left out. It does *not* sync.

pub(crate) mod across;
mod attributes;
mod bytes;
mod host_side;
mod tree;
mod weight;

use std::fmt;
use std::sync::Arc;

pub(crate) use attributes::set_mode_at;
pub(crate) use bytes::copy_file;
pub(crate) use host_side::HostSide;
pub(crate) use tree::{Copy, Failed, Side};
pub(crate) use weight::weight_of;

/// How far copying is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyProgress {
    /// Entries that are done.
    pub entries: u64,
    /// Bytes that are done; what is shared counts as done.
    pub bytes: u64,
    /// Bytes there are in all, where that is known.
    pub bytes_total: Option<u64>,
}

/// Who is told how far it is: often, and on the thread that copies.
#[derive(Clone)]
pub struct Progress(Option<Arc<dyn Fn(CopyProgress) + Send + Sync>>);

impl Progress {
    /// Nobody is told.
    pub const fn none() -> Self {
        Self(None)
    }

    /// `tell` is told.
    pub fn new(tell: impl Fn(CopyProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, progress: CopyProgress) {
        if let Some(tell) = &self.0 {
            tell(progress);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

//! Serving a filesystem through /dev/fuse.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sandbox_filesystem::serve::fuse::Session;
//! # fn filesystem() -> Arc<dyn sandbox_filesystem::fs::DynFileSystem> { unimplemented!() }
//! let session = Session::builder(filesystem()).fs_name("notes").mount("/mnt/notes")?;
//! session.wait(); // until somebody unmounts it
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Session`] is a mount and the threads that serve it. It is ready when the call that makes it returns, and gone
//! when it is dropped; should its process be killed, nothing stale is left.
//!
//! # It is not
//! - a signal handler: who wants to unmount on Ctrl-C waits for signals where all threads have them blocked;
//! - a wall: whoever may reach the mount may ask everything of the filesystem (see
//!   [`default_permissions`](SessionBuilder::default_permissions)).

mod backing;
mod buffer;
mod builder;
mod error;
mod inside;
mod link;
mod mount;
mod mounting;
mod near;
mod notify;
mod pace;
mod pool;
mod session;
mod standing;
mod watch;

pub use builder::SessionBuilder;
pub use error::{MountError, UnmountError};
pub use mounting::{Mount, MountBuilder};
pub use session::Session;

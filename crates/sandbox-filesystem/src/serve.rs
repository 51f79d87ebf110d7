//! Serving a filesystem: requests of the FUSE protocol in, answers out.
//!
//! [`Server`] turns one request into one call of a [`DynFileSystem`](crate::fs::DynFileSystem) and one answer. It knows
//! no transport: a VMM calls [`Server::handle`] on a thread of its own with the buffers of a virtqueue, `serve::fuse`
//! calls it with those of /dev/fuse, a test with a slice. It has no thread, no global and no signal handler.
//!
//! A request that makes no sense is answered with an error number. So is one during which a backend panics.
//!
//! # It is not
//! - a check of permissions: that is the kernel's (`default_permissions`) or the backend's.

mod backing;
mod counters;
mod decode;
mod encode;
#[cfg(feature = "fuse")]
pub mod fuse;
mod in_flight;
mod opcode;
mod ops;
mod server;
#[cfg(test)]
mod tests;
mod transport;

pub use backing::Backing;
pub use counters::{Counted, Counters};
pub use opcode::Opcode;
pub use server::{Handled, Negotiated, Server, ServerOptions, Unanswerable};
pub use transport::{MemoryReply, Reply};

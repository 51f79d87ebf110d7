//! What a filesystem is to whoever serves it: [`DynFileSystem`] and the plain types of its operations.
//!
//! Every backend implements the trait, every server takes an `Arc<dyn DynFileSystem>`, so backends nest freely and
//! are served the same way by FUSE, by virtiofs, or called directly. The operations are those of the FUSE protocol
//! (`linux/fuse.h`, version 7.45); names and meanings are the kernel's.
//!
//! The types are this crate's own: nothing here belongs to fuse-backend-rs, vm-memory, nix or tokio.
//!
//! # It is not
//! - a path-based interface: operations name an inode and, in it, an entry;
//! - asynchronous: a request occupies the thread that calls, and servers have several.

mod attr;
mod context;
mod data;
mod dir;
mod errno;
mod file_system;
mod flags;
mod invalidate;
mod lock;
mod misc;

pub use attr::{Attr, Entry, SetAttr, SetTime, StatFs, Timestamp};
pub use context::{Context, Interrupt, WakeOnRaise};
pub use data::{Buffer, DataReader, DataWriter};
pub use dir::{AddEntry, AddEntryPlus, DirEntry, Fit};
pub use errno::{Errno, FsResult};
pub use file_system::DynFileSystem;
pub use flags::{Capabilities, FallocateMode, OpenFlags, OpenReplyFlags, RenameFlags, XattrFlags};
pub use invalidate::Invalidate;
pub use lock::{FlockOperation, Lock, LockKind, LockOwner};
pub use misc::{
    Created, DaxMapper, DaxRange, Handle, Ino, IoctlReply, IoctlRequest, Opened, ROOT_INO, ReadRequest,
    SeekFrom, SyncScope, WriteRequest, XattrReply,
};

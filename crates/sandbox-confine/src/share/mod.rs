//! One live sandbox, held by several processes of one user.
//!
//! Init ends when the last copy of the supervisor's end of the control socket is closed, so whoever has a copy
//! is a supervisor of equal rank. A sandbox that is shared listens on a unix socket; whoever connects and is
//! let in gets copies of
//! - the control socket and init's pidfd;
//! - the description ([`description`]) of what starting a command takes, in a sealed memfd. Each holder has it
//!   open by itself and keeps a shared flock(2) on it: who can make that lock exclusive is the last one, and
//!   cleans up ([`stake`]);
//! - the listening socket, so that anybody who holds the sandbox can let in the next ([`gate`]);
//! - the marks that keep `gc` from a cgroup or a private directory whose maker is gone ([`crate::mark`]).
//!
//! Guaranteed: a process gets in only as the same user, in the same pid and user namespace, and not from inside
//! the sandbox itself ([`peer`]). Nobody joins another user's sandbox, root not excepted: root would act on
//! another user's word, down to which directory to remove at the end. A holder that is killed leaves all the others what they have.
//!
//! It is not a wall between those who hold a sandbox: each of them may kill it.

mod build;
mod description;
mod door;
mod error;
mod gate;
mod join;
mod packet;
mod peer;
mod stake;
#[cfg(test)]
mod tests;

pub use error::{GateError, JoinError, Refusal, ShareError};
pub use gate::{Gate, GateState, GateThread};
pub(crate) use join::join;
pub(crate) use stake::{Position, Stake};

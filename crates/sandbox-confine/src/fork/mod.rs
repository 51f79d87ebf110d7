//! Fork: one warm process, any number of clones of it, each a live sandbox.
//!
//! A *template* is a copy of the caller inside a sandbox, behind every wall that a command has: it runs one function of
//! the caller's, which loads whatever takes long, and then waits. [`Sandbox::fork`](crate::Sandbox::fork) makes copies
//! of it, which share all memory until they write to it; each runs a second function with its own number.
//!
//! A template can be a program as well, which says itself when it is ready ([`runtime`]).
//!
//! What is guaranteed: a clone has no right that the policy does not give; it is in a pid namespace of its own and ends
//! with all that it has started; it does not see, signal or trace another clone or the template; it ends when whoever
//! holds it lets go, or dies.
//!
//! What is not: clones share the template's address layout and whatever randomness it has drawn before it was forked,
//! see docs/fork.md. The template is a copy of its caller's memory: make it early, or of a process that holds nothing
//! that its functions may not know.

#[cfg(feature = "tokio")]
mod asynchronous;
mod clone;
mod enter;
mod error;
mod link;
mod maker;
mod options;
mod order;
mod program;
mod reduce;
mod relay;
pub mod runtime;
mod sandbox;
mod serve;
mod streams;
mod supply;
mod template;
mod views;
mod writers;
mod zygote;

pub(crate) use clone::CloneHandle;
pub use error::{ForkError, MapReduceError, ReduceError};
pub(crate) use link::Link;
pub use options::{Branches, CloneInput, CloneOutput, ForkOptions, INIT_TIMEOUT};
pub use reduce::{Gathered, Gatherer, OnFailure, Reduction};
pub use template::TemplateBuilder;
pub use zygote::{Zygote, ZygoteBuilder, zygote};

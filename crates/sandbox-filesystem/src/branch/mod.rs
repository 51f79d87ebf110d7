//! Copy-on-write views of a directory: run on one, see what it changed, keep what is wanted.
//!
//! See `docs/architecture.md`, "Branches", for the parts and how they fit.

mod node;
mod stack;

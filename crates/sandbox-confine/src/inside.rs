//! What init does to its children and a template does to itself, compiled from the same source.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::pedantic,
    reason = "init uses the rest, and is linted where it is built"
)]

#[path = "../init/sys/mod.rs"]
#[allow(unsafe_code)]
pub(crate) mod sys;
#[path = "../init/walls.rs"]
pub(crate) mod walls;

use crate::wire;

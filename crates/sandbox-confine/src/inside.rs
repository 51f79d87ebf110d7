//! What init does to its children, a template does to itself and the runtime of programs does, compiled from the same
//! source.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::pedantic,
    reason = "init uses the rest, and is linted where it is built"
)]

#[path = "../runtime/beside.rs"]
pub(crate) mod beside;
#[path = "../init/execute.rs"]
pub(crate) mod execute;
#[path = "../runtime/huge.rs"]
pub(crate) mod huge;
#[path = "../init/sys/mod.rs"]
#[allow(unsafe_code)]
pub(crate) mod sys;
#[path = "../runtime/template.rs"]
pub(crate) mod template;
#[path = "../runtime/threads.rs"]
pub(crate) mod threads;
#[path = "../init/walls.rs"]
pub(crate) mod walls;

use crate::wire;

//! Against the real git: layers are written by a git that runs on a mounted overlay, in a user namespace of its own.

mod classify;
mod harness;
mod hostile;
mod import;
mod kinds;
mod layouts;
mod locate;
mod objects;
mod run;

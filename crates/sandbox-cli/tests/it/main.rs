//! The `sandbox` command as its users meet it.

#[macro_use]
mod harness;

mod acceptance;
mod attached_volumes;
mod bad_input;
mod branch_review;
mod branches;
mod escape;
mod exit_status;
mod fork;
mod gc;
mod help;
mod interrupted_volumes;
mod json;
mod layers;
mod mounts;
mod profile;
mod ps;
mod sees;
mod signals;
mod terminal;
mod volumes;

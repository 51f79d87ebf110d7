//! `sandbox run --branch`: writes stay on the branch, and what is seen there is what a plain directory would show.
//!
//! Every scenario runs in every mode that works here; what mode `kernel` does differently is in `differences`, and
//! in docs/platform.md.

mod fingerprint;
mod mounts;
mod plain;
mod project;

mod bad_input;
mod content;
mod denied;
mod differences;
mod full;
mod interrupted;
mod json;
mod leaks;
mod meanwhile;
mod mounting;
mod moved;
mod names;
mod review;
mod tools;

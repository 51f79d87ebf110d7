//! Plans from real layers, applied to real trees.

mod basics;
mod crash;
mod laws;
mod others;
mod refusals;
mod scene;

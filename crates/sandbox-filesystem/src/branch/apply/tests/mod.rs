//! Plans from real layers, applied to real trees.

mod basics;
mod laws;
mod scene;

//! Sandboxes and clones that are made before they are wanted.

mod clones;
mod ends;
mod sandboxes;

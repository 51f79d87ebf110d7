//! A demanding user and an attacker of the library: one scenario group a file.

mod asynchronous;
mod denied;
mod filesystem;
mod fork;
mod harness;
mod in_place;
mod join;
mod lifetime;
mod overlay;
mod own;
mod pool;
mod pty;
mod real_programs;
mod run;
mod sandbox;
mod surroundings;
mod verdicts;

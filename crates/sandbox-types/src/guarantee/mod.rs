//! Guarantees, mechanisms, and the one table that says which mechanisms suffice for which guarantee.
//!
//! A policy asks for guarantees; a host offers mechanisms. [`judge`] reads [`TABLE`] and says, for a set of
//! mechanisms that hold, whether a guarantee is enforced, degraded or disabled, and why. Nothing else in
//! the project decides that question.

mod judge;
mod markdown;
mod names;
mod table;

pub use judge::{Verdict, judge};
pub use markdown::markdown;
pub use names::{Guarantee, Mechanism};
pub use table::{Row, Strength, TABLE};

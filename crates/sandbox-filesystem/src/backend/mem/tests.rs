//! Tests of what the suite for all backends does not see.

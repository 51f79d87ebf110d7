//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::fs::Timestamp;

/// Now, in nanoseconds' resolution.
pub(super) fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        },
        // A clock that is set before 1970.
        Err(_) => Timestamp::default(),
    }
}

//! Times as the catalog keeps them: microseconds since the epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now.
pub(crate) fn now() -> i64 {
    to_micros(SystemTime::now())
}

/// A time as it is kept; what cannot be kept is moved to the end of what can.
pub(crate) fn to_micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

/// A time that was kept.
pub(crate) fn from_micros(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

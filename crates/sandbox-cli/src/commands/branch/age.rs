//! How long ago something was, as people say it.

use std::time::{SystemTime, UNIX_EPOCH};

/// `seconds` since the epoch as `5 min ago`.
pub(crate) fn ago(seconds: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    span(now.saturating_sub(seconds))
}

/// `seconds` as `5 min`.
pub(crate) fn spent(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".to_owned(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::{span, spent};

    #[test]
    fn ages_are_rounded_down() {
        for (seconds, text) in [
            (0, "just now"),
            (119, "1 min ago"),
            (7200, "2 h ago"),
            (86_400, "yesterday"),
            (864_000, "10 days ago"),
        ] {
            assert_eq!(span(seconds), text);
        }
        for (seconds, text) in [(0, "0 s"), (119, "1 min"), (7200, "2 h"), (864_000, "10 d")] {
            assert_eq!(spent(seconds), text);
        }
    }
}

//! Command lines as a user would type them.

use std::{borrow::Cow, ffi::OsStr};

/// The words of a command line, quoted for a POSIX shell where they need it.
pub(crate) fn join<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<String> = words
        .into_iter()
        .map(|w| word(&w.as_ref().to_string_lossy()).into())
        .collect();
    words.join(" ")
}

/// One word, quoted for a POSIX shell when it needs it.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_back_as_the_same_words() {
        assert_eq!(join(["sandbox", "run", "-w", "."]), "sandbox run -w .");
        assert_eq!(
            join(["sh", "-c", "ls ~; echo 'x'"]),
            r"sh -c 'ls ~; echo '\''x'\'''"
        );
        assert_eq!(join(["printf", ""]), "printf ''");
    }
}

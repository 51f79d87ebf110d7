//! Writing to the caller's streams. A reader that has gone is no failure.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::error::CliError;

/// Writes `text` to standard output and ends with `status`. A terminal is not commanded by what is in it.
pub(crate) fn print(text: &str, status: ExitCode) -> Result<ExitCode, CliError> {
    if io::stdout().is_terminal() {
        return print_bytes(harmless(text).as_bytes(), status);
    }
    print_bytes(text.as_bytes(), status)
}

/// Writes bytes to standard output as they are.
pub(crate) fn print_bytes(bytes: &[u8], status: ExitCode) -> Result<ExitCode, CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Stdout(error)),
        _ => Ok(status),
    }
}

/// Writes a value as indented JSON to standard output and ends with `status`.
pub(crate) fn print_json(value: &impl Serialize, status: ExitCode) -> Result<ExitCode, CliError> {
    let mut text = serde_json::to_string_pretty(value).map_err(CliError::Json)?;
    text.push('\n');
    print(&text, status)
}

/// Notes, where standard error is kept for something else.
static COLLECTED: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// From here on nothing of ours is written to standard error but what asks for it: notes are collected.
pub(crate) fn collect() {
    collection().get_or_insert_default();
}

/// Whether standard error is kept for something else.
pub(crate) fn is_collecting() -> bool {
    collection().is_some()
}

/// The notes until now.
pub(crate) fn collected() -> Vec<String> {
    collection().as_mut().map(std::mem::take).unwrap_or_default()
}

fn collection() -> MutexGuard<'static, Option<Vec<String>>> {
    COLLECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line of our own on standard error, told apart from those of the command.
pub(crate) fn note(text: impl Display) {
    if let Some(notes) = collection().as_mut() {
        notes.push(text.to_string());
        return;
    }
    tell(format_args!("[sandbox] {text}"));
}

/// One line on standard error, of what a reader of JSON finds in there. Nobody can be told that nobody listens.
pub(crate) fn tell(text: impl Display) {
    if !is_collecting() {
        writeln!(io::stderr(), "{}", harmless(&text.to_string())).ok();
    }
}

/// Shows control characters instead of sending them: a file name, or what git says, must not command a terminal.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let commands = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if commands(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

/// The same of what is to be a part of a line.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(
            harmless("a\x1b[31m\u{9b}2J\r\n\tb"),
            "a\\u{1b}[31m\\u{9b}2J\\r\n\tb"
        );
        assert_eq!(one_line("a\nb"), "a\\nb");
    }
}

//! Writing to the caller's streams. A reader that has gone is no failure.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::error::CliError;

/// Writes `text` to standard output and ends with `status`.
pub(crate) fn print(text: &str, status: ExitCode) -> Result<ExitCode, CliError> {
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

/// One line of our own on standard error, told apart from those of the command.
pub(crate) fn note(text: impl Display) {
    tell(format_args!("[sandbox] {text}"));
}

/// One line on standard error. Nobody can be told that nobody listens there.
pub(crate) fn tell(text: impl Display) {
    writeln!(io::stderr(), "{text}").ok();
}

/// A text in which nothing steers a terminal: what a branch holds is somebody else's.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

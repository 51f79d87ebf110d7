//! `--daemon`: the same command once more, in a session of its own.
//!
//! It says on its standard output that it is ready, and what is wrong on the caller's standard error until then; after
//! that it has neither.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, ExitCode, Stdio};

use crate::error::CliError;

/// Set in the command that is in the background.
const MARK: &str = "SANDBOX_MOUNT_IN_BACKGROUND";
const READY: &[u8] = b"ready\n";

pub(super) fn is_background() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts it, and returns when it is ready or has failed.
pub(super) fn start() -> Result<ExitCode, CliError> {
    let failed = |source| CliError::Serving {
        what: "going to the background",
        source,
    };
    let mut child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut said).map_err(failed)?;
    }
    if said == READY {
        return Ok(ExitCode::SUCCESS);
    }
    match child.wait().map_err(failed)?.code() {
        // It has said why.
        Some(code) if code != 0 => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        _ => Err(CliError::NotReady),
    }
}

/// Says so, and lets go of the caller's terminal and streams.
pub(super) fn ready() -> io::Result<()> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(READY)?;
    stdout.flush()?;
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    silence(&nowhere)
}

/// Lets go of them without a word.
pub(super) fn let_go(nowhere: &File) -> io::Result<()> {
    std::env::set_current_dir("/")?;
    silence(nowhere)
}

fn silence(nowhere: &File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(nowhere)?;
    rustix::stdio::dup2_stderr(nowhere)?;
    Ok(())
}

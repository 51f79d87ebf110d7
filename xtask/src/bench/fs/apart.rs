//! Namespaces of its own: mounts and servers end with this program, however it ends.

use std::{env, ffi::OsStr};

use crate::{
    cmd::Cmd,
    error::{Error, Result},
};

/// Set in the environment of the run that is in them.
const MARK: &str = "SANDBOX_BENCH_FS_APART";

pub(super) fn is_apart() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs this program again, with the same arguments and some more, in namespaces of its own.
pub(super) fn again(more: &[&OsStr]) -> Result<()> {
    let program = env::current_exe().map_err(Error::io("/proc/self/exe"))?;
    Cmd::new("unshare")
        .args([
            "-m",
            "--propagation",
            "private",
            "-pf",
            "--mount-proc",
            "--kill-child",
            "--",
        ])
        .arg(program)
        .args(env::args_os().skip(1))
        .args(more)
        .env(MARK, "1")
        .silent()
        .run()
}

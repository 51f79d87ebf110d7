//! Whole copies by cp(1), until the copier lands.

use std::io;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Reflink,
    Any,
}

pub(crate) fn tree(from: &Path, to: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    tree_by(Method::Any, from, to, progress)
}

pub(crate) fn tree_by(method: Method, from: &Path, to: &Path, _: &mut dyn FnMut(u64)) -> io::Result<()> {
    let reflink = match method {
        Method::Reflink => "--reflink=always",
        Method::Any => "--reflink=auto",
    };
    let output = Command::new("cp")
        .args(["-aT", reflink, "--"])
        .args([from, to])
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

pub(crate) fn can_reflink(_: &Path, _: &Path) -> bool {
    false
}

//! What the base's repository tracks: those files are nobody's to ignore.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::error::GitError;
use super::locate::Layout;
use super::run::Git;

/// Paths in the index of the base's working tree, from its top, as git has them.
pub(crate) fn tracked(layout: &Layout) -> Result<BTreeSet<Box<OsStr>>, GitError> {
    let answer = Git::find()?.run(&layout.git_dir, "ls-files", &[OsStr::new("-z")], b"")?;
    let paths = answer.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| OsStr::from_bytes(path).into()).collect())
}

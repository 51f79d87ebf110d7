//! What can be done about what is wrong, in the command's own words.

use sandbox::backend::passthrough::{PassthroughError, PassthroughProblem as Problem};

/// About the first thing about which something can be done.
pub(crate) fn hint(error: &PassthroughError) -> Option<&'static str> {
    error.problems().iter().find_map(of)
}

fn of(problem: &Problem) -> Option<&'static str> {
    Some(match problem {
        Problem::NotADirectory { .. } => "to share one file: --single-file",
        Problem::NotAFile { .. } => "to share a directory, leave out --single-file",
        Problem::NoXattrs { .. } => {
            "show the host's own owners: --stat relaxed or --stat off; or use a filesystem that has them (ext4, xfs, \
             btrfs, tmpfs since Linux 6.6)"
        }
        Problem::WritebackWithoutCache => "choose --cache auto or always, or leave out --writeback",
        Problem::WritebackReadOnly => "leave out --writeback or --read-only",
        Problem::QuotaOnFile => "leave out --quota, or share the directory",
        other => return other.hint(),
    })
}

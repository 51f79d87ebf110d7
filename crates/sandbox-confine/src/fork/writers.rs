//! Who has files open for writing: an answer for people, asked of /proc.

use std::fs;
use std::path::{Path, PathBuf};

/// The most files that are named.
const MOST: usize = 16;

/// Files beneath those places that a process inside has open for writing, as they are called inside.
pub(super) fn beneath(init: i32, places: &[&Path]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![init.unsigned_abs()];
    while let Some(pid) = left.pop() {
        left.extend(children(pid));
        files.extend(written_by(pid).filter(|file| places.iter().any(|place| file.starts_with(place))));
    }
    files.sort_unstable();
    files.dedup();
    files.truncate(MOST);
    files
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn written_by(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let open = entries.filter_map(move |entry| {
        let name = entry.file_name();
        let about = fs::read_to_string(Path::new(&format!("/proc/{pid}/fdinfo")).join(name)).ok()?;
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        // O_WRONLY and O_RDWR; an O_PATH descriptor writes nothing.
        let writes = flags & 3 != 0 && flags & libc::O_PATH.unsigned_abs() == 0;
        writes.then(|| fs::read_link(entry.path()).ok()).flatten()
    });
    let mapped = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mapped: Vec<_> = mapped.lines().filter_map(mapped_for_writing).collect();
    open.chain(mapped)
}

/// The file that a line of proc_pid_maps(5) is of, where it is shared and written to.
fn mapped_for_writing(line: &str) -> Option<PathBuf> {
    let mut fields = line.splitn(6, ' ');
    let access = fields.nth(1)?;
    let path = fields.nth(3)?.trim_start();
    (access.starts_with("rw") && access.ends_with('s') && path.starts_with('/')).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shared_writable_mappings_of_files_write() {
        let of = |line| mapped_for_writing(line);
        let line =
            "7f0000000000-7f0000001000 rw-s 00000000 08:01 42                         /home/me/app/a b";
        assert_eq!(of(line), Some("/home/me/app/a b".into()));
        assert_eq!(
            of("7f0000000000-7f0000001000 rw-p 00000000 08:01 42                         /x"),
            None
        );
        assert_eq!(of("7f0000000000-7f0000001000 rw-s 00000000 00:01 42"), None);
    }

    #[test]
    fn files_that_this_process_writes_are_found() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().canonicalize().unwrap();
        let _written = fs::File::create(path.join("written")).unwrap();
        let _read = fs::File::open(path.join("written")).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(beneath(own, &[path.as_path()]), [path.join("written")]);
    }
}

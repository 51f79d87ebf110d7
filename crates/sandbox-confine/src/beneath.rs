//! Whether one path lies at or beneath another, by their bytes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// As [`Path::starts_with`], for paths without doubled, leading `./` or trailing slashes: what
/// canonicalize(3) gives and tables hold. Planning compares thousands of paths, and taking each of them
/// apart is most of its time.
pub(crate) fn is_beneath(path: &Path, dir: &Path) -> bool {
    let (path, dir) = (path.as_os_str().as_bytes(), dir.as_os_str().as_bytes());
    match path.strip_prefix(dir) {
        Some([] | [b'/', ..]) => true,
        Some(_) => dir.is_empty() || dir.ends_with(b"/"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_components_agree_on_normal_paths() {
        let paths = [
            "", "/", "/a", "/a/b", "/ab", "/a-b", "/a/b/c", "a", "a/b", ".ssh", ".ssh/id",
        ];
        for path in paths.map(Path::new) {
            for dir in paths.map(Path::new) {
                // An absolute path is beneath "" by its components only when both are relative.
                let expected = if dir.as_os_str().is_empty() {
                    true
                } else {
                    path.starts_with(dir)
                };
                assert_eq!(is_beneath(path, dir), expected, "{path:?} {dir:?}");
            }
        }
    }
}

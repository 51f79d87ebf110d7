//! The names in a directory, read at once: asking for each of a hundred places that are mostly not there costs more.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path};

/// A directory with more entries is not worth reading.
const MAX_ENTRIES: usize = 256;

/// What a directory holds; or that this is not known.
#[derive(Debug)]
pub(super) struct Names(Option<BTreeSet<OsString>>);

impl Names {
    /// Reads `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        let read = || {
            let mut names = BTreeSet::new();
            for entry in fs::read_dir(dir).ok()? {
                if names.len() == MAX_ENTRIES {
                    return None;
                }
                names.insert(entry.ok()?.file_name());
            }
            Some(names)
        };
        Self(read())
    }

    /// Whether `path`, relative to the directory, can exist: its first component does, or is not known not to.
    pub(super) fn may_hold(&self, path: &Path) -> bool {
        match (&self.0, path.components().next()) {
            (Some(names), Some(Component::Normal(first))) => names.contains::<OsStr>(first),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_cannot_exist_and_what_is_not_known_may() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".config/gh")).unwrap();
        let names = Names::of(dir.path());
        let holds = |path: &str| names.may_hold(Path::new(path));
        assert!(holds(".config") && holds(".config/nothing") && holds("../other"));
        assert!(!holds(".ssh") && !holds(".con/fig"));
        for entry in 0..=MAX_ENTRIES {
            fs::write(dir.path().join(entry.to_string()), "").unwrap();
        }
        assert!(
            Names::of(dir.path()).may_hold(Path::new(".ssh")),
            "too many to be read"
        );
        assert!(Names::of(&dir.path().join("none")).may_hold(Path::new(".ssh")));
    }
}

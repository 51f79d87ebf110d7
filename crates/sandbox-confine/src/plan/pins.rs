//! Directories on the way to what is covered, where the command may write: each is mounted on itself.
//!
//! A mount point cannot be renamed, so `~/.config` stays the place in which the next run looks for `~/.config/gh`. What
//! is moved across it is copied (EXDEV), as between any two mounts. A copy-on-write view has no need of it: what happens
//! there to the way is not the host's until somebody commits it.

use std::path::Path;

use sandbox_types::Access;

use super::ResolvedGrant;

/// The directories between `grant`, if the command may write there, and `covered` in it, but for those that one of
/// `grants` further inside shows in its own way.
pub(super) fn of(covered: &Path, grant: &ResolvedGrant, grants: &[ResolvedGrant]) -> Vec<ResolvedGrant> {
    if grant.access != Access::Write || !grant.is_itself() {
        return Vec::new();
    }
    let is_shown_otherwise = |path: &Path| {
        let mut inside = grants
            .iter()
            .filter(|inner| inner.at != grant.at && inner.at.starts_with(&grant.at));
        inside.any(|inner| path.starts_with(&inner.at))
    };
    covered
        .ancestors()
        .skip(1)
        .take_while(|path| *path != grant.at)
        .filter(|path| !is_shown_otherwise(path))
        .filter_map(|path| {
            Some(ResolvedGrant {
                at: path.to_owned(),
                source: grant.source.join(path.strip_prefix(&grant.at).ok()?),
                is_dir: true,
                access: Access::Write,
                overlay: None,
                served: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn grant(at: &str, source: &str, access: Access) -> ResolvedGrant {
        ResolvedGrant {
            at: at.into(),
            source: source.into(),
            is_dir: true,
            access,
            overlay: None,
            served: None,
        }
    }

    fn pinned(covered: &str, grant: &ResolvedGrant, grants: &[ResolvedGrant]) -> Vec<(PathBuf, PathBuf)> {
        let found = of(Path::new(covered), grant, grants).into_iter();
        found.map(|pin| (pin.at, pin.source)).collect()
    }

    #[test]
    fn every_directory_on_the_way_is_mounted_from_where_it_is() {
        let home = grant("/data", "/home/me", Access::Write);
        let found = pinned("/data/.local/share/keyrings", &home, std::slice::from_ref(&home));
        let pair = |at: &str, source: &str| (PathBuf::from(at), PathBuf::from(source));
        assert_eq!(
            found,
            [
                pair("/data/.local/share", "/home/me/.local/share"),
                pair("/data/.local", "/home/me/.local"),
            ]
        );
        assert!(pinned("/data/.ssh", &home, &[]).is_empty());
    }

    #[test]
    fn what_cannot_be_written_or_is_granted_by_itself_is_left_alone() {
        let readable = grant("/home/me", "/home/me", Access::Read);
        assert!(pinned("/home/me/.config/gh", &readable, &[]).is_empty());
        let home = grant("/home/me", "/home/me", Access::Write);
        let config = grant("/home/me/.config", "/home/me/.config", Access::Read);
        assert!(pinned("/home/me/.config/gh", &home, &[home.clone(), config]).is_empty());
    }
}

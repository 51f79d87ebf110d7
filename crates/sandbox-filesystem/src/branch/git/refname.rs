//! Names of references: which are allowed, and where they arrive.

use sandbox_types::BranchName;

/// Longer names are not git's: the file system's limit is on each part, and room is needed for `.lock`.
const MAX_NAME: usize = 1024;
const MAX_PART: usize = 250;

/// First parts that mean something else beneath `refs/sandbox/NAME/`.
const RESERVED: [&str; 5] = ["HEAD", "heads", "tags", "worktrees", "main-worktree"];

/// Whether git allows `name` as a full reference name (git-check-ref-format(1)).
pub(super) fn is_allowed(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next() == Some("refs")
        && parts.clone().count() >= 1
        && parts.all(is_part)
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && name.len() <= MAX_NAME
}

/// Whether `part` can stand between two slashes.
pub(super) fn is_part(part: &str) -> bool {
    let is_forbidden =
        |byte: u8| byte <= b' ' || matches!(byte, 0x7f | b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\');
    !part.is_empty()
        && part.len() <= MAX_PART
        && !part.starts_with('.')
        && !has_lock_suffix(part)
        && !part.bytes().any(is_forbidden)
}

/// Beneath what everything of the branch `name` arrives: `refs/sandbox/NAME/`.
pub(super) fn namespace(name: &BranchName) -> String {
    format!("refs/sandbox/{}/", escaped(name.as_str()))
}

/// Where the branch's reference `from` (`refs/heads/…`, `refs/tags/…` or a HEAD) arrives.
pub(super) fn arrival(name: &BranchName, from: &str) -> String {
    let namespace = namespace(name);
    if let Some(head) = from.strip_prefix("refs/heads/") {
        let first = head.split('/').next().unwrap_or(head);
        let apart = if RESERVED.contains(&first) { "heads/" } else { "" };
        format!("{namespace}{apart}{head}")
    } else {
        let rest = from.strip_prefix("refs/").unwrap_or(from);
        format!("{namespace}{rest}")
    }
}

/// A branch's name as part of a reference. Only dots can be in the way: git allows neither two in a row nor `.lock`
/// at the end. `%` is in no branch's name, so that no two names become one.
fn escaped(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for (at, character) in name.char_indices() {
        let rest = name.get(at..).unwrap_or_default();
        if character == '.' && (rest.starts_with("..") || rest == "." || rest.eq_ignore_ascii_case(".lock")) {
            part.push_str("%2E");
        } else {
            part.push(character);
        }
    }
    part
}

fn has_lock_suffix(part: &str) -> bool {
    part.as_bytes().ends_with(b".lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_as_git_allows_them() {
        for good in [
            "refs/heads/main",
            "refs/heads/fix/a-b_c",
            "refs/tags/v1.2",
            "refs/heads/ä",
            "refs/stash",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "refs",
            "refs/",
            "heads/main",
            "/refs/heads/x",
            "refs/heads/../../x",
            "refs/heads//x",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/x.lock/y",
            "refs/heads/x.",
            "refs/heads/x/",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/a\nb",
            "refs/heads/a~1",
            "refs/heads/a:b",
            "refs/heads/@{-1}",
            "refs/heads/*",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
        assert!(!is_allowed(&format!("refs/heads/{}", "x".repeat(300))));
    }

    #[test]
    fn every_branch_name_makes_an_allowed_reference_of_its_own() {
        let names = [
            "fix",
            "a..b",
            "a.b",
            "a...b",
            "x.lock",
            "x.LOCK",
            "end.",
            "a.%".trim_end_matches('%'),
            "v1.2",
        ];
        let arrivals: std::collections::BTreeSet<String> = names
            .iter()
            .map(|name| arrival(&name.parse().unwrap(), "refs/heads/main"))
            .collect();
        assert!(arrivals.iter().all(|name| is_allowed(name)), "{arrivals:?}");
        assert!(arrivals.contains("refs/sandbox/v1.2/main"));
        assert!(arrivals.contains("refs/sandbox/x%2Elock/main"));
    }

    #[test]
    fn heads_tags_and_detached_heads_do_not_collide() {
        let name = "n".parse().unwrap();
        for (from, to) in [
            ("refs/heads/main", "refs/sandbox/n/main"),
            ("refs/heads/fix/a", "refs/sandbox/n/fix/a"),
            ("refs/heads/tags/v1", "refs/sandbox/n/heads/tags/v1"),
            ("refs/heads/heads/tags/v1", "refs/sandbox/n/heads/heads/tags/v1"),
            ("refs/heads/HEAD", "refs/sandbox/n/heads/HEAD"),
            ("refs/tags/v1", "refs/sandbox/n/tags/v1"),
            ("HEAD", "refs/sandbox/n/HEAD"),
            ("worktrees/x/HEAD", "refs/sandbox/n/worktrees/x/HEAD"),
        ] {
            assert_eq!(arrival(&name, from), to);
        }
    }
}

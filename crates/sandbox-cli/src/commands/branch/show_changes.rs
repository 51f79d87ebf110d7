//! A change set as lines of text.

use std::path::Path;

use sandbox::branch::{Branch, ReviewError, ReviewOptions, Texts};
use sandbox::{BaseChange, ByteSize, Change, ChangeKind, ChangeSet, GitRef, RelPath};

use crate::progress::Bar;

/// What has changed on a branch, found with a bar.
pub(crate) fn of(branch: &Branch, options: &ReviewOptions) -> Result<ChangeSet, ReviewError> {
    let mut bar = Bar::new();
    branch.diff_with(options, &mut |entries| bar.count("comparing", entries))
}

/// One line a path, then what is folded and what arrives by git.
pub(crate) fn lines(set: &ChangeSet) -> String {
    with_counts(set, &|_| None)
}

/// The same, with what `counted` says behind each path.
pub(crate) fn with_counts(set: &ChangeSet, counted: &dyn Fn(&Change) -> Option<String>) -> String {
    let width = set
        .changes
        .iter()
        .map(|change| change.path.to_string().chars().count())
        .chain(
            set.ignored
                .iter()
                .map(|ignored| ignored.path.to_string().chars().count() + 1),
        )
        .max()
        .unwrap_or(0)
        .min(60);
    let mut text = String::new();
    for change in &set.changes {
        text.push_str(&line(change, width, counted(change).as_deref()));
    }
    for ignored in &set.ignored {
        let files = if ignored.files == 1 { "file" } else { "files" };
        text.push_str(&format!(
            "  {:<width$}  {} {files}, {}, ignored\n",
            format!("{}/", ignored.path),
            thousands(ignored.files),
            ByteSize::from_bytes(ignored.bytes)
        ));
    }
    for one in &set.git {
        text.push_str(&format!("{}\n", arrival(one)));
    }
    for note in &set.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// The lines of a change that are new and gone; none of what is no text.
pub(crate) fn counted(texts: &Texts, change: &Change) -> Option<String> {
    let counts = texts.counts(change).ok().flatten()?;
    let parts = [('+', counts.added), ('−', counts.removed)];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
    Some(parts.join(" "))
}

/// What there is, in one line.
pub(crate) fn summary(set: &ChangeSet) -> String {
    let counts = set.counts();
    let commits: u64 = set.git.iter().map(|one| one.commits).sum();
    let parts = [
        (counts.added, "added"),
        (counts.modified, "modified"),
        (counts.deleted, "deleted"),
        (counts.renamed, "renamed"),
        (set.held().count() as u64, "held back"),
        (set.conflicts().count() as u64, "in conflict"),
        (commits, if commits == 1 { "git commit" } else { "git commits" }),
    ];
    let said: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", thousands(*count)))
        .collect();
    if said.is_empty() {
        "nothing changed".to_owned()
    } else {
        said.join(", ")
    }
}

pub(crate) fn line(change: &Change, width: usize, counted: Option<&str>) -> String {
    let mut line = format!("{} {:<width$}", change.change.letter(), change.path.to_string());
    if let ChangeKind::Renamed { from, .. } = &change.change {
        line.push_str(&format!("  from {from}"));
    }
    if let Some(counted) = counted {
        line.push_str(&format!("  {counted}"));
    }
    if let ChangeKind::Modified {
        content: false,
        attributes,
    } = &change.change
    {
        let names: Vec<_> = attributes
            .iter()
            .map(|one| format!("{one:?}").to_lowercase())
            .collect();
        line.push_str(&format!("  {}", names.join(", ")));
    }
    if let Some(conflict) = change.conflict {
        line.push_str(&format!("  CONFLICT {}", said(conflict)));
    }
    if let Some(hold) = &change.hold {
        line.push_str(&format!("  HELD {}: {}", hold.rule, hold.why));
    }
    format!("{}\n", line.trim_end())
}

pub(crate) fn said(conflict: BaseChange) -> &'static str {
    match conflict {
        BaseChange::Modified => "changed in the workspace too",
        BaseChange::Appeared => "has appeared in the workspace too",
        BaseChange::Vanished => "is gone from the workspace",
        BaseChange::Replaced => "was replaced in the workspace",
    }
}

/// What arrives as a reference, and where, if that is not the workspace's own repository.
pub(crate) fn arrival(one: &GitRef) -> String {
    let commits = if one.commits == 1 { "commit" } else { "commits" };
    let within = RelPath::new(&one.repository).ok();
    let place = match within.filter(|path| path.as_path() != Path::new(".git")) {
        Some(other) => format!(" of {other}"),
        None => String::new(),
    };
    format!("git: {} {commits} → {}{place}", one.commits, one.to)
}

/// How many changes that is.
pub(crate) fn changes(count: usize) -> String {
    match count {
        1 => "1 change".to_owned(),
        count => format!("{} changes", thousands(count as u64)),
    }
}

/// 4812 as `4,812`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sandbox::GitRef;

    use super::{arrival, thousands};

    #[test]
    fn of_which_repository_a_reference_is_said_where_it_is_not_the_workspaces_own() {
        let of = |repository: &str| {
            arrival(&GitRef {
                repository: PathBuf::from(repository),
                from: "refs/heads/main".to_owned(),
                to: "refs/sandbox/x/main".to_owned(),
                id: String::new(),
                commits: 2,
            })
        };
        let own = "git: 2 commits → refs/sandbox/x/main";
        assert_eq!(of(".git"), own);
        assert_eq!(of("/elsewhere/app/.git"), own);
        assert_eq!(of("nested/.git"), format!("{own} of nested/.git"));
        assert_eq!(of(".git/modules/a"), format!("{own} of .git/modules/a"));
    }

    #[test]
    fn large_numbers_are_read_by_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (4812, "4,812"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}

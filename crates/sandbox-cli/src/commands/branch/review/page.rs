//! Text that fits a terminal, and a change as lines of it.

use sandbox::branch::Texts;
use sandbox::{Change, ChangeKind, NodeKind};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::commands::branch::show_changes;
use crate::output::one_line;

/// More of one change nobody reads on a screen.
const MOST_LINES: usize = 20_000;

/// One change: what it is, and its difference.
pub(super) fn lines(texts: &Texts, change: &Change) -> Vec<String> {
    let mut lines: Vec<String> = vec![visible(show_changes::line(change, 0, None).trim_end())];
    lines.push(String::new());
    match texts.patch(change) {
        Ok(patch) if patch.is_empty() => lines.push(kind(change)),
        Ok(patch) => {
            let text = String::from_utf8_lossy(&patch).into_owned();
            lines.extend(text.lines().take(MOST_LINES).map(visible));
            if text.lines().nth(MOST_LINES).is_some() {
                lines.push("… see: sandbox branch diff --patch".to_owned());
            }
        }
        Err(error) => lines.push(format!("it cannot be shown: {error}")),
    }
    lines
}

/// What there is to say of a change that has no lines.
pub(super) fn kind(change: &Change) -> String {
    let what = match change.node {
        NodeKind::File => "file",
        NodeKind::Directory => "directory",
        NodeKind::Symlink => "link",
        NodeKind::Fifo => "pipe",
        NodeKind::Socket => "socket",
        NodeKind::CharDevice | NodeKind::BlockDevice => "device",
    };
    match &change.change {
        ChangeKind::Modified {
            content: false,
            attributes,
        } if !attributes.is_empty() => format!("{what}, attributes"),
        _ => what.to_owned(),
    }
}

/// A line that commands no terminal, tabs as blanks.
pub(super) fn visible(line: &str) -> String {
    one_line(line).replace('\t', "    ")
}

/// Columns that it takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Its beginning, in at most as many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |char: &char| {
        let width = char.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let mut shown: String = text.chars().take_while(fits).collect();
    if columns > 0 {
        shown.push('…');
    }
    shown
}

/// A path in at most as many columns: its end says more than its middle.
pub(super) fn shortened(path: &str, columns: usize) -> String {
    if width(path) <= columns {
        return path.to_owned();
    }
    let begin = columns / 3;
    let mut left = columns.saturating_sub(begin);
    let fits = |char: &char| {
        let width = char.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let end: Vec<char> = path.chars().rev().take_while(fits).collect();
    let begin = cut(path, begin);
    begin + &end.into_iter().rev().collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_keep_their_beginning_and_their_end() {
        let path = "packages/application/src/components/deep/down/button.rs";
        assert_eq!(shortened(path, 30), "packages/…/deep/down/button.rs");
        assert_eq!(shortened("short", 30), "short");
    }

    #[test]
    fn nothing_is_wider_than_it_may_be() {
        let texts = [
            "",
            "a",
            "a/b/c/d/e/f/g",
            "漢字/漢字/漢字漢字",
            "ä/ö/ü/\u{1f33f}\u{1f33f}/x",
        ];
        for text in texts {
            for columns in 0..20 {
                assert!(width(&cut(text, columns)) <= columns, "{text} {columns}");
                assert!(width(&shortened(text, columns)) <= columns, "{text} {columns}");
            }
        }
    }

    #[test]
    fn tabs_and_escapes_do_not_reach_the_terminal() {
        assert_eq!(visible("+\ta\x1b[31m"), "+    a\\u{1b}[31m");
    }
}

//! The screen: a list of changes, one change, help.

use std::collections::HashMap;

use sandbox::ChangeSet;
use sandbox::branch::{Branch, Texts};

use super::keys::Key;
use super::model::{Model, Purpose, Question, View};
use super::page;
use super::terminal::Terminal;
use crate::commands::branch::show_changes::{self, thousands};
use crate::error::CliError;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const REVERSE: &str = "\x1b[7m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// Above and below the list.
const AROUND: usize = 4;

/// What is shown.
#[derive(Debug)]
pub(super) struct Screen<'a> {
    terminal: Terminal,
    title: String,
    set: &'a ChangeSet,
    texts: &'a Texts,
    /// Lines that were counted, by change.
    counts: HashMap<usize, String>,
    /// The change that is shown, and its lines.
    page: Option<(usize, Vec<String>)>,
}

impl<'a> Screen<'a> {
    pub(super) fn open(branch: &Branch, set: &'a ChangeSet, texts: &'a Texts) -> Result<Self, CliError> {
        Ok(Self {
            terminal: Terminal::open()?,
            title: format!("{} → {}", branch.name(), set.base.display()),
            set,
            texts,
            counts: HashMap::new(),
            page: None,
        })
    }

    /// Shows it and waits for a key.
    pub(super) fn show(&mut self, model: &mut Model) -> Result<Key, CliError> {
        let (rows, columns) = Terminal::size();
        let height = rows.saturating_sub(AROUND).max(1);
        model.fit(height);
        let body = match model.view {
            View::List | View::Question(_) => self.list(model, columns),
            View::Page => self.page(model, height, columns),
            View::Help => help(model.purpose),
        };
        let mut lines = vec![self.head(model, columns), rule(columns)];
        lines.extend(body.into_iter().take(height));
        lines.resize(height + 2, String::new());
        lines.push(rule(columns));
        lines.push(foot(model, columns));
        // A terminal of a line or two.
        lines.truncate(rows);
        Terminal::paint(&lines)?;
        self.terminal.key()
    }

    fn head(&self, model: &Model, columns: usize) -> String {
        let chosen = model.chosen().iter().filter(|chosen| **chosen).count();
        let mut right = format!(
            "{} of {} chosen",
            thousands(chosen as u64),
            thousands(model.chosen().len() as u64)
        );
        let commits: u64 = self.set.git.iter().map(|one| one.commits).sum();
        for (count, what) in [
            (self.set.held().count() as u64, "held back"),
            (self.set.conflicts().count() as u64, "in conflict"),
            (commits, if commits == 1 { "git commit" } else { "git commits" }),
        ] {
            if count > 0 {
                right.push_str(&format!(" · {} {what}", thousands(count)));
            }
        }
        let space = columns.saturating_sub(page::width(&right) + 2);
        let title = page::shortened(&page::visible(&self.title), space);
        let gap = " ".repeat(space.saturating_sub(page::width(&title)) + 2);
        format!(
            "{BOLD}{title}{PLAIN}{}",
            page::cut(&format!("{gap}{right}"), columns)
        )
    }

    fn list(&mut self, model: &Model, columns: usize) -> Vec<String> {
        let shown = model
            .visible()
            .iter()
            .skip(model.list.top)
            .take(model.list.height);
        let shown: Vec<usize> = shown.copied().collect();
        if shown.is_empty() {
            return vec![format!("{DIM}  no path matches{PLAIN}")];
        }
        let current = model.current();
        let row = |index: usize| {
            let is_chosen = model.chosen().get(index) == Some(&true);
            self.row(index, is_chosen, current == Some(index), columns)
        };
        shown.into_iter().map(row).collect()
    }

    fn row(&mut self, index: usize, is_chosen: bool, is_current: bool, columns: usize) -> String {
        let Some(change) = self.set.changes.get(index) else {
            return String::new();
        };
        let (remark, color) = match (&change.hold, change.conflict) {
            (Some(hold), _) => (format!("HELD {}: {}", hold.rule, hold.why), YELLOW),
            (_, Some(conflict)) => (format!("CONFLICT {}", show_changes::said(conflict)), RED),
            _ => (self.counted(index), DIM),
        };
        let letter = change.change.letter();
        let mark = if is_chosen { "[x]" } else { "[ ]" };
        let pointer = if is_current { ">" } else { " " };
        let space = columns.saturating_sub(8);
        // The path comes first; a remark gets what is left, and at least a third.
        let remark_space = space
            .saturating_sub(page::width(&change.path.to_string()) + 2)
            .max(space / 3);
        let remark = page::cut(&page::visible(&remark), remark_space.min(space));
        let path_space = space.saturating_sub(page::width(&remark) + 2);
        let path = page::shortened(&change.path.to_string(), path_space);
        let gap = " ".repeat(path_space.saturating_sub(page::width(&path)) + 2);
        let (begin, end) = if is_current { (REVERSE, PLAIN) } else { ("", "") };
        let tint = if is_chosen { GREEN } else { "" };
        format!("{pointer} {tint}{mark}{PLAIN} {letter} {begin}{path}{end}{gap}{color}{remark}{PLAIN}")
    }

    /// The lines that are new and gone, counted when they are shown.
    fn counted(&mut self, index: usize) -> String {
        let (set, texts) = (self.set, self.texts);
        let count = || {
            let change = set.changes.get(index)?;
            show_changes::counted(texts, change).or_else(|| Some(page::kind(change)))
        };
        self.counts
            .entry(index)
            .or_insert_with(|| count().unwrap_or_default())
            .clone()
    }

    fn page(&mut self, model: &mut Model, height: usize, columns: usize) -> Vec<String> {
        let Some((index, change)) = model
            .current()
            .and_then(|index| Some((index, self.set.changes.get(index)?)))
        else {
            return Vec::new();
        };
        if self.page.as_ref().is_none_or(|(shown, _)| *shown != index) {
            self.page = Some((index, page::lines(self.texts, change)));
        }
        let lines = self
            .page
            .as_ref()
            .map(|(_, lines)| lines.as_slice())
            .unwrap_or_default();
        let is_chosen = model.chosen().get(index) == Some(&true);
        model.page.length = lines.len();
        model.page.height = height.saturating_sub(1);
        model.page.clamp();
        let mark = if is_chosen { "[x]" } else { "[ ]" };
        let title = page::shortened(&change.path.to_string(), columns.saturating_sub(6));
        let mut shown = vec![format!("{mark} {} {BOLD}{title}{PLAIN}", change.change.letter())];
        let window = lines.iter().skip(model.page.top).take(model.page.height);
        shown.extend(window.map(|line| colored(&page::cut(line, columns))));
        shown
    }
}

fn colored(line: &str) -> String {
    let color = match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => BOLD,
        [b'+', ..] => GREEN,
        [b'-', ..] => RED,
        [b'@', ..] => DIM,
        _ => "",
    };
    format!("{color}{line}{PLAIN}")
}

fn rule(columns: usize) -> String {
    format!("{DIM}{}{PLAIN}", "─".repeat(columns))
}

fn foot(model: &Model, columns: usize) -> String {
    let end = match model.purpose {
        Purpose::Commit => "q quit",
        Purpose::End => "q keep · d discard",
    };
    let text = match (model.view, model.message) {
        (_, Some(message)) => message.to_owned(),
        (View::List, _) if model.is_typing => {
            format!("find: {}_   enter · esc", page::visible(&model.filter))
        }
        (View::List, _) if !model.filter.is_empty() => {
            format!(
                "only {} · esc all · space choose · c commit",
                page::visible(&model.filter)
            )
        }
        (View::List, _) => {
            format!("space choose · enter show · a all · n none · / find · c commit · {end} · ? help")
        }
        (View::Page, _) => {
            let last = (model.page.top + model.page.height).min(model.page.length);
            format!(
                "space choose · n next · p previous · q back   {last}/{}",
                model.page.length
            )
        }
        (View::Help, _) => "any key: back".to_owned(),
        (View::Question(Question::Discard), _) => "drop the branch with all that is on it? y/n".to_owned(),
        (View::Question(Question::Commit { held, conflicts }), _) => {
            let parts = [
                (held, "held back"),
                (conflicts, "in conflict, where the branch wins"),
            ];
            let parts = parts.iter().filter(|(count, _)| *count > 0);
            let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
            format!(
                "of what is chosen: {}. Commit it all the same? y/n",
                parts.join(", ")
            )
        }
    };
    page::cut(&text, columns)
}

fn help(purpose: Purpose) -> Vec<String> {
    let mut lines = vec![
        "up down, j k       one line              page up, page down, g, G",
        "space, x           choose, or leave out the change under the cursor",
        "a                  choose all that is neither held back nor in conflict",
        "A, n               choose all; choose none",
        "/                  only paths that have this in them; a, A and n are for those then",
        "enter, s           show the change: j k scroll, n p the next and the previous one",
        "c                  commit what is chosen",
    ];
    lines.extend(match purpose {
        Purpose::Commit => ["q, esc, ctrl-c     quit, and commit nothing", ""],
        Purpose::End => [
            "q, esc, ctrl-c     keep the branch, and commit nothing",
            "d                  drop the branch",
        ],
    });
    lines.extend([
        "",
        "git commits arrive as refs/sandbox/NAME when everything is chosen, and stay on the branch else",
        "HELD      can run outside the sandbox later: look at it before you choose it",
        "CONFLICT  was changed in the workspace too: when it is committed, the branch wins",
    ]);
    lines.into_iter().map(str::to_owned).collect()
}

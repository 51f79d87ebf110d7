//! What is chosen and what is looked at, and what a key does to it. No terminal, no disk.

use sandbox::{Change, ChangeSet};

use super::keys::Key;

/// What the choice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A commit, or nothing.
    Commit,
    /// The end of a run: the branch may be dropped as well.
    End,
}

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Show it again.
    Again,
    /// Commit what is chosen.
    Commit,
    /// Leave everything as it is.
    Keep,
    /// Drop the branch.
    Discard,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    List,
    /// One change.
    Page,
    Help,
    /// A question that is answered by y or n.
    Question(Question),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Some of what is chosen is held back, or in conflict.
    Commit {
        held: usize,
        conflicts: usize,
    },
    Discard,
}

/// Lines of which a window is shown.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) top: usize,
    /// How many there are.
    pub(super) length: usize,
    /// How many are shown.
    pub(super) height: usize,
}

#[derive(Debug)]
pub(super) struct Model {
    changes: Vec<Facts>,
    chosen: Vec<bool>,
    /// Those that the filter leaves.
    visible: Vec<usize>,
    cursor: usize,
    pub(super) purpose: Purpose,
    pub(super) view: View,
    pub(super) list: Window,
    pub(super) page: Window,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) is_typing: bool,
    /// Said until the next key.
    pub(super) message: Option<&'static str>,
}

#[derive(Debug)]
struct Facts {
    path: String,
    is_held: bool,
    is_conflict: bool,
}

impl Model {
    /// What is harmless is chosen.
    pub(super) fn new(set: &ChangeSet, purpose: Purpose) -> Self {
        let facts = |change: &Change| Facts {
            path: change.path.to_string().to_lowercase(),
            is_held: change.hold.is_some(),
            is_conflict: change.conflict.is_some(),
        };
        let changes: Vec<_> = set.changes.iter().map(facts).collect();
        Self {
            chosen: changes.iter().map(Facts::is_harmless).collect(),
            visible: (0..changes.len()).collect(),
            changes,
            cursor: 0,
            purpose,
            view: View::List,
            list: Window::default(),
            page: Window::default(),
            filter: String::new(),
            is_typing: false,
            message: None,
        }
    }

    pub(super) fn chosen(&self) -> &[bool] {
        &self.chosen
    }

    /// Indices of the changes in the list.
    pub(super) fn visible(&self) -> &[usize] {
        &self.visible
    }

    /// The change under the cursor.
    pub(super) fn current(&self) -> Option<usize> {
        self.visible.get(self.cursor).copied()
    }

    pub(super) fn press(&mut self, key: Key) -> Step {
        self.message = None;
        match (key, self.view) {
            (Key::Cancel, _) => return Step::Keep,
            (Key::Redraw, _) => {}
            (_, View::List) if self.is_typing => self.type_filter(key),
            (_, View::List) => return self.press_in_list(key),
            (_, View::Page) => self.press_in_page(key),
            (_, View::Help) => self.view = View::List,
            (_, View::Question(question)) => return self.answer(question, key),
        }
        Step::Again
    }

    fn press_in_list(&mut self, key: Key) -> Step {
        match key {
            Key::Char(' ') => {
                self.toggle();
                self.go(1);
            }
            Key::Char('x') => self.toggle(),
            Key::Enter | Key::Right | Key::Char('l' | 's') if self.current().is_some() => {
                self.view = View::Page;
                self.page.top = 0;
            }
            Key::Char('a') => self.choose(Facts::is_harmless),
            Key::Char('A') => self.choose(|_| true),
            Key::Char('n') => self.choose(|_| false),
            Key::Char('/') => {
                self.is_typing = true;
                self.set_filter(String::new());
            }
            Key::Escape if !self.filter.is_empty() => self.set_filter(String::new()),
            Key::Char('?' | 'h') => self.view = View::Help,
            Key::Char('c') => return self.commit(),
            Key::Char('d') if self.purpose == Purpose::End => self.view = View::Question(Question::Discard),
            Key::Char('q') | Key::Escape => return Step::Keep,
            key => self.move_by(key),
        }
        Step::Again
    }

    fn press_in_page(&mut self, key: Key) {
        match key {
            Key::Char('q' | 'h') | Key::Escape | Key::Left | Key::Enter => self.view = View::List,
            Key::Char(' ' | 'x') => self.toggle(),
            Key::Char('n') => self.turn_to(1),
            Key::Char('p') => self.turn_to(-1),
            Key::Char('?') => self.view = View::Help,
            key => self.page.scroll(key),
        }
    }

    fn turn_to(&mut self, by: isize) {
        self.go(by);
        self.page.top = 0;
    }

    fn answer(&mut self, question: Question, key: Key) -> Step {
        self.view = View::List;
        match (key, question) {
            (Key::Char('y' | 'Y'), Question::Commit { .. }) => Step::Commit,
            (Key::Char('y' | 'Y'), Question::Discard) => Step::Discard,
            _ => Step::Again,
        }
    }

    fn commit(&mut self) -> Step {
        let chosen = || {
            self.changes
                .iter()
                .zip(&self.chosen)
                .filter(|(_, chosen)| **chosen)
        };
        let held = chosen().filter(|(facts, _)| facts.is_held).count();
        let conflicts = chosen().filter(|(facts, _)| facts.is_conflict).count();
        if chosen().next().is_none() {
            self.message = Some("nothing is chosen: space chooses, a chooses all");
            return Step::Again;
        }
        if held + conflicts == 0 {
            return Step::Commit;
        }
        self.view = View::Question(Question::Commit { held, conflicts });
        Step::Again
    }

    fn toggle(&mut self) {
        if let Some(chosen) = self.current().and_then(|index| self.chosen.get_mut(index)) {
            *chosen = !*chosen;
        }
    }

    /// Of those in the list.
    fn choose(&mut self, is_chosen: impl Fn(&Facts) -> bool) {
        for index in &self.visible {
            if let (Some(chosen), Some(facts)) = (self.chosen.get_mut(*index), self.changes.get(*index)) {
                *chosen = is_chosen(facts);
            }
        }
    }

    fn move_by(&mut self, key: Key) {
        let page = isize::try_from(self.list.height.max(2) - 1).unwrap_or(1);
        match key {
            Key::Up | Key::Char('k') => self.go(-1),
            Key::Down | Key::Char('j') => self.go(1),
            Key::PageUp => self.go(-page),
            Key::PageDown => self.go(page),
            Key::Home | Key::Char('g') => self.cursor = 0,
            Key::End | Key::Char('G') => self.cursor = self.visible.len().saturating_sub(1),
            _ => {}
        }
    }

    fn go(&mut self, by: isize) {
        let last = self.visible.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
    }

    fn type_filter(&mut self, key: Key) {
        let mut filter = std::mem::take(&mut self.filter);
        match key {
            Key::Char(char) => filter.push(char),
            Key::Backspace => {
                self.is_typing = filter.pop().is_some();
            }
            Key::Escape => {
                filter.clear();
                self.is_typing = false;
            }
            Key::Enter => self.is_typing = false,
            key => {
                self.filter = filter;
                return self.move_by(key);
            }
        }
        self.set_filter(filter);
    }

    /// The cursor stays on its change, if that is left.
    fn set_filter(&mut self, filter: String) {
        let current = self.current();
        let wanted = filter.to_lowercase();
        let paths = self.changes.iter().enumerate();
        self.visible = paths
            .filter(|(_, facts)| facts.path.contains(&wanted))
            .map(|(index, _)| index)
            .collect();
        self.filter = filter;
        let place = self.visible.iter().position(|index| Some(*index) == current);
        self.cursor = place.unwrap_or(0);
    }

    /// Makes the window as high as it is shown, around the cursor.
    pub(super) fn fit(&mut self, height: usize) {
        self.list.length = self.visible.len();
        self.list.height = height;
        self.list.follow(self.cursor);
    }
}

impl Facts {
    fn is_harmless(&self) -> bool {
        !self.is_held && !self.is_conflict
    }
}

impl Window {
    fn scroll(&mut self, key: Key) {
        let page = self.height.max(2) - 1;
        self.top = match key {
            Key::Up | Key::Char('k') => self.top.saturating_sub(1),
            Key::Down | Key::Char('j') => self.top + 1,
            Key::PageUp | Key::Char('b') => self.top.saturating_sub(page),
            Key::PageDown | Key::Char('f') => self.top + page,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => self.length,
            _ => self.top,
        };
        self.clamp();
    }

    pub(super) fn clamp(&mut self) {
        self.top = self.top.min(self.length.saturating_sub(self.height));
    }

    fn follow(&mut self, cursor: usize) {
        if cursor < self.top {
            self.top = cursor;
        }
        if cursor >= self.top + self.height {
            self.top = (cursor + 1).saturating_sub(self.height);
        }
        self.clamp();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sandbox::{BaseChange, ChangeKind, Hold, NodeKind, RelPath};

    use super::*;

    pub(in super::super) fn set(paths: &[&str]) -> ChangeSet {
        let change = |path: &&str| Change {
            path: RelPath::new(path).unwrap(),
            node: NodeKind::File,
            change: ChangeKind::Added,
            size: 1,
            hold: path.contains("hook").then(|| Hold {
                rule: "git-hook".into(),
                why: "git runs it".into(),
            }),
            conflict: path.contains("clash").then_some(BaseChange::Modified),
        };
        ChangeSet {
            branch: "x".parse().unwrap(),
            base: "/app".into(),
            changes: paths.iter().map(change).collect(),
            ignored: Vec::new(),
            git: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn model(paths: &[&str], purpose: Purpose) -> Model {
        let mut model = Model::new(&set(paths), purpose);
        model.fit(10);
        model
    }

    fn press(model: &mut Model, keys: &str) -> Step {
        let steps = keys.chars().map(|char| model.press(Key::Char(char)));
        steps.last().unwrap_or(Step::Again)
    }

    #[test]
    fn what_is_harmless_is_chosen_and_committed_at_once() {
        let mut model = model(&["a", "b", "hook", "clash"], Purpose::Commit);
        assert_eq!(model.chosen(), [true, true, false, false]);
        assert_eq!(press(&mut model, "c"), Step::Commit);
    }

    #[test]
    fn what_is_held_or_in_conflict_is_committed_after_a_question() {
        let mut model = model(&["a", "hook", "clash"], Purpose::Commit);
        assert_eq!(press(&mut model, "Ac"), Step::Again);
        let question = Question::Commit {
            held: 1,
            conflicts: 1,
        };
        assert_eq!(model.view, View::Question(question));
        assert_eq!(press(&mut model, "n"), Step::Again);
        assert_eq!(press(&mut model, "cy"), Step::Commit);
    }

    #[test]
    fn nothing_is_committed_where_nothing_is_chosen() {
        let mut model = model(&["a", "b"], Purpose::Commit);
        assert_eq!(press(&mut model, "nc"), Step::Again);
        assert!(model.message.is_some());
        assert_eq!(press(&mut model, "q"), Step::Keep);
    }

    #[test]
    fn space_chooses_and_goes_on_and_the_cursor_stays_in_the_list() {
        let mut model = model(&["a", "b"], Purpose::Commit);
        press(&mut model, "   ");
        assert_eq!(model.chosen(), [false, true]);
        assert_eq!(model.current(), Some(1));
        press(&mut model, "kkk");
        assert_eq!(model.current(), Some(0));
    }

    #[test]
    fn a_filter_narrows_what_is_chosen_from_and_keeps_the_rest() {
        let mut model = model(&["src/one", "src/two", "doc/one"], Purpose::Commit);
        press(&mut model, "n/ONE");
        assert_eq!(model.visible(), [0, 2]);
        model.press(Key::Enter);
        press(&mut model, "a");
        assert_eq!(model.chosen(), [true, false, true]);
        model.press(Key::Escape);
        assert_eq!(model.visible().len(), 3);
        assert_eq!(model.press(Key::Escape), Step::Keep);
    }

    #[test]
    fn a_branch_is_dropped_at_the_end_of_a_run_only_and_after_a_question() {
        let mut at_end = model(&["a"], Purpose::End);
        assert_eq!(press(&mut at_end, "dn"), Step::Again);
        assert_eq!(press(&mut at_end, "dy"), Step::Discard);
        let mut commit = model(&["a"], Purpose::Commit);
        assert_eq!(press(&mut commit, "dy"), Step::Again);
    }

    #[test]
    fn the_end_of_the_input_decides_nothing_anywhere() {
        for keys in ["", "s", "?", "Ac", "/x"] {
            let mut model = model(&["a", "hook"], Purpose::End);
            press(&mut model, keys);
            assert_eq!(model.press(Key::Cancel), Step::Keep, "{keys}");
        }
    }

    #[test]
    fn a_long_list_is_shown_around_the_cursor() {
        let paths: Vec<_> = (0..200).map(|number| format!("f{number:03}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let mut model = model(&paths, Purpose::Commit);
        model.press(Key::End);
        model.fit(10);
        assert_eq!(model.list.top, 190);
        model.press(Key::PageUp);
        model.fit(10);
        assert_eq!((model.list.top, model.current()), (190, Some(190)));
        model.press(Key::Up);
        // A smaller terminal.
        model.fit(3);
        assert!((187..=189).contains(&model.list.top), "{}", model.list.top);
    }
}

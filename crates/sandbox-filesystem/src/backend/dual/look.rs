//! What both backends have under a name, and what of it is seen.

use std::ffi::OsStr;
use std::time::Duration;

use super::DualFs;
use super::node::Node;
use super::notes::NUMBER;
use super::policy::View;
use super::side::{Looked, There};
use super::staging::is_whiteout;
use crate::backend::union::plan::Upper;
use crate::backend::union::{Found, More, Sight, marks};
use crate::fs::{Context, FsResult};

/// Which of the backends is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Those that decide what is seen.
    Seen,
    /// Both, where both are seen at all.
    Both,
}

/// What is under a name.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) shown: Shown,
    /// What A has, seen or not; none where it is a whiteout.
    pub(super) a: Option<There>,
    /// What B has, seen or not.
    pub(super) b: Option<There>,
    /// A has a whiteout there, which is an entry.
    pub(super) whiteout: bool,
    /// How long it may be believed that there is nothing.
    pub(super) absent: Duration,
}

/// What is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    A,
    B,
    /// Directories of both.
    Both,
}

/// What A has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InA {
    Nothing,
    Whiteout,
    /// A file, which was made or changed here or was there before.
    File(Made),
    /// Something that nothing can be noted of.
    Special,
    Directory,
    /// A directory that hides what is beneath.
    Opaque,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Here,
    Before,
}

/// What B has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InB {
    Nothing,
    Directory,
    Other,
}

/// What is seen of a name that each of them has this under.
pub(super) fn decide(view: View, a: InA, b: InB) -> Shown {
    if view == View::BackendBFirst && (a, b) == (InA::File(Made::Before), InB::Other) {
        return Shown::B;
    }
    let above = match a {
        InA::Nothing => Sight::Nothing,
        InA::Whiteout => Sight::Whiteout,
        InA::File(_) | InA::Special => Sight::Other(Shown::A),
        InA::Directory => Sight::Directory(Shown::A),
        InA::Opaque => Sight::Opaque(Shown::A),
    };
    let beneath = match b {
        InB::Nothing => Sight::Nothing,
        InB::Other => Sight::Other(Shown::B),
        InB::Directory => Sight::Directory(Shown::B),
    };
    let mut found = Found::new();
    let mut more = More::Needed;
    if view != View::BackendBOnly {
        more = found.see(above);
    }
    if view != View::BackendAOnly && more == More::Needed {
        more = found.see(beneath);
    }
    let _ = more;
    match found {
        Found::Nothing => Shown::Nothing,
        Found::Other(shown) => shown,
        Found::Directory(parts) => match parts.as_slice() {
            [Shown::A, Shown::B] => Shown::Both,
            [only, ..] => *only,
            [] => Shown::Nothing,
        },
    }
}

/// Whether what B has makes a difference.
fn asks_b(view: View, a: InA) -> bool {
    let more = match a {
        InA::Nothing | InA::Directory => true,
        InA::File(Made::Before) => view == View::BackendBFirst,
        InA::Whiteout | InA::Opaque | InA::File(Made::Here) | InA::Special => false,
    };
    match view {
        View::BackendAOnly => false,
        View::BackendBOnly => true,
        View::BackendAFirst | View::BackendBFirst => more,
    }
}

impl Seen {
    /// For the plan of a change.
    pub(super) fn upper(&self) -> Upper {
        match &self.a {
            Some(there) if there.is_directory() => Upper::Directory,
            Some(_) => Upper::Other,
            None if self.whiteout => Upper::Whiteout,
            None => Upper::Nothing,
        }
    }

    /// Whether something of B's would be seen if A had nothing. Known where both were asked.
    pub(super) fn beneath(&self) -> bool {
        self.b.is_some()
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.shown == Shown::Nothing
    }
}

impl DualFs {
    /// What is under a name of a directory whose names are locked.
    pub(super) fn look(
        &self,
        ctx: &Context<'_>,
        dir: &Node,
        name: &OsStr,
        view: View,
        need: Need,
    ) -> FsResult<Seen> {
        let parts = dir.parts();
        let mut absent = Duration::MAX;
        let mut there = None;
        if let Some(a) = parts.a.filter(|_| view != View::BackendBOnly) {
            match a.look(ctx, name)? {
                Looked::There(found) => there = Some(found),
                Looked::Nothing(timeout) => absent = timeout,
            }
        }
        let b_part = parts.b.filter(|_| view != View::BackendAOnly);
        let in_a = self.sight(dir, name, there.as_ref(), b_part.is_some(), view)?;
        let mut beneath = None;
        if let Some(b) = b_part
            && (need == Need::Both || asks_b(view, in_a))
        {
            match b.look(ctx, name)? {
                Looked::There(found) => beneath = Some(found),
                Looked::Nothing(timeout) => absent = absent.min(timeout),
            }
        }
        let in_b = match &beneath {
            None => InB::Nothing,
            Some(there) if there.is_directory() => InB::Directory,
            Some(_) => InB::Other,
        };
        Ok(Seen {
            shown: decide(view, in_a, in_b),
            whiteout: in_a == InA::Whiteout && there.is_some(),
            a: there.filter(|_| in_a != InA::Whiteout),
            b: beneath,
            absent: if absent == Duration::MAX {
                Duration::ZERO
            } else {
                absent
            },
        })
    }

    fn sight(
        &self,
        dir: &Node,
        name: &OsStr,
        there: Option<&There>,
        merged: bool,
        view: View,
    ) -> FsResult<InA> {
        let Some(there) = there else {
            let hidden = dir.memory().whiteouts.contains(name);
            return Ok(if hidden { InA::Whiteout } else { InA::Nothing });
        };
        Ok(match there.kind() {
            libc::S_IFCHR if is_whiteout(&there.attr) => InA::Whiteout,
            libc::S_IFREG if self.is_attribute_whiteout(dir, there)? => InA::Whiteout,
            libc::S_IFDIR if merged && self.note_of(there, marks::OPAQUE)?.as_deref() == Some(b"y") => {
                InA::Opaque
            }
            libc::S_IFDIR => InA::Directory,
            libc::S_IFREG if merged && view == View::BackendBFirst => match self.note_of(there, NUMBER)? {
                Some(_) => InA::File(Made::Here),
                None => InA::File(Made::Before),
            },
            libc::S_IFREG => InA::File(Made::Here),
            _ => InA::Special,
        })
    }

    pub(super) fn is_attribute_whiteout(&self, dir: &Node, there: &There) -> FsResult<bool> {
        if there.attr.size != 0 || !self.marks(dir)?.attributes {
            return Ok(false);
        }
        Ok(self.note_of(there, marks::WHITEOUT)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What A has, what B has, and what is seen with A only, B only, A first and B first.
    const TABLE: &str = "
        nothing   | nothing   | -  | -  | -    | -
        nothing   | file      | -  | B  | B    | B
        nothing   | directory | -  | B  | B    | B
        whiteout  | nothing   | -  | -  | -    | -
        whiteout  | file      | -  | B  | -    | -
        whiteout  | directory | -  | B  | -    | -
        new file  | nothing   | A  | -  | A    | A
        new file  | file      | A  | B  | A    | A
        new file  | directory | A  | B  | A    | A
        old file  | nothing   | A  | -  | A    | A
        old file  | file      | A  | B  | A    | B
        old file  | directory | A  | B  | A    | A
        special   | nothing   | A  | -  | A    | A
        special   | file      | A  | B  | A    | A
        special   | directory | A  | B  | A    | A
        directory | nothing   | A  | -  | A    | A
        directory | file      | A  | B  | A    | A
        directory | directory | A  | B  | both | both
        opaque    | nothing   | A  | -  | A    | A
        opaque    | file      | A  | B  | A    | A
        opaque    | directory | A  | B  | A    | A
    ";

    const VIEWS: [View; 4] = [
        View::BackendAOnly,
        View::BackendBOnly,
        View::BackendAFirst,
        View::BackendBFirst,
    ];

    fn in_a(word: &str) -> InA {
        match word {
            "nothing" => InA::Nothing,
            "whiteout" => InA::Whiteout,
            "new file" => InA::File(Made::Here),
            "old file" => InA::File(Made::Before),
            "special" => InA::Special,
            "directory" => InA::Directory,
            "opaque" => InA::Opaque,
            other => panic!("{other}"),
        }
    }

    fn in_b(word: &str) -> InB {
        match word {
            "nothing" => InB::Nothing,
            "file" => InB::Other,
            "directory" => InB::Directory,
            other => panic!("{other}"),
        }
    }

    fn shown(word: &str) -> Shown {
        match word {
            "-" => Shown::Nothing,
            "A" => Shown::A,
            "B" => Shown::B,
            "both" => Shown::Both,
            other => panic!("{other}"),
        }
    }

    fn rows() -> Vec<Vec<&'static str>> {
        let lines = TABLE.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| line.split('|').map(str::trim).collect())
            .collect()
    }

    #[test]
    fn every_view_shows_what_the_table_says() {
        let rows = rows();
        assert_eq!(rows.len(), 7 * 3);
        for row in rows {
            for (view, expected) in VIEWS.iter().zip(&row[2..]) {
                let found = decide(*view, in_a(row[0]), in_b(row[1]));
                assert_eq!(found, shown(expected), "{view:?}: {row:?}");
            }
        }
    }

    #[test]
    fn b_is_asked_wherever_it_makes_a_difference() {
        for row in rows() {
            for view in VIEWS {
                let a = in_a(row[0]);
                let with = decide(view, a, in_b(row[1]));
                if with != decide(view, a, InB::Nothing) {
                    assert!(asks_b(view, a), "{view:?}: {row:?}");
                }
            }
        }
    }
}

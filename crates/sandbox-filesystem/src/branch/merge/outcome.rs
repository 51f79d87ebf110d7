//! What becomes of a path, as data.

use sandbox_types::{ConflictKind, RelPath, Unsettled};

use super::touched::State;
use super::views::Located;
use crate::branch::node::Timestamp;

/// What will be at a path.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Nothing.
    Gone,
    /// An entry put together from these.
    Node(Box<Node>),
}

/// An entry to be written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    /// Of its kind and content; of the others, where they are from.
    pub(super) from: Located,
    pub(super) mode: Located,
    pub(super) owner: Located,
    pub(super) xattrs: Located,
    /// None: the time at which it is written.
    pub(super) mtime: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// That of `from`.
    Same,
    /// This text.
    Text(Vec<u8>),
}

/// What becomes of a path, and what was in dispute.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) outcome: Outcome,
    /// Sides whose doing it is.
    pub(super) sides: Vec<usize>,
    pub(super) dispute: Option<Dispute>,
}

#[derive(Debug)]
pub(super) struct Dispute {
    pub(super) kind: ConflictKind,
    pub(super) sides: Vec<usize>,
    pub(super) settled: Settled,
    /// Where copies were put.
    pub(super) copies: Vec<RelPath>,
}

#[derive(Debug)]
pub(super) enum Settled {
    No(Unsettled),
    /// By taking what this side has.
    Taken(usize),
    /// By keeping these, of these sides, under other names.
    Copies(Vec<(usize, Node)>),
    /// By markers in the text.
    Markers,
    /// By merging the text: no conflict any more.
    Merged,
}

impl Node {
    /// `located` as it is.
    pub(super) fn of(located: &Located) -> Self {
        Self {
            content: Content::Same,
            from: located.clone(),
            mode: located.clone(),
            owner: located.clone(),
            xattrs: located.clone(),
            mtime: Some(located.meta.mtime),
        }
    }

    pub(super) fn is_dir(&self) -> bool {
        self.from.meta.is_dir()
    }
}

impl Outcome {
    /// What a party has.
    pub(super) fn of(state: &State) -> Self {
        state
            .located()
            .map_or(Self::Gone, |located| Self::Node(Box::new(Node::of(located))))
    }
}

impl Decision {
    /// One that nobody disputes.
    pub(super) fn agreed(outcome: Outcome, sides: Vec<usize>) -> Self {
        Self {
            outcome,
            sides,
            dispute: None,
        }
    }
}

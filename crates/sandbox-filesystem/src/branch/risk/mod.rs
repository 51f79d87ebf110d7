//! What a commit holds back: changes that can run, or grant something, outside the sandbox later.
//!
//! The rules are data (`rules.toml`, [`RiskRules`]); this module knows how they are applied and nothing of what
//! they are about. It guarantees: a rule looks at every spelling of a path that some file system takes for the
//! same (see [`fold`]); what it would have to read and cannot, because it is too long or no file, counts against
//! the change. What git reaches from the base's own configuration, and through links among its hooks, is looked for
//! when a branch is reviewed (see [`Reached`]), and so is what links lead to from the places of rules (see [`Links`]).

mod acceptance;
mod compile;
mod facts;
mod fold;
mod lines;
mod link;
mod linked;
mod reached;
#[cfg(test)]
mod tests;

use std::io;

use globset::GlobSet;
use sandbox_types::{Change, ChangeKind, Condition, Hold, NodeKind, RelPath, RiskRules};

use super::patterns::{Patterns, candidate};
use super::stack::Stack;
use super::walk::Walk;
use facts::Facts;
use fold::Forms;
use lines::Lines;
use linked::{Link, Seen};

pub(crate) use acceptance::Acceptance;
pub(crate) use compile::{RuleError, check_accepted};
pub(crate) use linked::Links;
pub(crate) use reached::Reached;

/// Rules, ready to be applied.
#[derive(Debug)]
pub(crate) struct Rules {
    each: Vec<Rule>,
    /// Every glob of every rule.
    globs: GlobSet,
    /// Whose each of them is, and what for.
    uses: Vec<(usize, Use)>,
    allow: Patterns,
    reached: Reached,
    links: Links,
}

/// What a glob is to its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The rule looks there.
    Path,
    /// It does not look there.
    Except,
    /// It looks into a directory there.
    Way,
}

#[derive(Debug)]
struct Rule {
    hold: Hold,
    is_everywhere: bool,
    kinds: Vec<NodeKind>,
    /// The cheapest first.
    when: Vec<Condition>,
    lines: Option<Lines>,
    beside: Vec<String>,
    beside_in_base: Vec<String>,
}

/// What the globs of a rule say about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Interest {
    None,
    /// Its conditions decide.
    Conditions,
    /// It is held: a link in the place of a directory that the rule looks into.
    Held,
}

/// How far a rule is interested in a change, and through which link, where it is not by its own name.
#[derive(Debug, Clone, Copy)]
struct Asked<'r> {
    interest: Interest,
    link: Option<&'r Link>,
}

/// What all globs are to a path.
struct Uses {
    plain: Vec<(usize, Use)>,
    lenient: Option<Vec<(usize, Use)>>,
}

impl Uses {
    fn any(&self, number: usize, what: Use) -> bool {
        let found = (number, what);
        self.plain.contains(&found) || self.lenient.as_ref().is_some_and(|uses| uses.contains(&found))
    }

    fn all(&self, number: usize, what: Use) -> bool {
        let found = (number, what);
        self.plain.contains(&found) && self.lenient.as_ref().is_none_or(|uses| uses.contains(&found))
    }

    /// Of the rule with this number in what has that path.
    fn interest(&self, number: usize, is_everywhere: bool, node: NodeKind) -> Interest {
        if node == NodeKind::Symlink && self.any(number, Use::Way) {
            Interest::Held
        } else if (is_everywhere || self.any(number, Use::Path)) && !self.all(number, Use::Except) {
            Interest::Conditions
        } else {
            Interest::None
        }
    }

    /// Of the rule with this number in what has that path, or is in a directory there.
    fn interest_beneath(&self, number: usize) -> Interest {
        if self.any(number, Use::Way) || self.any(number, Use::Path) {
            Interest::Held
        } else {
            Interest::None
        }
    }
}

impl Rules {
    /// What is built in.
    #[cfg(test)]
    pub(crate) fn builtin() -> Result<Self, RuleError> {
        Self::extended(&RiskRules::default())
    }

    /// What is built in, and `more`.
    pub(crate) fn extended(more: &RiskRules) -> Result<Self, RuleError> {
        compile::rules(more)
    }

    /// The same rules, which apply to what is `reached` too.
    pub(crate) fn with(self, reached: Reached) -> Self {
        Self { reached, ..self }
    }

    /// The same rules, which apply to what these links lead to too.
    pub(crate) fn with_links(self, links: Links) -> Self {
        Self { links, ..self }
    }

    /// Whether a rule looks at this path, or into a directory there.
    fn look_at(&self, path: &RelPath) -> bool {
        let uses = self.uses(&Forms::of(path));
        let mut all = uses.plain.iter().chain(uses.lenient.iter().flatten());
        all.any(|(_, what)| *what != Use::Except)
    }

    /// Notes in `changes`, which are those of `stack`, what is held back. The order of a change set is the
    /// cheapest.
    pub(crate) fn mark(&self, stack: &Stack, changes: &mut [Change]) -> Result<(), MarkError> {
        let walk = Walk::new(stack);
        for change in changes {
            change.hold = self.hold(&walk, change).map_err(|source| MarkError {
                path: change.path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Whether and why `change` is held back.
    fn hold(&self, walk: &Walk<'_>, change: &Change) -> io::Result<Option<Hold>> {
        if change.change == ChangeKind::Deleted || self.allow.matches(&change.path) {
            return Ok(None);
        }
        let facts = Facts::new(walk, change);
        for (rule, asked) in self.each.iter().zip(self.asked(change)) {
            match rule.applies(asked.interest, &facts) {
                Ok(true) => return Ok(Some(rule.hold_by(asked.link))),
                Ok(false) => {}
                // Gone since it was listed: there is nothing left that could be committed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// How far each rule is interested in `change`.
    fn asked(&self, change: &Change) -> Vec<Asked<'_>> {
        let forms = Forms::of(&change.path);
        let own = self.uses(&forms);
        let seen = self.links.to(&forms, change.node);
        let seen: Vec<_> = seen
            .map(|(link, seen)| match seen {
                Seen::As(forms) => (link, self.uses(&forms), false),
                Seen::OnTheWay(forms) => (link, self.uses(&forms), true),
            })
            .collect();
        let through_links = |number| {
            seen.iter().find_map(|(link, uses, is_on_the_way)| {
                let interest = if *is_on_the_way {
                    uses.interest_beneath(number)
                } else {
                    uses.interest(number, false, change.node)
                };
                let link = Some(*link);
                (interest != Interest::None).then_some(Asked { interest, link })
            })
        };
        let of_rule = |(number, rule): (usize, &Rule)| {
            let reached = self.reached.by(&rule.hold.rule, &forms, change.node);
            let interest = match reached {
                Interest::None => own.interest(number, rule.is_everywhere, change.node),
                reached => reached,
            };
            let by_name = Asked { interest, link: None };
            match interest {
                Interest::None => through_links(number).unwrap_or(by_name),
                _ => by_name,
            }
        };
        self.each.iter().enumerate().map(of_rule).collect()
    }

    fn uses(&self, path: &Forms) -> Uses {
        Uses {
            plain: self.uses_at(&path.plain),
            lenient: path.lenient.as_ref().map(|lenient| self.uses_at(lenient)),
        }
    }

    fn uses_at(&self, path: &[u8]) -> Vec<(usize, Use)> {
        let globs = self.globs.matches_candidate(&candidate(path));
        globs
            .into_iter()
            .filter_map(|glob| self.uses.get(glob).copied())
            .collect()
    }
}

impl Rule {
    fn hold_by(&self, link: Option<&Link>) -> Hold {
        let Hold { rule, why } = self.hold.clone();
        let why = match link {
            Some(link) => format!("{why}; {} leads to it", link.shown),
            None => why,
        };
        Hold { rule, why }
    }

    fn applies(&self, interest: Interest, facts: &Facts<'_, '_>) -> io::Result<bool> {
        match interest {
            Interest::None => return Ok(false),
            Interest::Held => return Ok(true),
            Interest::Conditions => {}
        }
        let kind = facts.change().node;
        let is_kind = if self.kinds.is_empty() {
            kind != NodeKind::Directory
        } else {
            self.kinds.contains(&kind)
        };
        if !is_kind {
            return Ok(false);
        }
        for condition in &self.when {
            if !is_met(*condition, facts)? {
                return Ok(false);
            }
        }
        for name in &self.beside {
            if !facts.is_beside(name)? {
                return Ok(false);
            }
        }
        for name in &self.beside_in_base {
            if !facts.was_beside(name)? {
                return Ok(false);
            }
        }
        let Some(lines) = &self.lines else {
            return Ok(true);
        };
        match facts.text()? {
            Some(now) => Ok(lines.found_in(&now, &facts.text_before()?)),
            None => Ok(true),
        }
    }
}

fn is_met(condition: Condition, facts: &Facts<'_, '_>) -> io::Result<bool> {
    match condition {
        Condition::New => Ok(facts.is_new()),
        Condition::ContentChanged => Ok(facts.content_changed()),
        Condition::NewlyExecutable => facts.gains_mode(0o111),
        Condition::Executable => facts.has_mode(0o111),
        Condition::SetId => facts.has_mode(0o6000),
        Condition::LeavesWorkspace => facts.leaves_workspace(),
        Condition::Elf => facts.starts_with(b"\x7fELF"),
        Condition::Script => facts.starts_with(b"#!"),
        Condition::Capabilities => facts.has_capabilities(),
        // A condition that this version does not know is taken to be met.
        _ => Ok(true),
    }
}

/// Why it could not be found out what is held back.
#[derive(Debug, thiserror::Error)]
#[error("{path}: look at what the branch has there")]
pub(crate) struct MarkError {
    pub(crate) path: RelPath,
    #[source]
    pub(crate) source: io::Error,
}

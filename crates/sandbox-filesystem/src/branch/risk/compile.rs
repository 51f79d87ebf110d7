//! Rules as data → rules that can be applied.

use std::collections::BTreeSet;

use sandbox_types::{Hold, RiskRules, RuleSpec};

use super::acceptance::RULE;
use super::lines::Lines;
use super::linked::Links;
use super::reached::Reached;
use super::{Rule, Rules, Use, fold};
use crate::branch::patterns::{Globs, InvalidPattern, Patterns};

const BUILTIN: &str = include_str!("rules.toml");

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RuleError {
    #[error("the built-in rules")]
    Builtin(#[source] toml::de::Error),
    #[error("rule {rule:?}")]
    Pattern {
        rule: String,
        #[source]
        source: InvalidPattern,
    },
    #[error("rule {rule:?}: gains and harmless are regular expressions")]
    Expression {
        rule: String,
        #[source]
        source: regex::Error,
    },
    #[error("allow")]
    Allow(#[source] InvalidPattern),
    #[error("rule {rule:?} has no condition: it would hold everything")]
    Unconditional { rule: String },
    #[error("enable: no rule is of the group {name:?}")]
    UnknownGroup { name: String, known: Vec<String> },
    #[error("disable: no rule is called {name:?}")]
    UnknownRule { name: String, known: Vec<String> },
    #[error("accept: no rule is called {name:?}")]
    UnknownAccepted { name: String, known: Vec<String> },
}

impl RuleError {
    /// What a user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownGroup { known, .. }
            | Self::UnknownRule { known, .. }
            | Self::UnknownAccepted { known, .. } => Some(format!("there are: {}", known.join(", "))),
            Self::Unconditional { .. } => Some("give it paths = [\"…\"], kinds or when".to_owned()),
            _ => None,
        }
    }
}

/// The built-in rules and `more`.
pub(super) fn rules(more: &RiskRules) -> Result<Rules, RuleError> {
    let builtin: RiskRules = toml::from_str(BUILTIN).map_err(RuleError::Builtin)?;
    check_names(&builtin, more)?;
    let is_replaced = |spec: &&RuleSpec| !more.hold.iter().any(|other| other.name == spec.name);
    let is_on = |spec: &&RuleSpec| {
        let group_is_on = spec
            .group
            .as_ref()
            .is_none_or(|group| more.enable.contains(group));
        group_is_on && !more.disable.contains(&spec.name)
    };
    let specs = builtin
        .hold
        .iter()
        .filter(is_replaced)
        .chain(&more.hold)
        .filter(is_on);
    let mut globs = Globs::default();
    let mut uses = Vec::new();
    let mut rules = Vec::new();
    for spec in specs {
        let globs_of_rule = add_globs(spec, &mut globs).map_err(|source| RuleError::Pattern {
            rule: spec.name.clone(),
            source,
        })?;
        uses.extend(globs_of_rule.into_iter().map(|what| (rules.len(), what)));
        rules.push(rule(spec)?);
    }
    let (globs, owners) = globs.build().map_err(RuleError::Allow)?;
    let uses = owners
        .iter()
        .filter_map(|pattern| uses.get(*pattern).copied())
        .collect();
    let allow = Patterns::new(builtin.allow.iter().chain(&more.allow)).map_err(RuleError::Allow)?;
    Ok(Rules {
        each: rules,
        globs,
        uses,
        allow,
        reached: Reached::default(),
        links: Links::default(),
    })
}

/// Whether each `rule:NAME` of `texts` is a rule's, built in or one of `more`.
pub(crate) fn check_accepted(more: &RiskRules, texts: &[String]) -> Result<(), RuleError> {
    let builtin: RiskRules = toml::from_str(BUILTIN).map_err(RuleError::Builtin)?;
    let all = builtin.hold.iter().chain(&more.hold);
    let known: BTreeSet<_> = all.map(|spec| spec.name.clone()).collect();
    let mut named = texts.iter().filter_map(|text| text.strip_prefix(RULE));
    match named.find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(name) => Err(RuleError::UnknownAccepted {
            name: name.to_owned(),
            known: known.into_iter().collect(),
        }),
    }
}

/// Names that are nowhere are mistakes, and one in `disable` or `enable` would go unnoticed.
fn check_names(builtin: &RiskRules, more: &RiskRules) -> Result<(), RuleError> {
    let all = || builtin.hold.iter().chain(&more.hold);
    let names: BTreeSet<_> = all().map(|spec| spec.name.clone()).collect();
    let groups: BTreeSet<_> = all().filter_map(|spec| spec.group.clone()).collect();
    if let Some(name) = more.enable.iter().find(|name| !groups.contains(*name)) {
        let (name, known) = (name.clone(), groups.into_iter().collect());
        return Err(RuleError::UnknownGroup { name, known });
    }
    if let Some(name) = more.disable.iter().find(|name| !names.contains(*name)) {
        let (name, known) = (name.clone(), names.into_iter().collect());
        return Err(RuleError::UnknownRule { name, known });
    }
    Ok(())
}

fn rule(spec: &RuleSpec) -> Result<Rule, RuleError> {
    let lines = Lines::new(&spec.gains, &spec.harmless).map_err(|source| RuleError::Expression {
        rule: spec.name.clone(),
        source,
    })?;
    let is_conditional = !spec.kinds.is_empty() || !spec.when.is_empty() || lines.is_some();
    if spec.paths.is_empty() && !is_conditional {
        return Err(RuleError::Unconditional {
            rule: spec.name.clone(),
        });
    }
    let mut when = spec.when.clone();
    when.sort_unstable();
    Ok(Rule {
        hold: Hold {
            rule: spec.name.clone(),
            why: spec.why.clone(),
        },
        is_everywhere: spec.paths.is_empty(),
        kinds: spec.kinds.clone(),
        when,
        lines,
        beside: spec.beside.clone(),
        beside_in_base: spec.beside_in_base.clone(),
    })
}

/// Adds the globs of `spec`, and says what each of them is for.
fn add_globs(spec: &RuleSpec, globs: &mut Globs) -> Result<Vec<Use>, InvalidPattern> {
    let mut uses = Vec::new();
    let mut add = |text: &str, what| {
        uses.push(what);
        globs.add(&fold::pattern(text)).map(|_| ())
    };
    for path in &spec.paths {
        add(path, Use::Path)?;
        // What must be beside it cannot be looked for beside a directory above.
        if spec.beside.is_empty() && spec.beside_in_base.is_empty() {
            ways(path).try_for_each(|way| add(way, Use::Way))?;
        }
    }
    spec.except.iter().try_for_each(|path| add(path, Use::Except))?;
    Ok(uses)
}

/// The directories that `pattern` leads through, hidden ones and what is in them: a link in the place of
/// `.vscode` makes all it points to into what the editor obeys. A directory that is not hidden, `tools` or `lib`,
/// can be anything.
fn ways(pattern: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let slashes = pattern.char_indices().filter_map(move |(index, character)| {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => return Some(index),
            _ => {}
        }
        None
    });
    slashes
        .filter_map(|slash| pattern.get(..slash))
        .filter(|way| way.starts_with('.') || way.contains("/."))
        .filter(|way| !way.ends_with('*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_leads_through_hidden_directories() {
        for (pattern, expect) in [
            ("**/.git/hooks/**", &["**/.git", "**/.git/hooks"][..]),
            ("**/.vscode/{a,b}.json", &["**/.vscode"]),
            ("**/.{x,y/z}/a", &["**/.{x,y/z}"]),
            ("**/tools/bazel", &[]),
            (".gitmodules", &[]),
            ("**/.config/mise/**", &["**/.config", "**/.config/mise"]),
        ] {
            assert_eq!(ways(pattern).collect::<Vec<_>>(), expect, "{pattern}");
        }
    }
}

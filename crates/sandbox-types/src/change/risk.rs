//! Rules on which changes are held back: plain data, built in or carried by a profile.

use serde::{Deserialize, Serialize};

use super::NodeKind;

/// What is held back besides, or instead of, what is built in.
///
/// ```
/// let rules: sandbox_types::RiskRules = toml::from_str(
///     r#"
///     enable = ["build-scripts"]
///     allow = ["tools/*.sh"]
///
///     [[hold]]
///     name = "deploy"
///     why = "the server runs it at the next release"
///     paths = ["deploy/**"]
///     "#,
/// )?;
/// assert_eq!(rules.hold.len(), 1);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RiskRules {
    /// Groups of rules that are off unless named here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<String>,
    /// Names of rules that are off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    /// Paths at which nothing is held, whatever a rule says; matched exactly, letter case included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// The rules. One that has the name of another, earlier one, replaces it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<RuleSpec>,
}

/// One rule: a change that meets all of its conditions is held back.
///
/// A pattern without `/` matches a name in any directory, one with `/` a path from the workspace's root; `*` and
/// `?` stop at `/`, `**` does not. Letter case makes no difference. A directory is held only by a rule that
/// names the kind, since by itself it does nothing; a symbolic link is also held where it takes the place of a
/// directory that a pattern leads through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSpec {
    /// A short name, shown with what is held.
    pub name: String,
    /// What the danger is, in one line.
    pub why: String,
    /// The rule is off unless this group is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it looks; empty: everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Where it does not look, though `paths` matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Kinds of entries it looks at; empty: all but directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<NodeKind>,
    /// What else must be so: all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// Regular expressions, one of which a line must match that the base's file does not have. Empty: any line.
    /// They are searched for in the line; case matters unless it says `(?i)`; `.` is a byte.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<String>,
    /// Regular expressions of new lines that do no harm: of those that `gains` finds, these do not count. One
    /// must match the whole line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub harmless: Vec<String>,
    /// Names that must exist beside it (`HEAD`), or relative to its directory (`../HEAD`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// Of those, what must have been there before, in the base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside_in_base: Vec<String>,
}

/// Something about a change that is more than its path. The cheapest to find out are first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Condition {
    /// Nothing of that kind was at this path: it was added or renamed, or was another kind of entry.
    New,
    /// What it holds is new or differs.
    ContentChanged,
    /// A regular file that somebody may execute, and nobody could before.
    NewlyExecutable,
    /// A regular file that somebody may execute.
    Executable,
    /// A regular file with setuid or setgid.
    SetId,
    /// A symbolic link that leads out of the workspace, or could: absolute, or by `..`.
    LeavesWorkspace,
    /// A regular file that starts as an ELF program or library does.
    Elf,
    /// A regular file that starts with `#!`.
    Script,
    /// A regular file that gives capabilities to who executes it.
    Capabilities,
}

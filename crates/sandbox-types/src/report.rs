//! What was enforced, by what, and what a user can do about the rest.

use serde::{Deserialize, Serialize};

use crate::{Guarantee, Mechanism};

/// How far a protection holds. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing provides it.
    Disabled,
    /// It holds for less than the whole, or without its second wall.
    Degraded,
    /// It holds, second wall included.
    Enforced,
}

/// One guarantee of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuaranteeReport {
    /// What was asked for.
    pub guarantee: Guarantee,
    /// How far it holds.
    pub status: Status,
    /// The mechanisms that hold it up.
    pub by: Vec<Mechanism>,
    /// What is missing for `Enforced`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Mechanism>,
    /// What that means.
    pub says: String,
}

/// Something a user should know: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What was found.
    pub what: String,
    /// What would change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a run enforced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcementReport {
    /// Whether every guarantee asked for is enforced, second walls included.
    pub full: bool,
    /// Every guarantee the policy asked for.
    pub guarantees: Vec<GuaranteeReport>,
    /// Causes and remedies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl EnforcementReport {
    /// The entry of one guarantee, if the policy asked for it.
    pub fn get(&self, guarantee: Guarantee) -> Option<&GuaranteeReport> {
        self.guarantees.iter().find(|entry| entry.guarantee == guarantee)
    }

    /// The entries that are not fully enforced.
    pub fn weaker(&self) -> impl Iterator<Item = &GuaranteeReport> {
        self.guarantees
            .iter()
            .filter(|entry| entry.status != Status::Enforced)
    }
}

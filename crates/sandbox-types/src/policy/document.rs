//! Policies as documents: TOML and JSON, one extending another.
//!
//! A document may name the one it starts from: `extends = "agent"`. Tables merge key by key, lists grow,
//! anything else replaces. Merging happens on documents, not on policies, so that writing down a default
//! value is different from not writing it.

use serde_json::Value;

use super::{Policy, PolicyError, built_in};

/// How deep `extends` may go; more is a loop.
const MAX_DEPTH: usize = 16;

/// The two notations of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text that starts with a table or a key.
    Toml,
    /// Text that starts with `{`.
    Json,
}

/// Why a document is not a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Not TOML, or a key or value that a policy does not have.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Not JSON, or a key or value that a policy does not have.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// `extends` names a profile that does not exist.
    #[error("extends = {0:?}: there is no such profile")]
    NoSuchProfile(String),
    /// `extends` goes round in a circle.
    #[error("extends = {0:?}: profiles extend one another in a circle")]
    Circle(String),
    /// Readable, but not valid.
    #[error(transparent)]
    Invalid(#[from] PolicyError),
}

impl Policy {
    /// Reads a policy from TOML; a built-in profile may be extended.
    ///
    /// # Errors
    /// A syntax error with its line, an unknown key by name, or every problem of the policy.
    pub fn from_toml(text: &str) -> Result<Self, DocumentError> {
        Self::from_document(text, Format::Toml)
    }

    /// Reads a policy from JSON; a built-in profile may be extended.
    ///
    /// # Errors
    /// A syntax error with its line, an unknown key by name, or every problem of the policy.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        Self::from_document(text, Format::Json)
    }

    /// The policy as TOML.
    pub fn to_toml(&self) -> String {
        // A policy is tables of numbers, texts and lists, all of which TOML can hold.
        toml::to_string_pretty(self).unwrap_or_default()
    }

    fn from_document(text: &str, format: Format) -> Result<Self, DocumentError> {
        // Read once as a policy, so that a wrong key is reported with the line it stands on.
        match format {
            Format::Toml => drop(toml::from_str::<Document>(text)?),
            Format::Json => drop(serde_json::from_str::<Document>(text)?),
        }
        let value = match format {
            Format::Toml => toml::from_str::<Value>(text)?,
            Format::Json => serde_json::from_str::<Value>(text)?,
        };
        let policy: Self = serde_json::from_value(resolve(value, 0)?)?;
        policy.check()?;
        Ok(policy)
    }
}

/// A policy with the one extra key that only documents have.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Document {
    extends: Option<String>,
    filesystem: super::FilesystemPolicy,
    network: super::NetworkPolicy,
    syscalls: super::SyscallPolicy,
    limits: super::LimitPolicy,
    process: super::ProcessPolicy,
    branch: super::BranchPolicy,
    require: super::Require,
}

fn resolve(mut value: Value, depth: usize) -> Result<Value, DocumentError> {
    let Some(Value::String(parent)) = value.as_object_mut().and_then(|table| table.remove("extends")) else {
        return Ok(value);
    };
    if depth == MAX_DEPTH {
        return Err(DocumentError::Circle(parent));
    }
    let base = built_in(&parent).ok_or_else(|| DocumentError::NoSuchProfile(parent.clone()))?;
    let base = resolve(toml::from_str::<Value>(base.document)?, depth + 1)?;
    Ok(merge(base, value))
}

fn merge(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let merged = match base.remove(&key) {
                    Some(below) => merge(below, value),
                    None => value,
                };
                base.insert(key, merged);
            }
            Value::Object(base)
        }
        (Value::Array(mut base), Value::Array(over)) => {
            base.extend(over);
            Value::Array(base)
        }
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SizeExt;

    #[test]
    fn a_document_extends_a_profile_and_can_take_a_value_back() {
        let text = "extends = \"judge\"\n[limits]\nmemory = \"1G\"\n[filesystem]\nread = [\"/data\"]\n";
        let policy = Policy::from_toml(text).expect("valid");
        assert_eq!(policy.limits.memory, Some(1.gib()));
        let judge = built_in("judge").expect("built in").policy().expect("valid");
        assert_eq!(policy.limits.processes, judge.limits.processes);
        assert_eq!(policy.filesystem.read, [std::path::PathBuf::from("/data")]);
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = Policy::from_toml("[limits]\nmemry = \"1G\"\n")
            .expect_err("typo")
            .to_string();
        assert!(error.contains("memry") && error.contains("line 2"), "{error}");
        let error = Policy::from_json("{\"limits\":{\"memory\":\"12X\"}}")
            .expect_err("bad size")
            .to_string();
        assert!(error.contains("12X") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn an_unknown_parent_is_an_error() {
        assert!(
            matches!(Policy::from_toml("extends = \"nope\""), Err(DocumentError::NoSuchProfile(name)) if name == "nope")
        );
    }

    #[test]
    fn every_policy_survives_both_notations() {
        for profile in crate::policy::BUILT_IN {
            let policy = profile.policy().expect(profile.name);
            assert_eq!(Policy::from_toml(&policy.to_toml()).expect(profile.name), policy);
            let json = serde_json::to_string(&policy).expect("plain data");
            assert_eq!(Policy::from_json(&json).expect(profile.name), policy);
        }
    }
}

//! What a long run has found out so far: it can be stopped, and gone on with.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use serde_json::{Value, json};

use super::{
    Said,
    served::Subject,
    suites::{self, Results, Suite},
};
use crate::{
    error::{Error, Result},
    workspace,
};

fn path() -> PathBuf {
    workspace::root().join("target/conformance.json")
}

/// What is known of these subjects; nothing where no run was stopped.
pub(super) fn load(subjects: &[Subject]) -> Result<Said> {
    let path = path();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Said::new()),
        result => result.map_err(Error::io(&path))?,
    };
    // One that was cut off in the middle is not gone on with as if nothing were known.
    let kept: Value = serde_json::from_str(&text).map_err(|error| Error::io(&path)(error.into()))?;
    let pairs = subjects
        .iter()
        .flat_map(|subject| suites::ALL.map(|suite| (*subject, suite)));
    let known = |(subject, suite): (Subject, Suite)| {
        let results = results(kept.get(subject.name())?.get(suite.name())?)?;
        Some(((subject, suite), results))
    };
    Ok(pairs.filter_map(known).collect())
}

pub(super) fn store(said: &Said) -> Result<()> {
    let mut kept: BTreeMap<String, BTreeMap<&str, Value>> = BTreeMap::new();
    for ((subject, suite), results) in said {
        let value = json!({
            "passed": results.passed, "failed": results.failed, "skipped": results.skipped, "remarks": results.remarks,
        });
        kept.entry(subject.name())
            .or_default()
            .insert(suite.name(), value);
    }
    let path = path();
    fs::write(&path, json!(kept).to_string()).map_err(Error::io(&path))
}

fn results(kept: &Value) -> Option<Results> {
    let texts = |name: &str| {
        let all = kept.get(name)?.as_array()?.iter();
        Some(all.filter_map(|text| text.as_str().map(str::to_owned)))
    };
    Some(Results {
        passed: texts("passed")?.collect(),
        failed: texts("failed")?.collect(),
        skipped: kept.get("skipped")?.as_u64()?.try_into().ok()?,
        remarks: texts("remarks")?.collect(),
        ..Results::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_as_they_were_kept() {
        let kept = json!({ "passed": ["a", "b"], "failed": ["c"], "skipped": 2, "remarks": ["d"] });
        let results = results(&kept).expect("all is there");
        assert_eq!(results.passed.len() + results.failed.len(), 3);
        assert_eq!((results.skipped, results.remarks.len()), (2, 1));
        assert!(super::results(&json!({ "passed": [] })).is_none());
    }
}

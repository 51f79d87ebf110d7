//! The part of a test that runs in a namespace of its own: this binary, started again with a job.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::edits::{self, Edit};
use super::naive;

const VARIABLE: &str = "SANDBOX_TEST_DIFF_JOB";
const NAME: &str = "branch::diff::tests::inside::does_its_job_if_it_has_one";

/// Something to be done with mount rights.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Does the same to each of these trees.
    Edit {
        roots: Vec<PathBuf>,
        edits: Vec<Edit>,
        start: i64,
    },
    /// Writes the difference of two trees to a file.
    Compare { old: PathBuf, new: PathBuf, to: PathBuf },
}

impl Job {
    /// A line of shell that does it.
    pub(super) fn script(&self, file: &Path) -> String {
        std::fs::write(file, serde_json::to_vec(self).unwrap()).unwrap();
        let binary = std::env::current_exe().unwrap();
        format!(
            "{VARIABLE}='{}' '{}' --exact {NAME} --quiet >/dev/null || exit 98\n",
            file.display(),
            binary.display()
        )
    }

    /// The difference that was written to `path`.
    pub(super) fn result(path: &Path) -> BTreeSet<String> {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
}

#[test]
fn does_its_job_if_it_has_one() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return;
    };
    match serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() {
        Job::Edit { roots, edits, start } => {
            for root in roots {
                edits::apply(&root, &edits, start);
            }
        }
        Job::Compare { old, new, to } => {
            let lines = naive::compare(&old, &new);
            std::fs::write(to, serde_json::to_vec(&lines).unwrap()).unwrap();
        }
    }
}

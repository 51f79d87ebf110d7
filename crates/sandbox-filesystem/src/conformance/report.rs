//! Carrying cases out and comparing.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

use super::backend::Backend;
use super::host::Host;
use super::matrix::rename_matrix;
use super::op::Op;
use super::script::{BadLine, Case, parse};
use super::subject::Subject;
use crate::fs::{Capabilities, DynFileSystem, Errno};

const CASES: [&str; 9] = [
    include_str!("cases/names.txt"),
    include_str!("cases/create.txt"),
    include_str!("cases/links.txt"),
    include_str!("cases/rename.txt"),
    include_str!("cases/attributes.txt"),
    include_str!("cases/times.txt"),
    include_str!("cases/content.txt"),
    include_str!("cases/xattrs.txt"),
    include_str!("cases/locks.txt"),
];

/// What came of all cases.
#[derive(Debug, Default)]
#[must_use]
pub struct Report {
    /// How many cases were carried out.
    pub cases: usize,
    /// And operations in them.
    pub steps: usize,
    /// Where backend and host differ, other than what is known.
    pub differences: Vec<Difference>,
    /// Differences that are known but were not seen: they should not be listed.
    pub unseen: Vec<&'static str>,
}

/// One operation to which they gave different answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The case.
    pub title: String,
    /// The operation.
    pub step: Op,
    /// What the host said.
    pub expected: Result<String, Errno>,
    /// What the backend said.
    pub found: Result<String, Errno>,
}

/// A difference that is meant.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The title of the case.
    pub title: &'static str,
    /// Why it is so.
    pub reason: &'static str,
}

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A case is no case.
    #[error(transparent)]
    Script(#[from] BadLine),
    /// The directory of the host cannot be used.
    #[error("a directory for a case cannot be made on the host")]
    Host(#[source] io::Error),
    /// The backend refused to begin.
    #[error("the backend has no directory for {title:?}: {errno:?}")]
    Backend {
        /// The case.
        title: String,
        /// What it said.
        errno: Errno,
    },
}

/// Carries every case out on `fs`, which is new, and in `host`, an empty directory on a filesystem with user extended
/// attributes. `known` are differences that are meant.
pub fn run(fs: &dyn DynFileSystem, host: &Path, known: &[Known]) -> Result<Report, RunError> {
    run_cases(fs, host, &cases()?, known)
}

/// Every case there is.
pub fn cases() -> Result<Vec<Case>, BadLine> {
    let mut cases = Vec::new();
    for text in CASES {
        cases.extend(parse(text)?);
    }
    cases.extend(rename_matrix());
    Ok(cases)
}

/// As [`run`], with these cases.
pub fn run_cases(
    fs: &dyn DynFileSystem,
    host: &Path,
    cases: &[Case],
    known: &[Known],
) -> Result<Report, RunError> {
    let agreed = fs.init(Capabilities::all()).unwrap_or_default();
    let mut report = Report::default();
    let mut seen = Vec::new();
    let root = rustix::process::geteuid().is_root();
    for (number, case) in cases.iter().filter(|case| root || !case.needs_root).enumerate() {
        let differences = carry_out(fs, agreed, host, number, case)?;
        report.cases += 1;
        report.steps += case.steps.len();
        match known.iter().find(|known| known.title == case.title) {
            Some(known) if !differences.is_empty() => seen.push(known.title),
            _ => report.differences.extend(differences),
        }
    }
    report.unseen = known
        .iter()
        .map(|known| known.title)
        .filter(|title| !seen.contains(title))
        .collect();
    Ok(report)
}

/// Where two subjects give different answers to the same steps.
pub fn compare(
    title: &str,
    steps: &[Op],
    oracle: &mut dyn Subject,
    subject: &mut dyn Subject,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    for step in steps {
        let (expected, found) = (oracle.apply(step), subject.apply(step));
        if expected != found {
            differences.push(Difference {
                title: title.to_owned(),
                step: step.clone(),
                expected,
                found,
            });
        }
    }
    differences
}

fn carry_out(
    fs: &dyn DynFileSystem,
    agreed: Capabilities,
    host: &Path,
    number: usize,
    case: &Case,
) -> Result<Vec<Difference>, RunError> {
    let name = OsString::from(format!("case-{number}"));
    let directory = host.join(&name);
    std::fs::create_dir(&directory).map_err(RunError::Host)?;
    let mut oracle = Host::new(&directory);
    let mut backend =
        Backend::new(fs, agreed, &name, process_umask()).map_err(|errno| RunError::Backend {
            title: case.title.clone(),
            errno,
        })?;
    Ok(compare(&case.title, &case.steps, &mut oracle, &mut backend))
}

/// Of this process, without changing it.
pub fn process_umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok())
        .unwrap_or(0o022)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} cases, {} operations, {} differences",
            self.cases,
            self.steps,
            self.differences.len()
        )?;
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        for title in &self.unseen {
            writeln!(f, "{title}: listed as known, but there is no difference")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            title,
            step,
            expected,
            found,
        } = self;
        write!(
            f,
            "{title}\n    {step:?}\n    host:    {expected:?}\n    backend: {found:?}"
        )
    }
}

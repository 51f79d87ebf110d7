//! What a branch adds to `sandbox run` when nothing is done on it: made, mounted, dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Scale,
    dirty::{self, Writer},
    report::verdict,
    site::Site,
};
use crate::{
    bench::{
        BenchError,
        figures::{Figures, micros, millis},
        peer::Peer,
    },
    error::{Error, Result},
};

const ROUNDS: usize = 200;
/// More than the plain run, in milliseconds.
const LIMIT_MS: f64 = 1.5;

const PLAIN: &[&str] = &["run", "--", "/bin/true"];
const WRITABLE: &[&str] = &["run", "-w", ".", "--", "/bin/true"];
const BRANCH: &[&str] = &[
    "run",
    "--branch",
    "--workspace=.",
    "--on-success=discard",
    "--",
    "/bin/true",
];

const EXACT: &[&str] = &[
    "run",
    "--branch",
    "--branch-mode=exact",
    "--workspace=.",
    "--on-success=discard",
    "--",
    "/bin/true",
];

/// On a quiet disk, and with much to write back.
pub(super) struct Empty {
    quiet: Rounds,
    dirty: Rounds,
    least_dirty_mib: u64,
    left: Vec<PathBuf>,
}

struct Rounds {
    plain: Figures,
    writable: Figures,
    branch: Figures,
    exact: Figures,
    /// Of each round, in milliseconds, sorted: the noise of the machine is the same for both.
    differences: Vec<f64>,
}

impl Empty {
    pub(super) fn measure(site: &Site, scale: Scale) -> Result<Self> {
        println!("an empty branch");
        let workspace = site.path("empty");
        site.make_dir(&workspace)?;
        let mut driver = site.command(&site.tools().driver());
        let mut driver = Peer::start({
            driver.current_dir(&workspace).stdin(std::process::Stdio::piped());
            driver
        })?;
        let rounds = scale.of(ROUNDS);
        let quiet = Rounds::measure(&mut driver, site, rounds)?;
        let writer = Writer::start(site.path("dirty"))?;
        let dirty = Rounds::measure(&mut driver, site, rounds)?;
        let left = left_in(&site.state())?;
        Ok(Self {
            quiet,
            dirty,
            least_dirty_mib: writer.least_mib(),
            left,
        })
    }

    pub(super) fn print(&self) {
        println!(
            "\n{:<34} {:>5} {:>9} {:>9} {:>9}",
            "/bin/true, ms", "runs", "median", "min", "max"
        );
        let dirty = format!("at least {} MiB dirty", self.least_dirty_mib);
        for (when, rounds) in [("quiet", &self.quiet), (dirty.as_str(), &self.dirty)] {
            println!("{when}");
            rounds.print();
        }
        if self.least_dirty_mib < dirty::LEAST_MIB {
            println!("the kernel wrote back faster than it was written: less was dirty than asked for");
        }
        for (when, rounds) in [("", &self.quiet), (", with dirty data", &self.dirty)] {
            let added = rounds.added();
            println!(
                "target: an empty branch adds ≤ {LIMIT_MS} ms{when}: {added:.2}, {}",
                verdict(added, LIMIT_MS)
            );
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "limit_ms": LIMIT_MS, "quiet": self.quiet.json(), "dirty": self.dirty.json(),
                "least_dirty_mib": self.least_dirty_mib, "left": self.left })
    }

    /// A branch that was to be dropped and was not makes the figures worthless.
    pub(super) fn nothing_is_left(&self) -> Result<()> {
        let Some(first) = self.left.first() else {
            return Ok(());
        };
        Err(BenchError::LeftOver {
            count: self.left.len(),
            first: first.clone(),
        }
        .into())
    }
}

impl Rounds {
    fn measure(driver: &mut Peer, site: &Site, rounds: usize) -> Result<Self> {
        let requests = [PLAIN, WRITABLE, BRANCH, EXACT].map(|arguments| {
            let sandbox = site.tools().sandbox().display().to_string();
            let arguments = arguments.iter().map(|&word| word.to_owned());
            ["spawn".to_owned(), sandbox]
                .into_iter()
                .chain(arguments)
                .collect::<Vec<_>>()
        });
        let mut times: [Vec<Duration>; 4] = Default::default();
        // Round 0 brings the files in.
        for round in 0..=rounds {
            for (words, times) in requests.iter().zip(&mut times) {
                let took = driver.ask(words)?;
                if round > 0 {
                    times.push(took);
                }
            }
        }
        let [plain, _, branch, _] = &times;
        let mut differences: Vec<f64> = plain
            .iter()
            .zip(branch)
            .map(|(plain, branch)| millis(*branch) - millis(*plain))
            .collect();
        differences.sort_by(f64::total_cmp);
        let [plain, writable, branch, exact] = times.map(Figures::of);
        Ok(Self {
            plain,
            writable,
            branch,
            exact,
            differences,
        })
    }

    fn added(&self) -> f64 {
        median(&self.differences)
    }

    fn named(&self) -> [(&'static str, &Figures); 4] {
        [
            ("sandbox run", &self.plain),
            ("sandbox run -w .", &self.writable),
            ("sandbox run --branch, discarded", &self.branch),
            ("the same in mode exact", &self.exact),
        ]
    }

    fn print(&self) {
        for (name, times) in self.named() {
            println!(
                "  {name:<32} {:>5} {:>9.2} {:>9.2} {:>9.2}",
                times.count(),
                millis(times.median()),
                millis(times.min()),
                millis(times.max())
            );
        }
        let edge = |edge: Option<&f64>| edge.copied().unwrap_or(f64::NAN);
        println!(
            "  {:<32} {:>5} {:>9.2} {:>9.2} {:>9.2}",
            "added by the branch",
            self.differences.len(),
            self.added(),
            edge(self.differences.first()),
            edge(self.differences.last())
        );
    }

    fn json(&self) -> Value {
        let times = |times: &Figures| {
            json!({ "runs": times.count(), "median_us": micros(times.median()),
                    "min_us": micros(times.min()), "max_us": micros(times.max()) })
        };
        let [plain, writable, branch, exact] = self.named().map(|(_, figures)| times(figures));
        json!({ "plain": plain, "writable": writable, "branch": branch, "exact": exact, "added_ms": self.added(),
                "met": self.added() <= LIMIT_MS })
    }
}

/// Of sorted numbers, by nearest rank.
fn median(sorted: &[f64]) -> f64 {
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Branches and layers that are still in the state directory.
fn left_in(state: &Path) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for workspace in entries(&state.join("workspaces"))? {
        for kind in ["branches", "layers"] {
            left.extend(entries(&workspace.join(kind))?);
        }
    }
    Ok(left)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let list =
        || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect() };
    list().map_err(Error::io(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_one_of_the_numbers() {
        assert!((median(&[-1.0, 0.5, 7.0]) - 0.5).abs() < f64::EPSILON);
        assert!((median(&[1.0, 2.0]) - 1.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}

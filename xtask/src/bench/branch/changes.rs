//! How long it takes to review and to commit what was changed on a branch.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{
    Scale,
    measure::Stopped,
    site::{Site, remove},
};
use crate::{
    bench::{
        BenchError,
        figures::{Figures, micros, millis},
        output::output_of,
    },
    error::Result,
};

const ROUNDS: usize = 3;
/// Half of the files are in the base and appended to, half are new.
const DIFFED: usize = 100_000;
const COMMITTED: usize = 10_000;
const SIZE: usize = 200;
/// "Within seconds".
const DIFF_LIMIT: Duration = Duration::from_secs(5);

/// One thing that is measured, and what is familiar beside it.
struct Job {
    name: String,
    ours: Timed,
    familiar: (&'static str, Timed),
    limit: Option<Duration>,
}

#[derive(Default)]
struct Timed {
    figures: Figures,
    cpu: Figures,
    peak_kib: u64,
}

type Measure = fn(&Bed<'_>) -> Result<Job, BenchError>;

pub(super) struct Changes {
    jobs: Vec<Job>,
    left_out: Vec<(&'static str, String)>,
}

/// A workspace with a branch on which so many files were changed.
struct Bed<'a> {
    site: &'a Site,
    dir: PathBuf,
    files: usize,
}

impl Changes {
    pub(super) fn measure(site: &Site, scale: Scale) -> Result<Self> {
        let help = output_of(site.sandbox().args(["branch", "--help"]))?;
        let mut changes = Self {
            jobs: Vec::new(),
            left_out: Vec::new(),
        };
        let wanted: [(&'static str, usize, Measure); 2] =
            [("diff", DIFFED, diff), ("commit", COMMITTED, commit)];
        for (command, files, measure) in wanted {
            println!("branch {command}");
            if !has_command(&help, command) {
                let why = format!("there is no `sandbox branch {command}`");
                changes.left_out.push((command, why));
                continue;
            }
            let bed = Bed {
                site,
                dir: site.path(command),
                files: scale.of(files),
            };
            site.make_dir(&bed.dir)?;
            match measure(&bed) {
                Ok(job) => changes.jobs.push(job),
                Err(BenchError::Run { why, .. }) => changes.left_out.push((command, why)),
                Err(error) => return Err(error.into()),
            }
            remove(&bed.dir)?;
        }
        Ok(changes)
    }

    pub(super) fn print(&self) {
        println!(
            "\n{:<44} {:>5} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "changes, ms", "runs", "median", "min", "max", "CPU", "peak, MiB"
        );
        for job in &self.jobs {
            job.ours.print(&job.name);
            job.familiar.1.print(&format!("  {}", job.familiar.0));
        }
        for (command, why) in &self.left_out {
            println!("branch {command}: left out: {why}");
        }
        for job in &self.jobs {
            let Some(limit) = job.limit else { continue };
            let median = job.ours.figures.median();
            let verdict = if median <= limit { "met" } else { "not met" };
            println!("target: {} ≤ {limit:?}: {median:.2?}, {verdict}", job.name);
        }
    }

    pub(super) fn json(&self) -> Value {
        let jobs = self.jobs.iter().map(|job| {
            json!({ "name": job.name, "branch": job.ours.json(), "familiar": job.familiar.0,
                    "familiar_times": job.familiar.1.json(), "limit_us": job.limit.map(micros) })
        });
        let left_out = self.left_out.iter();
        let left_out = left_out.map(|(command, why)| json!({ "command": command, "why": why }));
        json!({ "jobs": jobs.collect::<Vec<_>>(), "left_out": left_out.collect::<Vec<_>>() })
    }
}

/// Reading changes nothing: one branch, looked at again and again.
fn diff(bed: &Bed<'_>) -> Result<Job, BenchError> {
    bed.fill()?;
    bed.change("changed")?;
    let (mut ours, mut familiar) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(bed.timed("sandbox branch diff changed --stat --workspace base")?);
        familiar.push(bed.timed("sh -c 'diff -rq base copy || [ $? -eq 1 ]'")?);
    }
    bed.script("sandbox branch discard changed --workspace base")?;
    Ok(Job {
        name: format!("branch diff --stat, {} changed files", bed.files),
        ours: Timed::of(&ours),
        familiar: ("diff -rq of two plain trees", Timed::of(&familiar)),
        limit: Some(DIFF_LIMIT),
    })
}

/// A commit changes the base: each is one of a new branch of a base made anew.
fn commit(bed: &Bed<'_>) -> Result<Job, BenchError> {
    let (mut ours, mut familiar) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bed.fill()?;
        bed.change(&format!("r{round}"))?;
        ours.push(bed.timed(&format!("sandbox branch commit r{round} --workspace base"))?);
        bed.script("diff -rq base copy")?;
        familiar.push(bed.timed("cp -a copy another")?);
        bed.script("rm -rf another")?;
    }
    Ok(Job {
        name: format!("branch commit, {} files", bed.files),
        ours: Timed::of(&ours),
        familiar: ("cp -a of as many", Timed::of(&familiar)),
        limit: None,
    })
}

impl Bed<'_> {
    /// The base as it was, and beside it a plain tree as the branch will be.
    fn fill(&self) -> Result<(), BenchError> {
        let (base, all) = (self.files / 2, self.files);
        self.script(&format!(
            "rm -rf base/* copy; mkdir -p base copy
            files fill base {base} {SIZE}; files fill copy {base} {SIZE}; files fill copy {all} {SIZE}"
        ))
    }

    fn change(&self, branch: &str) -> Result<(), BenchError> {
        let tools = self.site.tools().dir().display();
        self.script(&format!(
            "cd base; sandbox run --quiet --branch={branch} --workspace=. -r {tools} -- files fill . {} {SIZE}",
            self.files
        ))
    }

    fn script(&self, script: &str) -> Result<(), BenchError> {
        self.site.script(&self.dir, script).map(drop)
    }

    fn timed(&self, command: &str) -> Result<Stopped, BenchError> {
        let answer = self.site.script(&self.dir, &format!("stopwatch {command}"))?;
        Stopped::parse(answer.trim_end()).ok_or(BenchError::Answer {
            program: command.to_owned(),
            answer,
        })
    }
}

impl Timed {
    fn of(stops: &[Stopped]) -> Self {
        Self {
            figures: Figures::of(stops.iter().map(|stop| stop.took).collect()),
            cpu: Figures::of(stops.iter().map(|stop| stop.cpu).collect()),
            peak_kib: stops.iter().map(|stop| stop.resident_kib).max().unwrap_or(0),
        }
    }

    fn print(&self, name: &str) {
        let times = &self.figures;
        println!(
            "{name:<44} {:>5} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>10}",
            times.count(),
            millis(times.median()),
            millis(times.min()),
            millis(times.max()),
            millis(self.cpu.median()),
            self.peak_kib / 1024
        );
    }

    fn json(&self) -> Value {
        let times = &self.figures;
        json!({ "runs": times.count(), "median_us": micros(times.median()), "min_us": micros(times.min()),
                "max_us": micros(times.max()), "cpu_us": micros(self.cpu.median()), "peak_kib": self.peak_kib })
    }
}

/// Whether a list of commands, as clap prints it, has this one.
fn has_command(help: &str, name: &str) -> bool {
    let mut lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines.any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_counts_only_where_commands_are_listed() {
        let help =
            "About diff\n\nCommands:\n  list  List\n  discard  Drop\n\nExamples:\n$ sandbox branch diff x\n";
        assert!(has_command(help, "discard"));
        assert!(!has_command(help, "diff"));
        assert!(!has_command(help, "Drop"));
    }
}

//! The suites, and what their output says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    cmd::Cmd,
    error::{Error, Result},
    workspace,
};

use super::{
    killed, known,
    served::{Served, Subject},
    tools::Tools,
};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// For every change: a minute or so on all subjects together.
    Short,
    /// For the figures of docs/conformance.md.
    Full,
}

/// A suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suite {
    Pjdfstest,
    Fsx,
    Programs,
    Stress,
    Known,
    Killed,
}

/// In the order in which they are run.
pub(super) const ALL: [Suite; 6] = [
    Suite::Pjdfstest,
    Suite::Fsx,
    Suite::Programs,
    Suite::Stress,
    Suite::Known,
    Suite::Killed,
];

/// So much is kept of what a suite says of a failure, in bytes.
const WHY: usize = 4000;

/// What a suite said.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) passed: BTreeSet<String>,
    pub(super) failed: BTreeSet<String>,
    pub(super) skipped: usize,
    /// What was measured by the way.
    pub(super) remarks: Vec<String>,
    /// Those of the passed ones that have failed in one of two tries.
    pub(super) flaky: BTreeSet<String>,
    /// What the suite said of a test that has failed.
    pub(super) why: BTreeMap<String, String>,
    pub(super) took: Duration,
}

impl Suite {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pjdfstest => "pjdfstest",
            Self::Fsx => "fsx",
            Self::Programs => "programs",
            Self::Stress => "stress-ng",
            Self::Known => "a million inodes",
            Self::Killed => "kill -9",
        }
    }

    /// What is done in the long run, for the document.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Pjdfstest => "the crate of this name, as root, with users nobody and daemon",
            Self::Fsx => {
                "the crate of this name: four seeds of 250,000 operations each, of everything that \
                 xtask/conformance/fsx.toml lists"
            }
            Self::Programs => {
                "git (clone, checkout, gc, fsck), tar with attributes and holes, rsync -aHAX, SQLite with WAL and four \
                 writers, gcc and ar, a cargo build, a python venv, a shared mapping: xtask/conformance/programs.sh"
            }
            Self::Stress => {
                "16 stressors with --verify: each alone with 2 workers for 5 s, then all at once with 8 workers each \
                 for 60 s"
            }
            Self::Known => {
                "a million inodes known to a process that may have 1024 descriptors, and 900 files open: all can be \
                 asked for, EMFILE is the answer when nothing is left, and what ends needs nothing"
            }
            Self::Killed => {
                "SIGKILL of the server under load: no mount is left, the host's data can be read, and it can be \
                 served again"
            }
        }
    }

    /// Whether it says by itself what is right: then what it does on the host decides nothing.
    pub(super) fn knows_itself(self) -> bool {
        matches!(self, Self::Fsx | Self::Known)
    }

    /// Whether it is a part of a short run; what is not is covered there by the tests of the crate.
    pub(super) fn is_at(self, scale: Scale) -> bool {
        !matches!(self, Self::Known | Self::Killed) || scale == Scale::Full
    }

    /// Whether there is something to find out: which inodes are known matters where they are the host's.
    pub(super) fn is_of(self, subject: Subject) -> bool {
        self != Self::Known || subject == Subject::STRICT
    }
}

impl Results {
    pub(super) fn summary(&self) -> String {
        let Self {
            passed,
            failed,
            skipped,
            took,
            ..
        } = self;
        let (passed, failed, seconds) = (passed.len(), failed.len(), took.as_secs());
        format!("{passed} passed, {failed} failed, {skipped} skipped in {seconds} s")
    }

    pub(super) fn note(&mut self, test: String, passed: bool) {
        if passed {
            self.passed.insert(test)
        } else {
            self.failed.insert(test)
        };
    }

    /// Takes in what a second try has said.
    fn correct(&mut self, again: Self) {
        for (test, said) in again.why {
            self.why.entry(test).or_insert(said);
        }
        let passed: BTreeSet<_> = self.passed.union(&again.passed).cloned().collect();
        let failed: BTreeSet<_> = self.failed.union(&again.failed).cloned().collect();
        self.flaky = &passed & &failed;
        self.failed = &failed - &passed;
        self.passed = passed;
    }

    fn note_with(&mut self, test: String, passed: bool, said: String) {
        if !passed {
            println!("{test} FAILED\n{said}");
            self.why.insert(test.clone(), said);
        }
        self.note(test, passed);
    }
}

/// Runs a suite on what is served. In a short run one that fails is tried once more, as all tests are, and what passes then
/// is named at the end; the figures of the long run are those of one try.
pub(super) fn run(suite: Suite, scale: Scale, tools: &Tools, served: &mut Served) -> Result<Results> {
    let start = Instant::now();
    let mut results = once(suite, scale, tools, served)?;
    // Each test of pjdfstest that fails has had its second try.
    if scale == Scale::Short && suite != Suite::Pjdfstest && !results.failed.is_empty() {
        println!("{} once more", suite.name());
        results.correct(once(suite, scale, tools, served)?);
    }
    results.took = start.elapsed();
    Ok(results)
}

fn once(suite: Suite, scale: Scale, tools: &Tools, served: &mut Served) -> Result<Results> {
    match suite {
        Suite::Pjdfstest => pjdfstest(tools, served),
        Suite::Fsx => fsx(scale, tools, served),
        Suite::Programs => programs(served),
        Suite::Stress => stress(scale, served),
        Suite::Known => known::run(),
        Suite::Killed => killed::run(served),
    }
}

fn pjdfstest(tools: &Tools, served: &mut Served) -> Result<Results> {
    let work = work(served, "pjdfstest")?;
    let config = served.directory().with_extension("pjdfstest.toml");
    fs::write(&config, pjdfstest_config()).map_err(Error::io(&config))?;
    let mut results = Results::default();
    pjdfstest_once(tools, served, &config, &work, &[], &mut results)?;
    // Some of its tests look at a program of theirs while it runs, and fail where that has ended too soon. What fails
    // every time is wrong.
    for test in std::mem::take(&mut results.failed) {
        println!("{test} once more, alone");
        pjdfstest_once(tools, served, &config, &work, &[test.as_str()], &mut results)?;
        if !results.passed.contains(&test) {
            results.failed.insert(test);
        }
    }
    Ok(results)
}

fn pjdfstest_once(
    tools: &Tools,
    served: &mut Served,
    config: &Path,
    work: &Path,
    which: &[&str],
    results: &mut Results,
) -> Result<()> {
    let mut test = Cmd::new(&tools.pjdfstest)
        .arg("-c")
        .arg(config)
        .arg("-p")
        .arg(work)
        .args(which);
    if Path::new("/dev/shm").is_dir() {
        test = test.args(["-s", "/dev/shm"]);
    }
    let mut said = String::new();
    // Its status says that some tests failed, which its lines say too.
    served.follow(test, Duration::from_mins(10), &mut |line| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(test), Some("ok"), None) => results.note(test.to_owned(), true),
            (Some(test), Some("FAILED"), None) => {
                println!("{line}");
                results.note(test.to_owned(), false);
            }
            (Some(_), Some("skipped"), None) => results.skipped += 1,
            _ => add(&mut said, line),
        }
    })?;
    // Of one that is alone it is known of which it is said.
    if let [test] = which {
        results.why.insert((*test).to_owned(), said);
    }
    Ok(())
}

/// Two users that every distribution has, with their groups.
fn pjdfstest_config() -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let nobody = if groups.lines().any(|line| line.starts_with("nogroup:")) {
        "nogroup"
    } else {
        "nobody"
    };
    format!(
        "[features]\nposix_fallocate = {{}}\nrename_ctime = {{}}\nstat_st_birthtime = {{}}\nutime_now = {{}}\n\
         utimensat = {{}}\n\n[settings]\nnaptime = 0.01\nallow_remount = false\n\n[dummy_auth]\n\
         entries = [[\"nobody\", \"{nobody}\"], [\"daemon\", \"daemon\"]]\n"
    )
}

fn fsx(scale: Scale, tools: &Tools, served: &mut Served) -> Result<Results> {
    let work = work(served, "fsx")?;
    let config = workspace::root().join("xtask/conformance/fsx.toml");
    let (operations, seeds) = match scale {
        Scale::Short => ("5000", 1..=2),
        Scale::Full => ("250000", 1..=4),
    };
    let mut results = Results::default();
    for seed in seeds {
        let mut said = String::new();
        let seed = seed.to_string();
        let test = Cmd::new(&tools.fsx)
            .args(["-N", operations, "-S", &seed])
            .arg("-f")
            .arg(&config);
        let test = test.arg(work.join(format!("file-{seed}")));
        let status = served.follow(test, Duration::from_hours(1), &mut |line| add(&mut said, line))?;
        let name = format!("{operations} operations, seed {seed}");
        results.note_with(name, status.success(), said);
    }
    Ok(results)
}

fn programs(served: &mut Served) -> Result<Results> {
    let work = work(served, "programs")?;
    let root = workspace::root();
    let mut results = Results::default();
    let mut failed = None;
    let script = Cmd::new("bash").arg(root.join("xtask/conformance/programs.sh"));
    let script = script.arg(&work).arg(&root);
    served.follow(script, Duration::from_mins(10), &mut |line| {
        if let Some(test) = line.strip_prefix("ok ") {
            results.note(test.to_owned(), true);
            return;
        }
        println!("{line}");
        if let Some(test) = line.strip_prefix("FAILED ") {
            results.note(test.to_owned(), false);
            failed = Some(test.to_owned());
        } else if let Some(test) = &failed {
            add(results.why.entry(test.clone()).or_default(), line);
        }
    })?;
    Ok(results)
}

/// Stressors that verify what they did.
const STRESSORS: [&str; 16] = [
    "chmod",
    "copy-file",
    "dentry",
    "dir",
    "dirdeep",
    "fallocate",
    "fcntl",
    "flock",
    "fstat",
    "hdd",
    "link",
    "lockf",
    "rename",
    "seek",
    "symlink",
    "xattr",
];

fn stress(scale: Scale, served: &mut Served) -> Result<Results> {
    let (workers, seconds) = match scale {
        Scale::Short => ("2", "1s"),
        Scale::Full => ("8", "60s"),
    };
    let mut results = Results::default();
    // All at once in the long run: that is what a server has to stand.
    let groups: Vec<Vec<&str>> = match scale {
        Scale::Short => vec![STRESSORS.to_vec()],
        Scale::Full => STRESSORS
            .chunks(1)
            .map(<[&str]>::to_vec)
            .chain([STRESSORS.to_vec()])
            .collect(),
    };
    for group in groups {
        let work = work(served, "stress")?;
        let alone = group.len() == 1;
        let mut test = Cmd::new("stress-ng").arg("--temp-path").arg(&work);
        test = test.args(["--verify", "--timeout", if alone { "5s" } else { seconds }]);
        test = test.args([
            "--hdd-bytes",
            "16m",
            "--fallocate-bytes",
            "16m",
            "--copy-file-bytes",
            "128m",
        ]);
        for stressor in &group {
            test = test
                .arg(format!("--{stressor}"))
                .arg(if alone { "2" } else { workers });
        }
        let mut said = String::new();
        let status = served.follow(test, Duration::from_mins(10), &mut |line| {
            if line.contains("fail") || line.contains("error") {
                add(&mut said, line);
            }
        })?;
        let name = if alone {
            group.concat()
        } else {
            "all stressors at once".to_owned()
        };
        results.note_with(name, status.success(), said);
    }
    Ok(results)
}

fn add(said: &mut String, line: &str) {
    if said.len() < WHY {
        said.push_str(line);
        said.push('\n');
    }
}

fn work(served: &Served, name: &str) -> Result<std::path::PathBuf> {
    let work = served.directory().join(name);
    fs::create_dir_all(&work).map_err(Error::io(&work))?;
    Ok(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_the_second_time_is_told_apart_and_what_fails_twice_has_failed() {
        let mut results = Results::default();
        results.note("passes".to_owned(), true);
        results.note_with("flaky".to_owned(), false, "why".to_owned());
        results.note_with("fails".to_owned(), false, "why".to_owned());
        let mut again = Results::default();
        results.note("fails later".to_owned(), true);
        for (test, passed) in [("passes", true), ("flaky", true), ("fails", false)] {
            again.note(test.to_owned(), passed);
        }
        again.note_with("fails later".to_owned(), false, "why".to_owned());
        results.correct(again);
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&results.passed), ["fails later", "flaky", "passes"]);
        assert_eq!(names(&results.flaky), ["fails later", "flaky"]);
        assert_eq!(names(&results.failed), ["fails"]);
        assert_eq!(results.why.len(), 3);
    }
}

//! What stands in for `sandbox run`: a template under the same policy, and a clone of it that executes the program.

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sandbox::branch::{Branch, Mode, Storage, Workspace};
use sandbox::{Branches, CloneOutput, ForkOptions, OnBranch, Outcome, Policy, PolicyBuilder, Sandbox};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The flags that the tests give.
struct Order {
    report: PathBuf,
    has_branch: bool,
    policy: PolicyBuilder,
    program: PathBuf,
}

/// The exit status of the program.
pub(crate) fn run(words: &[String]) -> ExitCode {
    match Order::of(words).and_then(Order::carry_out) {
        Ok(Outcome::Exited { code }) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Ok(outcome) => {
            eprintln!("{outcome}");
            ExitCode::from(126)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(125)
        }
    }
}

/// Whether there are templates here, or why not.
pub(crate) fn can_fork() -> std::result::Result<(), String> {
    let template = Sandbox::new_with_fns(&Policy::default(), || {}, |_| {});
    template.map(drop).map_err(|error| error.to_string())
}

impl Order {
    fn of(words: &[String]) -> Result<Self> {
        let mut order = Self {
            report: PathBuf::new(),
            has_branch: false,
            policy: Policy::builder(),
            program: PathBuf::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or("a value is missing");
            let policy = std::mem::replace(&mut order.policy, Policy::builder());
            order.policy = match word.as_str() {
                "-q" | "--clone=shared" => policy,
                "-r" => policy.read(value()?),
                "-w" => policy.write(value()?),
                "--env" => match value()?.split_once('=') {
                    Some((name, value)) => policy.env(name, value),
                    None => policy,
                },
                "--clone=branch" => {
                    order.has_branch = true;
                    policy
                }
                "--" => {
                    order.program = value()?.into();
                    policy
                }
                other => {
                    let report = other.strip_prefix("--json=").ok_or(format!("{other}: unknown"))?;
                    order.report = report.into();
                    policy
                }
            };
        }
        Ok(order)
    }

    fn carry_out(self) -> Result<Outcome> {
        let place = self.report.parent().unwrap_or(Path::new("/")).to_owned();
        let branch = self.has_branch.then(|| branch(&place)).transpose()?;
        let policy = match &branch {
            Some(branch) => self.policy.on_branch(branch)?.cwd(branch.workspace().base()),
            None => self.policy,
        };
        let policy = policy.build()?;
        let mut builder = Sandbox::template(&policy);
        let mut options = ForkOptions::default()
            .stdout(CloneOutput::Inherit)
            .stderr(CloneOutput::Inherit);
        if let Some(branch) = branch {
            builder = builder.branches(branch.for_clones()?);
            options = options.branches(Branches::PerClone);
        }
        let program = self.program;
        let execute = |_| {
            let error = Command::new(&program).exec();
            eprintln!("{}: {error}", program.display());
        };
        let mut template = builder.functions(|| {}, execute)?;
        let result = template.fork_with(1, &options)?.remove(0).wait()?;
        let report = serde_json::json!({ "report": result.report });
        std::fs::write(self.report, report.to_string())?;
        Ok(result.outcome)
    }
}

fn branch(place: &Path) -> Result<Branch> {
    let base = place.join("workspace");
    std::fs::create_dir_all(&base)?;
    let branch = Workspace::open_in(base, &Storage::At(place.join("branches")))?.branch("escape")?;
    match branch.mode() {
        Mode::Kernel => Ok(branch),
        _ => Err("no overlay here".into()),
    }
}

//! The workloads: what is there before, what is timed, and how a plain directory is made as before.

use super::Scale;

/// Whether a step meets files that the mount has not shown yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    First,
    Again,
}

/// One command that is timed.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) touch: Touch,
    pub(super) command: String,
}

/// Commands of the shell, all of them run in the workload's directory.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// Makes the tree.
    pub(super) setup: String,
    /// Timed one after the other, in one mount.
    pub(super) steps: Vec<Step>,
    /// Takes back what the steps have done to a plain directory.
    pub(super) reset: &'static str,
}

pub(super) fn all(scale: Scale) -> Vec<Workload> {
    vec![
        git(scale.of(100_000)),
        tar(scale.of(20_000)),
        venv(scale.of(40)),
        cargo(match scale {
            Scale::Full => 24,
            Scale::Quick => 6,
        }),
        files(scale.of(20_000)),
    ]
}

/// A first time, and once more.
fn twice(name: &str, first: &str, again: &str) -> Vec<Step> {
    let step = |touch, command: &str| Step {
        name: name.to_owned(),
        touch,
        command: command.to_owned(),
    };
    vec![step(Touch::First, first), step(Touch::Again, again)]
}

fn git(files: usize) -> Workload {
    let status = "git status --porcelain";
    Workload {
        name: "git",
        // Files that are as new as the index would be read again by every `git status`.
        setup: format!(
            "git init -q .
            files fill . {files} 20
            find . -path ./.git -prune -o -type f -exec touch -d 2001-01-01 {{}} +
            git add .
            git -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 commit -q -m files
            git status --porcelain"
        ),
        steps: twice(&format!("git status, {files} files"), status, status),
        reset: "",
    }
}

fn tar(files: usize) -> Workload {
    let entries = files + files.div_ceil(100) + files.div_ceil(10_000) + 1;
    let mut steps = twice(
        &format!("tar x, {entries} entries"),
        "tar xf tree.tar -C one",
        "tar xf tree.tar -C two",
    );
    steps.push(Step {
        name: "rm -rf of what was extracted".to_owned(),
        touch: Touch::Again,
        command: "rm -rf one".to_owned(),
    });
    steps.push(Step {
        name: "rm -rf of as many files of the base".to_owned(),
        touch: Touch::First,
        command: "rm -rf tree".to_owned(),
    });
    Workload {
        name: "tar",
        setup: format!("mkdir one two tree; files fill tree {files} 2000; tar cf tree.tar tree"),
        steps,
        reset: "rm -rf one two; mkdir one two; tar xf tree.tar",
    }
}

/// Pip itself is of the tree, so that no time goes into installing it.
fn venv(packages: usize) -> Workload {
    let script = "set -e
        python3 -m venv --without-pip $1
        tool/bin/python -m pip --python $1/bin/python install -q --no-index --no-cache-dir \\
            --disable-pip-version-check --find-links wheels -r wheels/requirements.txt";
    Workload {
        name: "venv",
        setup: format!(
            "python3 -m venv tool; python3 $TOOLS/wheels.py wheels {packages}; echo '{script}' >install.sh"
        ),
        steps: twice(
            &format!("venv, pip install of {packages} wheels"),
            "sh install.sh one",
            "sh install.sh two",
        ),
        reset: "rm -rf one two",
    }
}

fn cargo(modules: usize) -> Workload {
    Workload {
        name: "cargo",
        setup: format!("sh $TOOLS/crate.sh . {modules}; cargo generate-lockfile --offline"),
        steps: twice(
            &format!("cargo build, {modules} modules"),
            "cargo build --offline",
            "cargo build --offline --target-dir again",
        ),
        reset: "rm -rf target again",
    }
}

fn files(count: usize) -> Workload {
    let churn = format!("files churn work {count}");
    Workload {
        name: "files",
        setup: "mkdir work".to_owned(),
        steps: twice(&format!("create, stat, unlink of {count} files"), &churn, &churn),
        reset: "rm -rf work; mkdir work",
    }
}

//! A workspace, a branch of it, and a template that works on that.

use std::path::{Path, PathBuf};

use sandbox::branch::{Branch, BranchError, Mode, Storage, Workspace};
use sandbox::{
    BranchName, Branches, ChangeKind, ForkError, ForkOptions, OnBranch, Policy, PolicyBuilder, RunResult,
    Sandbox,
};

pub(crate) struct Scene {
    directory: tempfile::TempDir,
    pub(crate) workspace: Workspace,
}

impl Scene {
    /// A workspace with a file `old` in it. `None`, saying why, where there are no views here.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let base = directory.path().join("app");
        std::fs::create_dir(&base).expect("ours");
        std::fs::write(base.join("old"), "from the base\n").expect("ours");
        let storage = Storage::At(directory.path().join("state"));
        let workspace = Workspace::open_in(&base, &storage).expect("a workspace");
        let scene = Self { directory, workspace };
        match scene.branch().mode() {
            Mode::Kernel => match Sandbox::command(&scene.policy(|builder| builder), "true").output() {
                Ok(result) if result.outcome.success() => return Some(scene),
                Ok(result) => skip(name, &format!("no overlay here: {result:?}")),
                Err(error) => skip(name, &format!("no overlay here: {error}")),
            },
            _ => skip(name, "branches are whole copies here"),
        }
        None
    }

    pub(crate) fn base(&self) -> &Path {
        self.workspace.base()
    }

    /// A directory beside the workspace.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.directory.path().canonicalize().expect("ours").join(name);
        std::fs::create_dir_all(&path).expect("ours");
        path
    }

    /// The template's branch.
    pub(crate) fn branch(&self) -> Branch {
        self.workspace.branch("base").expect("a branch")
    }

    pub(crate) fn policy(&self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
        let builder = change(Policy::builder().cwd(self.base()));
        builder
            .on_branch(&self.branch())
            .expect("it is free")
            .build()
            .expect("valid")
    }

    /// A template on the branch.
    pub(crate) fn template(&self, init: impl FnOnce() + Send, work: impl Fn(u32) + Send + Sync) -> Sandbox {
        self.template_under(&self.policy(|builder| builder), init, work)
    }

    pub(crate) fn template_under(
        &self,
        policy: &Policy,
        init: impl FnOnce() + Send,
        work: impl Fn(u32) + Send + Sync,
    ) -> Sandbox {
        let clones = self.branch().for_clones().expect("mode kernel");
        let template = Sandbox::template(policy).branches(clones).functions(init, work);
        template.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn get(&self, name: &BranchName) -> Result<Branch, BranchError> {
        self.workspace.get(name)
    }

    /// What a branch changes, one path a line, with the kind of each change.
    pub(crate) fn changes(&self, name: &BranchName) -> String {
        let changes = self.get(name).expect("there").diff().expect("it is free").changes;
        let kind = |change: &ChangeKind| match change {
            ChangeKind::Added => "added",
            ChangeKind::Modified { .. } => "modified",
            _ => "changed",
        };
        let lines = changes
            .iter()
            .map(|change| format!("{} {}\n", kind(&change.change), change.path));
        lines.collect()
    }

    /// What the base has in it.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.base().join(path)).unwrap_or_default()
    }
}

pub(crate) fn per_clone() -> ForkOptions {
    ForkOptions::default().branches(Branches::PerClone)
}

/// Forks with a branch for each.
pub(crate) fn fork(template: &mut Sandbox, count: u32) -> Vec<Sandbox> {
    template
        .fork_with(count, &per_clone())
        .unwrap_or_else(|error: ForkError| panic!("{error}"))
}

/// Waits for a clone that must succeed; what it has printed.
pub(crate) fn printed(clone: &mut Sandbox) -> String {
    let result: RunResult = clone.wait().expect("it ends");
    let text = [&result.stdout, &result.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat();
    assert!(result.outcome.success(), "{:?}: {text}", result.outcome);
    text
}

/// The skip protocol of docs/CONTRIBUTING.md.
fn skip(name: &str, reason: &str) {
    let is_set = |variable| std::env::var_os(variable).is_some_and(|value| value == "1");
    let allowed = std::env::var("SANDBOX_TEST_ALLOWED_SKIPS").unwrap_or_default();
    let is_allowed = allowed.split(',').any(|known| known.trim() == name);
    assert!(
        !is_set("SANDBOX_TEST_NO_SKIP") || is_allowed,
        "{name} would skip: {reason}"
    );
    println!("SKIP: {name}: {reason}");
}

/// A list of scenarios, each with its own name.
macro_rules! scenarios {
    ($($name:ident)+) => {
        pub(crate) const ALL: &[(&str, fn())] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),+];
    };
}
pub(crate) use scenarios;

/// A scene, or the end of the scenario where there is none.
macro_rules! scene {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
        match crate::scene::Scene::new(name) {
            Some(scene) => scene,
            None => return,
        }
    }};
}
pub(crate) use scene;

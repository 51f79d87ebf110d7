//! kill −9 at every named place, for the first time that it is passed and for later ones.
//!
//! A [`Suite`] is what is the same for all backends that put trees on top of each other: what is beneath, what was changed
//! before, and what is done when the process is killed. The process that is killed is this test's own program, told by its
//! environment to do one thing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::picture::{self, Picture};
use crate::fs::{Context, DynFileSystem, FsResult, ROOT_INO, RenameFlags, SetAttr};
use crate::tree::Tree;

/// `NAME:N`: the process is killed when it passes that place for the Nth time.
const KILL_AT: &str = "SANDBOX_TEST_BACKEND_KILL_AT";
/// What the child is to do: `ACTION PATH`.
const TASK: &str = "SANDBOX_TEST_BACKEND_TASK";

thread_local! {
    /// How often this thread has passed each place.
    static PASSED: RefCell<BTreeMap<&'static str, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// A place is passed, which must be one that is listed.
pub(in crate::backend) fn pass(points: &[&str], name: &'static str) {
    static KILL: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let wanted = std::env::var(KILL_AT).ok()?;
        let (name, count) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    assert!(points.contains(&name), "{name} is not listed");
    PASSED.with_borrow_mut(|passed| *passed.entry(name).or_default() += 1);
    if let Some((wanted, count)) = &*KILL
        && wanted == name
        && COUNT.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
    }
}

/// Something that is done, and is one step for every observer.
pub(in crate::backend) enum Action<F> {
    /// With any filesystem.
    Any(AnyAct),
    /// With this one.
    Own(fn(&F) -> FsResult<()>),
}

impl<F> Clone for Action<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Action<F> {}

impl<F: DynFileSystem> Action<F> {
    fn act(&self, fs: &F) -> FsResult<()> {
        match self {
            Self::Any(act) => act(fs),
            Self::Own(act) => act(fs),
        }
    }
}

type Named<T> = (&'static str, T);
type AnyAct = fn(&dyn DynFileSystem) -> FsResult<()>;

/// What is done with every backend.
const COMMON: [Named<AnyAct>; 18] = [
    ("write", |fs| tree(fs).write("d/a", b"written")),
    ("chmod", |fs| chmod(fs, "d/links/one")),
    ("write-linked", |fs| tree(fs).write("d/links/one", b"written")),
    ("unlink-linked", |fs| tree(fs).remove_file("d/links/two")),
    ("unlink-lower", |fs| tree(fs).remove_file("d/a")),
    ("unlink-both", |fs| tree(fs).remove_file("d/both")),
    ("rmdir-lower", |fs| tree(fs).remove_dir("d/empty")),
    ("rmdir-both", |fs| tree(fs).remove_dir("d/emptied")),
    ("rmdir-moved", |fs| tree(fs).remove_dir("hollow")),
    ("create", |fs| tree(fs).mkdir("d/gone", 0o755)),
    ("rename-file", |fs| tree(fs).rename("d/a", "d/gone")),
    ("rename-over", |fs| tree(fs).rename("d/a", "d/both")),
    ("rename-over-lower", |fs| tree(fs).rename("d/both", "e/f")),
    ("rename-directory", |fs| tree(fs).rename("d", "moved")),
    ("rename-directory-over", |fs| {
        tree(fs).rename("d/sub", "d/emptied")
    }),
    ("rename-directory-over-lower", |fs| {
        tree(fs).rename("d/sub", "d/empty")
    }),
    ("rename-new-directory", |fs| tree(fs).rename("fresh", "d/gone")),
    ("exchange", |fs| {
        let flags = RenameFlags::EXCHANGE;
        let ctx = Context::new(0, 0);
        fs.rename(&ctx, ROOT_INO, "d".as_ref(), ROOT_INO, "e".as_ref(), flags)
    }),
];

/// What a crash has left.
pub(in crate::backend) struct Left<'a> {
    pub(in crate::backend) action: &'a str,
    pub(in crate::backend) found: &'a Picture,
    pub(in crate::backend) before: &'a Picture,
}

/// A filesystem that is killed and opened again. What it needs is in a `W`.
pub(in crate::backend) struct Suite<W, F: 'static> {
    /// The path of a test that calls [`Suite::act`] and does nothing else.
    pub(in crate::backend) child: &'static str,
    /// With nothing in it.
    pub(in crate::backend) world: fn() -> W,
    pub(in crate::backend) place: fn(&W) -> &Path,
    /// The directory that is beneath.
    pub(in crate::backend) base: fn(&Path) -> PathBuf,
    pub(in crate::backend) open: fn(&Path) -> F,
    /// Besides those that are done with every backend; without an effect that can be seen.
    pub(in crate::backend) unseen: &'static [Named<Action<F>>],
    /// For which of the times that a place is passed.
    pub(in crate::backend) times: &'static [usize],
    /// Actions whose names begin so, where the others go as they do elsewhere.
    pub(in crate::backend) only: &'static [&'static str],
    /// Whether it may leave what is neither as before nor as after.
    pub(in crate::backend) allows: fn(&Left<'_>) -> bool,
}

impl<W, F: DynFileSystem + 'static> Suite<W, F> {
    /// What the child does. Nothing where it is not told what to do.
    pub(in crate::backend) fn act(&self) {
        let Ok(task) = std::env::var(TASK) else { return };
        let (wanted, place) = task.split_once(' ').unwrap();
        let (_, action) = self
            .actions()
            .into_iter()
            .find(|(name, _)| *name == wanted)
            .unwrap();
        action.act(&(self.open)(Path::new(place))).unwrap();
    }

    /// The tree is as before or as after, nothing that was deleted is back, nothing is half there, what is beneath was not
    /// touched, and what was interrupted can be done.
    pub(in crate::backend) fn check_all(&self) {
        let is_wanted = |name: &str| self.only.iter().any(|wanted| name.starts_with(wanted));
        for (name, action) in self.actions() {
            if self.only.is_empty() || is_wanted(name) {
                self.check(name, action);
            }
        }
    }

    /// All places that are passed.
    pub(in crate::backend) fn passed(&self) -> BTreeSet<&'static str> {
        let actions = self.actions().into_iter();
        actions
            .flat_map(|(_, action)| self.act_on(&self.scene(), action).into_keys())
            .collect()
    }

    fn actions(&self) -> Vec<Named<Action<F>>> {
        let common = COMMON.map(|(name, act)| (name, Action::Any(act)));
        common.into_iter().chain(self.unseen.iter().copied()).collect()
    }

    fn check(&self, name: &'static str, action: Action<F>) {
        let world = self.scene();
        let before = self.shown(&world);
        let passed = self.act_on(&world, action);
        let after = self.shown(&world);
        let is_seen = !(name == "chmod" || self.unseen.iter().any(|(unseen, _)| *unseen == name));
        assert!(!is_seen || before != after, "{name} does something");
        for (&point, &count) in &passed {
            for time in self.times.iter().copied().filter(|time| *time <= count) {
                let world = self.scene();
                let beneath = self.beneath(&world);
                self.kill(name, &world, point, time);
                let what = format!("{name}, killed at {point:?} ({time})");
                let found = self.shown(&world);
                let left = Left {
                    action: name,
                    found: &found,
                    before: &before,
                };
                assert!(
                    found == before || found == after || is_half_written(&left) || (self.allows)(&left),
                    "{what}: neither as before nor as after: {found:#?}"
                );
                if found == before || is_half_written(&left) {
                    action
                        .act(&self.open(&world))
                        .unwrap_or_else(|error| panic!("{what}: cannot be done again: {error:?}"));
                    assert_eq!(self.shown(&world), after, "{what}, done again");
                }
                picture::assert_same(&beneath, &self.beneath(&world), &what);
            }
        }
    }

    /// A file that has several names beneath is still one file by all that are left when others go, whenever it was that the
    /// process was killed while the first of them was copied.
    pub(in crate::backend) fn check_names(&self) {
        let wanted = ["write-linked", "chmod", "unlink-linked"];
        let actions = self.actions().into_iter();
        for (name, action) in actions.filter(|(name, _)| wanted.contains(name)) {
            let passed = self.act_on(&self.scene(), action);
            for point in passed.into_keys() {
                let world = self.scene();
                self.kill(name, &world, point, 1);
                let what = format!("{name}, killed at {point:?}");
                let fs = self.open(&world);
                tree(&fs).write("d/links/one", b"later").unwrap();
                drop(fs);
                for gone in ["d/links/two", "d/links/one"] {
                    let fs = self.open(&world);
                    let removed = tree(&fs).remove_file(gone);
                    assert!(removed.is_ok() || name == "unlink-linked", "{what}: {removed:?}");
                    let left = tree(&fs).read("d/sub/last").unwrap();
                    assert_eq!(left, b"later", "{what}: after {gone} has gone");
                }
            }
        }
    }

    /// Something beneath, and something that was changed already.
    fn scene(&self) -> W {
        let world = (self.world)();
        let base = (self.base)((self.place)(&world));
        for directory in ["d/sub/deep", "d/links", "d/empty", "d/emptied", "e", "w"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        for file in [
            "d/a",
            "d/both",
            "d/gone",
            "d/sub/deep/c",
            "d/emptied/x",
            "e/f",
            "w/x",
        ] {
            fs::write(base.join(file), format!("lower {file}")).unwrap();
        }
        fs::write(base.join("d/links/one"), "linked").unwrap();
        fs::hard_link(base.join("d/links/one"), base.join("d/links/two")).unwrap();
        fs::hard_link(base.join("d/links/one"), base.join("d/sub/last")).unwrap();
        fs::write(base.join("d/links/three"), "linked").unwrap();
        fs::hard_link(base.join("d/links/three"), base.join("d/sub/four")).unwrap();
        let fs = self.open(&world);
        let tree = tree(&fs);
        tree.write("d/both", b"upper").unwrap();
        tree.remove_file("d/gone").unwrap();
        tree.mkdir("fresh", 0o755).unwrap();
        tree.write("fresh/g", b"upper").unwrap();
        tree.remove_file("d/emptied/x").unwrap();
        tree.write("d/links/three", b"upper").unwrap();
        tree.remove_file("w/x").unwrap();
        tree.rename("w", "hollow").unwrap();
        drop(fs);
        world
    }

    /// Which places are passed, and how often.
    fn act_on(&self, world: &W, action: Action<F>) -> BTreeMap<&'static str, usize> {
        let fs = self.open(world);
        PASSED.with_borrow_mut(BTreeMap::clear);
        action.act(&fs).unwrap();
        PASSED.with_borrow(Clone::clone)
    }

    fn beneath(&self, world: &W) -> Picture {
        picture::picture(&(self.base)((self.place)(world)))
    }

    fn open(&self, world: &W) -> F {
        (self.open)((self.place)(world))
    }

    /// What is seen, without times: a file that is being written has another one.
    fn shown(&self, world: &W) -> Picture {
        let mut picture = picture::of_backend(&self.open(world), "");
        picture::without_times(&mut picture);
        picture
    }

    fn kill(&self, action: &str, world: &W, point: &str, time: usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([self.child, "--exact", "--test-threads=1"]);
        command.env(TASK, format!("{action} {}", (self.place)(world).display()));
        command.env(KILL_AT, format!("{point}:{time}"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            output.status.signal(),
            Some(9),
            "{action} at {point} ({time}): {said}"
        );
    }
}

fn tree(fs: &dyn DynFileSystem) -> Tree<'_> {
    Tree::new(fs, Context::new(0, 0))
}

fn chmod(fs: &dyn DynFileSystem, path: &str) -> FsResult<()> {
    let change = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    tree(fs).set_attr(path, &change).map(drop)
}

/// Writing truncates before it writes, which a crash can come between: as on any filesystem.
fn is_half_written(left: &Left<'_>) -> bool {
    let names: &[&str] = match left.action {
        "write" => &["d/a"],
        "write-linked" => &["d/links/one", "d/links/two", "d/sub/last"],
        _ => return false,
    };
    let mut otherwise = left.found.clone();
    names.iter().all(|name| {
        let is_empty = picture::content(left.found, name).is_some_and(<[u8]>::is_empty);
        let before = picture::content(left.before, name).unwrap_or_default();
        picture::set_content(&mut otherwise, name, before);
        is_empty
    }) && otherwise == *left.before
}

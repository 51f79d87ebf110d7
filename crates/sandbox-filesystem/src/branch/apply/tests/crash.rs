//! kill −9 at every named point and at random instants, of commit, undo and recovery; then recovery in either
//! direction leaves exactly the one state or the other.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::super::remove::remove_tree;
use super::super::super::testing::{Picture, assert_same, picture};
use super::super::crash::{self, POINTS};
use super::super::*;
use super::scene::{Kept, Scene, edit, furnish, without_times};

/// What the child is to do, as a variable of its environment: `ACTION PATH`.
const TASK: &str = "SANDBOX_TEST_CRASH_TASK";
const BEGUN: &[u8] = b"<begun>";

/// What a killed child was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Commit,
    Undo,
    Finish,
    RollBack,
}

impl Action {
    const ALL: [Self; 4] = [Self::Commit, Self::Undo, Self::Finish, Self::RollBack];

    fn of(direction: Direction) -> Self {
        match direction {
            Direction::Finish => Self::Finish,
            Direction::RollBack => Self::RollBack,
        }
    }
}

/// Is no test of its own: what is killed. Does nothing where it is not told what to do.
#[test]
fn a_child_that_will_be_killed() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (action, commit) = task.split_once(' ').unwrap();
    let commit = Path::new(commit);
    let action = Action::ALL
        .into_iter()
        .find(|known| format!("{known:?}") == action)
        .unwrap();
    let plan = (action == Action::Commit).then(|| {
        let (base, steps) =
            serde_json::from_slice(&fs::read(commit.with_extension("plan")).unwrap()).unwrap();
        let notes = Vec::new();
        ApplyPlan { base, steps, notes }
    });
    println!("{}", String::from_utf8_lossy(BEGUN));
    let mut quiet = |_| {};
    let done = match action {
        Action::Commit => apply(&plan.unwrap(), commit, &mut quiet),
        Action::Undo => undo(commit, &mut quiet),
        Action::Finish => recover(commit, Direction::Finish, &mut quiet),
        Action::RollBack => recover(commit, Direction::RollBack, &mut quiet),
    };
    done.unwrap();
}

fn child(action: Action, commit: &Path) -> Command {
    let name = "branch::apply::tests::crash::a_child_that_will_be_killed";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(TASK, format!("{action:?} {}", commit.to_str().unwrap()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Whether the child was killed; else it must have done what it should.
fn was_killed(child: Child) -> bool {
    let output = child.wait_with_output().unwrap();
    let was_killed = output.status.signal() == Some(9);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(was_killed || output.status.success(), "{said}");
    was_killed
}

/// Runs to the named point; false where it is not passed that often.
fn run_to(action: Action, commit: &Path, point: &str, count: usize) -> bool {
    let mut child = child(action, commit);
    was_killed(
        child
            .env(crash::KILL_AT, format!("{point}:{count}"))
            .spawn()
            .unwrap(),
    )
}

/// From when on a child's time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    Begin,
    /// The base is about to be changed.
    Change,
}

/// Runs and kills after `delay`; how long it ran, if it ended before that.
fn run_for(action: Action, commit: &Path, from: From, delay: Duration) -> Option<Duration> {
    let mut command = child(action, commit);
    if from == From::Change {
        command.env(crash::SAY_AT, "opened");
    }
    let mut child = command.spawn().unwrap();
    if !await_word(&mut child, if from == From::Begin { BEGUN } else { b"<opened>" }) {
        return (!was_killed(child)).then_some(Duration::ZERO);
    }
    let begun = Instant::now();
    while begun.elapsed() < delay {
        if delay.saturating_sub(begun.elapsed()) > Duration::from_millis(1) {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    (!was_killed(child)).then(|| begun.elapsed())
}

/// Waits until the child says a word; false where it ends without it.
fn await_word(child: &mut Child, word: &[u8]) -> bool {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    let out = child.stdout.as_mut().unwrap();
    while !seen.ends_with(word) {
        if out.read(&mut byte).unwrap() == 0 {
            return false;
        }
        seen.push(byte[0]);
    }
    true
}

/// A base that goes to and fro between two states.
struct Crashes {
    scene: Scene,
    before: Picture,
    /// Without times of directories: each commit makes new ones.
    after: Picture,
    /// With them, once there is a commit.
    exact: Option<Picture>,
    commit: PathBuf,
}

impl Crashes {
    fn new(base: &Path, store: &Path) -> Self {
        let scene = Scene::new_in(base, store);
        furnish(&scene.base);
        for number in 0..20 {
            fs::write(scene.base.join(format!("src/deep/{number}")), format!("{number}")).unwrap();
        }
        scene.branch();
        edit(&scene.tree);
        for number in 0..40 {
            fs::write(scene.tree.join(format!("src/{number}")), vec![number; 5000]).unwrap();
        }
        Self {
            before: picture(&scene.base),
            after: without_times(picture(&scene.tree)),
            exact: None,
            commit: PathBuf::new(),
            scene,
        }
    }

    /// Readies the next commit, if the base is in its first state.
    fn next(&mut self) -> Action {
        if self.exact.is_some() {
            return Action::Undo;
        }
        if self.commit.as_os_str() != "" {
            remove_tree(&self.commit).unwrap();
        }
        self.commit = self.scene.commit_dir();
        let plan = self.scene.plan(Kept::Copy);
        let plan = serde_json::to_vec(&(plan.base, plan.steps)).unwrap();
        fs::write(self.commit.with_extension("plan"), plan).unwrap();
        Action::Commit
    }

    /// Recovers and looks whether the base is in exactly one of its states, the one that was asked for.
    fn recover(&mut self, action: Action, direction: Direction, what: &str) {
        let was = status(&self.commit).unwrap();
        let what = format!("{what}, {action:?} was {was:?}, then {direction:?}");
        let applied = match recover(&self.commit, direction, &mut |_| {}) {
            Err(ApplyError::Status {
                status: CommitStatus::Empty,
                ..
            }) => recover(&self.commit, Direction::RollBack, &mut |_| {}).unwrap(),
            applied => applied.unwrap_or_else(|error| panic!("{what}: {error}")),
        };
        assert_eq!(status(&self.commit).unwrap(), applied.status, "{what}");
        let expected = match (was, direction) {
            (CommitStatus::Empty | CommitStatus::RolledBack, _)
            | (CommitStatus::Prepared | CommitStatus::Applying, Direction::RollBack) => {
                CommitStatus::RolledBack
            }
            (CommitStatus::Prepared | CommitStatus::Applying, Direction::Finish)
            | (CommitStatus::Undoing, Direction::RollBack) => CommitStatus::Done,
            (CommitStatus::Undoing, Direction::Finish) => CommitStatus::Undone,
            (ended, _) => ended,
        };
        assert_eq!(applied.status, expected, "{what}");
        let now = picture(&self.scene.base);
        if expected == CommitStatus::Done {
            assert_same(&without_times(now.clone()), &self.after, &what);
            if let Some(exact) = &self.exact {
                assert_same(&now, exact, &what);
            }
            self.exact = Some(now);
        } else {
            assert_same(&now, &self.before, &what);
            self.exact = None;
        }
        let is_clean = fs::read_dir(&self.commit).unwrap().all(|entry| {
            let name = entry.unwrap().file_name();
            expected == CommitStatus::Done || (name != "slots" && name != "saved")
        });
        assert!(is_clean, "{what}: something was left behind");
    }

    /// Kills a commit, an undo and a recovery at the named point when it is passed for the `count`th time; false
    /// where none of them does that.
    fn at(&mut self, point: &str, count: usize, direction: Direction) -> bool {
        let what = format!("killed at {point} number {count}");
        self.reset();
        let action = self.next();
        let mut was_passed = run_to(action, &self.commit, point, count);
        self.recover(action, direction, &what);
        self.commit();
        was_passed |= run_to(Action::Undo, &self.commit, point, count);
        self.recover(Action::Undo, direction, &what);
        self.reset();
        let action = self.next();
        assert!(run_to(action, &self.commit, "step done", 10));
        let action = Action::of(direction);
        was_passed |= run_to(action, &self.commit, point, count);
        self.recover(action, direction, &what);
        was_passed
    }

    /// Takes the base to its first state again.
    fn reset(&mut self) {
        if self.exact.take().is_some() {
            undo(&self.commit, &mut |_| {}).unwrap();
            assert_same(&picture(&self.scene.base), &self.before, "reset");
        }
    }

    /// Takes the base to its second state.
    fn commit(&mut self) {
        if self.next() == Action::Commit {
            let plan = self.scene.plan(Kept::Copy);
            apply(&plan, &self.commit, &mut |_| {}).unwrap();
            self.exact = Some(picture(&self.scene.base));
        }
    }
}

/// Base and store on one file system, and on two.
fn places() -> Vec<(PathBuf, PathBuf)> {
    let (disk, memory) = (std::env::temp_dir(), PathBuf::from("/dev/shm"));
    if tempfile::tempdir_in(&memory).is_err() {
        return vec![(disk.clone(), disk)];
    }
    vec![
        (memory.clone(), memory.clone()),
        (disk.clone(), memory),
        (disk.clone(), disk),
    ]
}

#[test]
fn killed_at_any_named_point_a_commit_an_undo_and_a_recovery_go_either_way() {
    let mut never_passed: Vec<_> = POINTS.to_vec();
    for (base, store) in places().iter().take(2) {
        let mut crashes = Crashes::new(base, store);
        for point in POINTS {
            for count in [1, 2, 20] {
                let directions = [Direction::Finish, Direction::RollBack];
                let passed = directions.map(|direction| crashes.at(point, count, direction));
                if !passed.contains(&true) {
                    break;
                }
                never_passed.retain(|never| never != point);
            }
        }
    }
    assert!(never_passed.is_empty(), "never passed: {never_passed:?}");
}

/// A small generator of numbers; its seed is constant, but when a process is killed depends on the machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    fn direction(&mut self) -> Direction {
        if self.below(2) == 0 {
            Direction::Finish
        } else {
            Direction::RollBack
        }
    }
}

#[test]
fn killed_500_times_at_random_a_commit_and_an_undo_are_never_half() {
    let places = places();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut seen = std::collections::BTreeMap::new();
    for (base, store) in &places {
        let mut crashes = Crashes::new(base, store);
        // How long it takes when nobody kills it, as it turns out, in microseconds.
        let mut durations = std::collections::BTreeMap::new();
        for _ in 0..500_usize.div_ceil(places.len()) {
            let mut action = crashes.next();
            let what = "killed at random";
            let from = if random.below(2) == 0 {
                From::Begin
            } else {
                From::Change
            };
            let duration = durations.entry(from).or_insert(10_000);
            let delay = random.below(*duration * 5 / 4);
            match run_for(action, &crashes.commit, from, Duration::from_micros(delay)) {
                Some(ran) => *duration = duration.midpoint(u64::try_from(ran.as_micros()).unwrap()) + 1,
                None if delay > *duration => *duration = *duration * 9 / 8,
                None => {}
            }
            let duration = *duration;
            *seen
                .entry(format!("{:?}", status(&crashes.commit).unwrap()))
                .or_insert(0) += 1;
            let direction = random.direction();
            // The recovery is killed as well, once in a while more than once, and may turn around.
            while random.below(4) == 0 && status(&crashes.commit).unwrap() != CommitStatus::Empty {
                action = Action::of(direction);
                let delay = Duration::from_micros(random.below(duration));
                run_for(action, &crashes.commit, From::Begin, delay);
            }
            crashes.recover(action, direction, what);
        }
        crashes.reset();
    }
    println!("states in which it was killed: {seen:?}");
}

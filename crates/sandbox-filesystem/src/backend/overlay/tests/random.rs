//! Random sequences of operations: on an overlay whose layers hold what earlier ones have left, each answer is that of a
//! plain directory; the kernel's overlayfs shows what was left in the end, and the other way round.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::conforms::is_explained;
use super::{World, kernel};
use crate::backend::overlay::{LayerFormat, OverlayFs};
use crate::backend::testing::picture::{self, picture};
use crate::conformance::{Backend, Host, Op, Subject, compare, process_umask, random_steps};
use crate::fs::{Capabilities, Context, DynFileSystem, ROOT_INO};

/// How many operations of a sequence happen in each layer, as bytes they are made of.
const BYTES: usize = 400;

/// How many sequences, unless a variable says so: the documented figures are of many more.
pub(super) fn sequences() -> u64 {
    let wanted = std::env::var("SANDBOX_TEST_OVERLAY_SEQUENCES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(60)
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(BYTES)
    .collect()
}

/// Nobody can leave a whiteout here, and locks are the kernel's: see `DynFileSystem::init` of overlays.
pub(super) fn steps(seed: u64) -> Vec<Op> {
    let mut steps = random_steps(&noise(seed));
    steps.retain(|step| match step {
        Op::Rename(_, _, flags) => !flags.whiteout,
        Op::Lock(..) | Op::GetLock(..) | Op::Flock(..) => false,
        _ => true,
    });
    steps
}

fn on_backend(fs: &dyn DynFileSystem, oracle: &Path, steps: &[Op]) -> Vec<String> {
    let root = fs
        .lookup(&Context::new(0, 0), ROOT_INO, OsStr::new("d"))
        .unwrap()
        .ino;
    let mut backend = Backend::beneath(fs, Capabilities::all(), root, process_umask());
    let mut host = Host::new(oracle);
    let differences = compare("random", steps, &mut host, &mut backend);
    drop(backend);
    fs.forget(root, 1);
    differences
        .iter()
        .filter(|difference| !is_explained(difference))
        .map(ToString::to_string)
        .collect()
}

/// Whether files of the bottom layer have several names. Those stay together where they are copied up; which ones they
/// are is known to others once they are settled, and how many of them went without that, to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Yes,
    No,
}

/// A directory that everything happens in, on the oracle and in layers.
pub(super) struct Scene {
    pub(super) world: World,
    oracle: PathBuf,
}

impl Scene {
    /// What the first sequence does is in the bottom layer.
    pub(super) fn new(seed: u64, links: Links) -> Self {
        let world = World::new(1);
        let oracle = world.path("oracle");
        let makes_link = |step: &Op| matches!(step, Op::Link(..) | Op::LinkHandle(..));
        for place in [&oracle, &world.lower(0).join("d")] {
            fs::create_dir(place).unwrap();
            let mut host = Host::new(place);
            for step in steps(seed) {
                if links == Links::Yes || !makes_link(&step) {
                    drop(host.apply(&step));
                }
            }
        }
        Self { world, oracle }
    }

    /// On top of what was left so far, with an upper of this name.
    pub(super) fn mount(&self, below: &[&str], upper: &str) -> OverlayFs {
        let work = self.world.path(&format!("{upper}-work"));
        let upper = self.world.path(upper);
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(&upper).unwrap();
        let mut builder = self.world.layers();
        for layer in below {
            builder = builder.layer_in(self.world.path(layer), LayerFormat::Overlay);
        }
        let builder = builder.writable(upper).staging(work);
        let fs = builder
            .durability(crate::backend::overlay::Durability::Volatile)
            .build()
            .unwrap();
        fs.init(Capabilities::all()).unwrap();
        fs
    }

    /// Lets an upper stand for itself, by an overlay that has not written it.
    fn settle(&self, upper: &str) {
        let below: &[&str] = if upper == "top" { &["middle"] } else { &[] };
        self.mount(below, upper).settle_names().unwrap();
        let index = self.world.path(&format!("{upper}-work/sandbox/index"));
        assert_eq!(fs::read_dir(index).unwrap().count(), 0, "{upper}");
    }
}

fn check_above(links: Links, uppers: &[(&[&str], &str)]) {
    let mut operations = 0;
    for seed in 1..=sequences() {
        let scene = Scene::new(seed, links);
        for (below, upper) in uppers {
            for part in 1..=2 {
                // Each part begins with a restart.
                let fs = scene.mount(below, upper);
                let steps = steps(seed * 100 + part + 10 * below.len() as u64);
                let differences = on_backend(&fs, &scene.oracle, &steps);
                operations += steps.len();
                let all = differences.join("\n");
                assert!(
                    differences.is_empty(),
                    "seed {seed}, {upper}, part {part}:\n{all}"
                );
                let stage = scene.world.path(&format!("{upper}-work/sandbox/stage"));
                let left = fs::read_dir(stage).unwrap().count();
                assert!(left <= 1, "seed {seed}: {left} things stay in staging");
            }
            let fs = scene.mount(below, upper);
            let shown = picture::of_backend(&fs, "d");
            let what = format!("seed {seed}, {upper}, after a restart");
            picture::assert_same(&picture(&scene.oracle), &shown, &what);
        }
    }
    println!("{operations} operations without a difference");
}

#[test]
fn random_operations_above_a_layer_are_answered_as_in_a_plain_directory() {
    check_above(Links::Yes, &[(&[], "upper")]);
}

#[test]
fn random_operations_above_several_layers_are_answered_as_in_a_plain_directory() {
    check_above(Links::No, &[(&[], "middle"), (&["middle"], "top")]);
}

#[test]
fn the_kernels_overlayfs_shows_what_was_written_here() {
    for seed in 1..=sequences() {
        let scene = Scene::new(seed, Links::Yes);
        let lower = scene.world.lower(0);
        let fs = scene.mount(&[], "upper");
        let steps = steps(seed + 7000);
        on_backend(&fs, &scene.oracle, &steps);
        let here = picture::of_backend(&fs, "d");
        drop(fs);
        scene.settle("upper");
        let Some(mount) = kernel::mount(&[&lower], &scene.world.upper(), &scene.world.path("upper-work"))
        else {
            return;
        };
        let there = picture(&mount.path().join("d"));
        picture::assert_same(&there, &here, &format!("seed {seed}"));
    }
}

#[test]
fn what_was_settled_shows_in_the_layers_above_it() {
    for seed in 1..=sequences() {
        let scene = Scene::new(seed, Links::Yes);
        for (part, (below, upper)) in [(&[][..], "middle"), (&["middle"][..], "top")]
            .into_iter()
            .enumerate()
        {
            let fs = scene.mount(below, upper);
            on_backend(&fs, &scene.oracle, &steps(seed * 100 + 50 + part as u64));
            drop(fs);
            scene.settle(upper);
        }
        let shown = picture::of_backend(&scene.mount(&["middle", "top"], "above"), "d");
        let what = format!("seed {seed}, after a restart");
        picture::assert_same(&picture(&scene.oracle), &shown, &what);
    }
}

#[test]
fn what_the_kernels_overlayfs_has_written_shows_here() {
    for seed in 1..=sequences() {
        let scene = Scene::new(seed, Links::No);
        let lower = scene.world.lower(0);
        let (upper, work) = (scene.world.upper(), scene.world.path("upper-work"));
        fs::create_dir_all(&work).unwrap();
        let there = {
            let Some(mount) = kernel::mount(&[&lower], &upper, &work) else {
                return;
            };
            let mut host = Host::new(&mount.path().join("d"));
            for step in steps(seed + 9000) {
                drop(host.apply(&step));
            }
            drop(host);
            picture(&mount.path().join("d"))
        };
        kernel::settle(&work);
        let fs = scene.mount(&[], "upper");
        picture::assert_same(&there, &picture::of_backend(&fs, "d"), &format!("seed {seed}"));
    }
}

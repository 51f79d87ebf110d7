//! Policies and hooks that answer whatever comes to their mind: nothing is lost, mixed up or kept by that.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::watched::{Lacks, Watched};
use super::{Fs, ctx, dual, mem, tree};
use crate::backend::DualFs;
use crate::backend::dual::{Changes, DispatchPolicy, Durability, Hook, Partial, Plan, Request, View};
use crate::backend::testing::picture;
use crate::conformance::{Backend, NodeKind, Op, Subject, process_umask, random_steps};
use crate::fs::{Capabilities, DynFileSystem, Errno, FsResult, ROOT_INO};

const SEQUENCES: u64 = 60;
const BYTES: usize = 700;

/// Numbers that are the same in every run.
struct Dice(AtomicU64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn throw(&self, sides: u64) -> u64 {
        let next = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(next(state)));
        (before.unwrap() >> 33) % sides
    }
}

impl DispatchPolicy for Dice {
    fn plan(&self, _request: &Request<'_>) -> Plan {
        let views = [
            View::BackendAOnly,
            View::BackendBOnly,
            View::BackendAFirst,
            View::BackendBFirst,
        ];
        Plan {
            view: views[usize::try_from(self.throw(4)).unwrap()],
            changes: match self.throw(6) {
                0 => Changes::Refused(Errno::ESTALE),
                _ => Changes::ToBackendA,
            },
            partial: match self.throw(2) {
                0 => Partial::Refused,
                _ => Partial::Listed,
            },
        }
    }
}

impl Hook for Dice {
    fn before_plan(&self, _request: &Request<'_>) -> FsResult<()> {
        match self.throw(20) {
            0 => Err(Errno::ENOENT),
            _ => Ok(()),
        }
    }

    fn before_dispatch(&self, _request: &Request<'_>, _plan: &Plan) -> FsResult<()> {
        match self.throw(20) {
            0 => Err(Errno::EEXIST),
            _ => Ok(()),
        }
    }
}

fn steps(seed: u64) -> Vec<Op> {
    let dice = Dice::new(seed);
    let bytes: Vec<u8> = (0..BYTES)
        .map(|_| u8::try_from(dice.throw(256)).unwrap())
        .collect();
    let mut steps = random_steps(&bytes);
    steps.retain(|step| !matches!(step, Op::Mknod(_, NodeKind::Whiteout, _)));
    steps.retain(|step| !matches!(step, Op::Rename(_, _, flags) if flags.whiteout));
    steps
}

/// Whether it is denied, and why, is the dice's affair.
fn go_on(fs: &dyn DynFileSystem, steps: &[Op]) {
    let found = (0..1000).find_map(|_| {
        let found = fs.lookup(&ctx(), ROOT_INO, OsStr::new("d")).ok()?;
        (found.ino != 0).then_some(found.ino)
    });
    let root = found.unwrap();
    let mut backend = Backend::beneath(fs, Capabilities::all(), root, process_umask());
    for step in steps {
        drop(backend.apply(step));
    }
    drop(backend);
    fs.forget(root, 1);
}

#[test]
fn whatever_policies_and_hooks_answer_b_stays_and_all_that_is_seen_can_be_read() {
    for seed in 0..SEQUENCES {
        let a = Arc::new(Watched::new(mem(), Lacks::default()));
        let b = Arc::new(Watched::new(mem(), Lacks::default()));
        tree(&*b.inner).mkdir("d", 0o755).unwrap();
        go_on(&*b.inner, &steps(seed));
        let before = picture::of_backend(&*b.inner, "");
        let (above, beneath): (Fs, Fs) = (a.clone(), b.clone());
        let fs = DualFs::builder()
            .backend_a(Arc::clone(&above))
            .backend_b(Arc::clone(&beneath))
            .durability(Durability::Volatile)
            .policy(Dice::new(seed + 1000))
            .hook(Dice::new(seed + 2000))
            .build()
            .unwrap();
        go_on(&fs, &steps(seed + 500));
        fs.destroy();
        drop(fs);
        assert_eq!((a.held(), b.held()), ((0, 0), (0, 0)), "{seed}");
        assert_eq!(picture::of_backend(&*b.inner, ""), before, "{seed}: B");
        // Whoever looks without whims finds nothing that cannot be read, or is listed as something else.
        let seen = picture::of_backend(&dual(&above, &beneath), "");
        assert!(!seen.is_empty(), "{seed}");
    }
}

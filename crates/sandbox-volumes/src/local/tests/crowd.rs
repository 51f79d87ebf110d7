//! Many processes at once, some of them killed at random: the catalog and the directories agree all the same.
//!
//! `SANDBOX_TEST_VOLUMES_CROWD=64x200` is the full size: 64 processes, 200 operations each.

use std::path::Path;
use std::sync::Arc;

use sandbox_types::{Access, SizeExt};

use super::child::{child, task, was_killed};
use super::place::{Place, assert_sound, name, open, run};
use crate::backend::{Backend, CloneSource, Resize, Snapshots};
use crate::copy::Progress;
use crate::error::VolumeError;
use crate::lease::{Attach, Holder, Lease};
use crate::record::VolumeFilter;
use crate::volume::Volume;

const CHILD: &str = "local::tests::crowd::one_of_many";
const SIZE: &str = "SANDBOX_TEST_VOLUMES_CROWD";
/// So many names, so that they meet often.
const NAMES: u64 = 24;

/// A generator of numbers that are random enough (xorshift64*), the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// Is no test of its own: one of those that are let loose. Does nothing where it is not told to.
#[test]
fn one_of_many() {
    let Some((action, home)) = task() else { return };
    let (seed, count) = action.split_once('/').unwrap();
    run(work(home.as_ref(), seed.parse().unwrap(), count.parse().unwrap()));
}

async fn work(home: &Path, seed: u64, count: usize) {
    let backend: Arc<dyn Backend> = Arc::new(open(home).await);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut leases: Vec<Lease> = Vec::new();
    for _ in 0..count {
        if let Err(error) = step(&backend, &mut dice, &mut leases).await {
            assert!(is_expected(&error), "{error:?}");
        }
    }
    for lease in leases {
        lease.detach().await.unwrap();
    }
}

async fn step(
    backend: &Arc<dyn Backend>,
    dice: &mut Dice,
    leases: &mut Vec<Lease>,
) -> Result<(), VolumeError> {
    let [one, other] = [dice.roll(NAMES), dice.roll(NAMES)].map(|number| name(&format!("v{number}")));
    let quiet = Progress::none();
    match dice.roll(16) {
        0..4 => {
            let builder = Volume::builder(one.as_str()).label("k", dice.roll(3).to_string());
            builder.create_on(Arc::clone(backend)).await.map(drop)
        }
        4..6 => backend.remove(&one, Snapshots::Remove).await,
        6 => backend.rename(&one, &other).await.map(drop),
        7 => backend.snapshot(&one, &name("s"), &quiet).await.map(drop),
        8 => backend.restore(&one, &name("s"), &quiet).await,
        9 => {
            let source = CloneSource {
                volume: &one,
                snapshot: None,
            };
            backend.clone_volume(source, &other, &[], &quiet).await.map(drop)
        }
        10..12 => {
            let access = if dice.roll(3) == 0 {
                Access::Write
            } else {
                Access::Read
            };
            let wanted = Attach {
                volume: one,
                access,
                at: "/data".into(),
            };
            leases.push(backend.attach(&[wanted], &Holder::default()).await?);
            Ok(())
        }
        12 => match leases.pop() {
            Some(lease) => lease.detach().await,
            None => Ok(()),
        },
        13 => {
            let quota = sandbox_types::Quota {
                bytes: Some(64.mib()),
                inodes: None,
            };
            backend.resize(&one, Resize::Quota(quota)).await.map(drop)
        }
        14 => backend.list(&VolumeFilter::all()).await.map(drop),
        _ => {
            let volume = Volume::get_on(Arc::clone(backend), one.as_str()).await?;
            // It may be gone at any moment: nobody has it attached.
            volume.fs()?.write("file", one.as_str()).ok();
            Ok(())
        }
    }
}

/// What can happen where others are at the same names.
fn is_expected(error: &VolumeError) -> bool {
    match error {
        VolumeError::NotFound { .. }
        | VolumeError::AlreadyExists { .. }
        | VolumeError::NoSnapshot { .. }
        | VolumeError::SnapshotExists { .. }
        | VolumeError::InUse { .. }
        | VolumeError::Missing { .. } => true,
        // A file that comes or goes while its volume is copied or counted.
        VolumeError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn size() -> (u64, usize) {
    let Ok(size) = std::env::var(SIZE) else {
        return (8, 25);
    };
    let (processes, operations) = size.split_once('x').unwrap();
    (processes.parse().unwrap(), operations.parse().unwrap())
}

#[test]
fn a_crowd_some_of_whom_are_killed_leaves_catalog_and_directories_in_agreement() {
    let place = Place::new();
    let (processes, operations) = size();
    let mut crowd: Vec<_> = (0..processes)
        .map(|seed| {
            let action = format!("{}/{operations}", seed + 1);
            child(CHILD, &action, &place.home()).spawn().unwrap()
        })
        .collect();
    // Half of them are killed, at moments that no two runs share.
    let mut dice = Dice(u64::from(std::process::id()) | 1);
    for (index, one) in crowd.iter_mut().enumerate() {
        if index % 2 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(dice.roll(120)));
            one.kill().unwrap();
        }
    }
    let killed = crowd.into_iter().map(was_killed).filter(|killed| *killed).count();
    run(async {
        assert_sound(&place.home()).await;
        let backend = place.backend().await;
        for record in backend.list(&VolumeFilter::all()).await.unwrap() {
            assert_eq!(
                backend.holders(&record.name).await.unwrap(),
                [],
                "{}",
                record.name
            );
        }
    });
    println!("{killed} of {processes} were killed");
}

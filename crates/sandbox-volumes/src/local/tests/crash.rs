//! kill −9 at every named point of every change: what is there afterwards is the old state or the new one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sandbox_types::Access;

use super::child::{child, task, was_killed};
use super::place::{Place, assert_sound, name, open, run, volume};
use crate::backend::{Backend, CloneSource, Snapshots};
use crate::copy::Progress;
use crate::crash::{KILL_AT, POINTS};
use crate::lease::{Attach, Holder};
use crate::record::VolumeFilter;
use crate::volume::Volume;

const CHILD: &str = "local::tests::crash::a_child_that_will_be_killed";
const ACTIONS: &[&str] = &[
    "create", "clone", "remove", "rename", "resize", "snapshot", "drop", "restore", "attach", "import",
];

/// Is no test of its own: what is killed. Does nothing where it is not told what to do.
#[test]
fn a_child_that_will_be_killed() {
    let Some((action, home)) = task() else { return };
    run(async {
        let backend: Arc<dyn Backend> = Arc::new(open(home.as_ref()).await);
        act(&backend, &action, home.as_ref()).await;
    });
}

async fn act(backend: &Arc<dyn Backend>, action: &str, home: &Path) {
    let (data, quiet) = (name("data"), Progress::none());
    let source = CloneSource {
        volume: &data,
        snapshot: None,
    };
    match action {
        "create" => drop(volume(backend, "new").await),
        "clone" => drop(
            backend
                .clone_volume(source, &name("new"), &[], &quiet)
                .await
                .unwrap(),
        ),
        "remove" => backend.remove(&data, Snapshots::Remove).await.unwrap(),
        "rename" => drop(backend.rename(&data, &name("new")).await.unwrap()),
        "resize" => {
            let quota = sandbox_types::Quota {
                bytes: Some(sandbox_types::ByteSize::from_bytes(1 << 30)),
                inodes: None,
            };
            drop(
                backend
                    .resize(&data, crate::backend::Resize::Quota(quota))
                    .await
                    .unwrap(),
            );
        }
        "snapshot" => drop(backend.snapshot(&data, &name("second"), &quiet).await.unwrap()),
        "drop" => backend.remove_snapshot(&data, &name("first")).await.unwrap(),
        "restore" => backend.restore(&data, &name("first"), &quiet).await.unwrap(),
        "attach" => {
            let wanted = Attach {
                volume: data,
                access: Access::Write,
                at: "/data".into(),
            };
            let lease = backend.attach(&[wanted], &Holder::default()).await.unwrap();
            lease.detach().await.unwrap();
        }
        "import" => {
            let archive = std::fs::File::open(home.with_file_name("archive")).unwrap();
            let options = crate::archive::ImportOptions::new().name(name("new"));
            drop(backend.import(Box::new(archive), &options, &quiet).await.unwrap());
        }
        other => panic!("{other}"),
    }
}

/// Every volume with what is in it, and its snapshots.
async fn picture(backend: &Arc<dyn Backend>) -> BTreeMap<String, (String, Vec<String>)> {
    let mut picture = BTreeMap::new();
    for volume in Volume::list_on(Arc::clone(backend), &VolumeFilter::all())
        .await
        .unwrap()
    {
        let fs = volume.fs().unwrap();
        let content = if fs.exists("file").unwrap() {
            fs.read_to_string("file").unwrap()
        } else {
            String::new()
        };
        let snapshots = volume.snapshots().await.unwrap();
        let snapshots = snapshots
            .iter()
            .map(|snapshot| snapshot.name.to_string())
            .collect();
        picture.insert(volume.name().to_string(), (content, snapshots));
    }
    picture
}

/// A home with a volume that was something else when its snapshot was taken, and an archive beside it.
async fn furnish(place: &Place) {
    let backend = place.backend().await;
    let data = volume(&backend, "data").await;
    data.snapshot("first").await.unwrap();
    data.fs().unwrap().write("file", "later").unwrap();
    let archive = std::fs::File::create(place.home().with_file_name("archive")).unwrap();
    data.export(archive).await.unwrap();
}

#[test]
fn a_change_that_is_killed_has_happened_or_has_not() {
    let mut passed = std::collections::BTreeSet::new();
    for action in ACTIONS {
        let (before, after) = states(action);
        for point in POINTS {
            for count in 1.. {
                let place = Place::new();
                run(furnish(&place));
                let mut child = child(CHILD, action, &place.home());
                if !was_killed(child.env(KILL_AT, format!("{point}:{count}")).spawn().unwrap()) {
                    break;
                }
                passed.insert(*point);
                run(async {
                    let now = picture(&place.backend().await).await;
                    // A file is written into a volume once it is made.
                    let is_new = now == after || now == without_file(&after, "new");
                    assert!(now == before || is_new, "{action} at {point}:{count}: {now:?}");
                    assert_sound(&place.home()).await;
                    // And it can be done, or done again.
                    let backend = place.backend().await;
                    if now == before {
                        act(&backend, action, &place.home()).await;
                        assert_eq!(picture(&backend).await, after, "{action} at {point}:{count}");
                    }
                    assert_sound(&place.home()).await;
                });
            }
        }
    }
    let missed: Vec<_> = POINTS.iter().filter(|point| !passed.contains(*point)).collect();
    assert_eq!(missed, [] as [&&str; 0], "never passed");
}

type Picture = BTreeMap<String, (String, Vec<String>)>;

fn states(action: &str) -> (Picture, Picture) {
    let place = Place::new();
    run(async {
        furnish(&place).await;
        let backend = place.backend().await;
        let before = picture(&backend).await;
        act(&backend, action, &place.home()).await;
        (before, picture(&backend).await)
    })
}

fn without_file(picture: &Picture, volume: &str) -> Picture {
    let mut picture = picture.clone();
    if let Some((content, _)) = picture.get_mut(volume) {
        content.clear();
    }
    picture
}

/// While this process has the catalog open: it settled what there was when it opened it.
#[test]
fn what_another_process_was_killed_with_is_in_nobodys_way() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut data = volume(&backend, "data").await;
        data.snapshot("first").await.unwrap();
        // Killed before the manifest of what it has renamed was written anew.
        let pending = place.home().join("volumes/.pending");
        std::fs::write(pending.join(&data.record().place), "").unwrap();
        data.restore("first").await.unwrap();
        assert_sound(&place.home()).await;
        // Killed between the row and the place.
        let data = Volume::get_on(Arc::clone(&backend), "data").await.unwrap();
        let id = &data.record().place;
        std::fs::rename(place.home().join("volumes").join(id), pending.join(id)).unwrap();
        backend.rename(&name("data"), &name("other")).await.unwrap();
        assert_sound(&place.home()).await;
        let other = Volume::get_on(Arc::clone(&backend), "other").await.unwrap();
        assert_eq!(other.fs().unwrap().read_to_string("file").unwrap(), "data");
    });
}

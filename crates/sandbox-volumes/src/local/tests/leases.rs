//! Who has what attached: several readers or one writer, and nobody who is gone.

use std::path::PathBuf;
use std::sync::Arc;

use sandbox_types::Access;

use super::child::{await_word, child, task};
use super::place::{Place, assert_sound, name, run, volume};
use crate::backend::{Backend, CloneSource, Resize, Snapshots};
use crate::copy::Progress;
use crate::error::VolumeError;
use crate::lease::{Attach, Holder, Lease};

const CHILD: &str = "local::tests::leases::a_child_that_holds_a_lease";

fn attach(volume: &str, access: Access) -> Attach {
    Attach {
        volume: name(volume),
        access,
        at: PathBuf::from("/data"),
    }
}

fn holder(command: &str) -> Holder {
    Holder {
        sandbox: Some("box".parse().unwrap()),
        command: command.to_owned(),
    }
}

async fn take(backend: &Arc<dyn Backend>, access: Access, who: &str) -> Result<Lease, VolumeError> {
    backend.attach(&[attach("data", access)], &holder(who)).await
}

/// Is no test of its own: what holds a lease until it is killed. Does nothing where it is not told to.
#[test]
fn a_child_that_holds_a_lease() {
    let Some((action, home)) = task() else { return };
    run(async {
        let backend: Arc<dyn Backend> = Arc::new(super::place::open(home.as_ref()).await);
        let access = if action == "write" {
            Access::Write
        } else {
            Access::Read
        };
        let _lease = take(&backend, access, "a command").await.unwrap();
        println!("<held>");
        std::thread::sleep(std::time::Duration::from_mins(10));
    });
}

#[test]
fn several_read_or_one_writes_and_the_error_says_who() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        volume(&backend, "data").await;
        let one = take(&backend, Access::Read, "one").await.unwrap();
        let two = take(&backend, Access::Read, "two").await.unwrap();
        let error = take(&backend, Access::Write, "three").await.unwrap_err();
        let said = error.to_string();
        let me = std::process::id();
        for text in [
            "data is in use by",
            "sandbox box",
            "(one)",
            "(two)",
            &format!("process {me}"),
        ] {
            assert!(said.contains(text), "{text}: {said}");
        }
        assert_eq!(backend.holders(&name("data")).await.unwrap().len(), 2);
        one.detach().await.unwrap();
        drop(two);
        assert_eq!(backend.holders(&name("data")).await.unwrap(), []);
        let writer = take(&backend, Access::Write, "four").await.unwrap();
        assert!(writer.volumes()[0].path.join("file").exists());
        let error = take(&backend, Access::Read, "five").await.unwrap_err();
        assert!(matches!(error, VolumeError::InUse { .. }), "{error}");
        writer.detach().await.unwrap();
        assert_sound(&place.home()).await;
    });
}

#[test]
fn one_sandbox_may_have_a_volume_at_two_places() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        volume(&backend, "data").await;
        let both = [attach("data", Access::Read), attach("data", Access::Write)];
        let lease = backend.attach(&both, &holder("x")).await.unwrap();
        assert_eq!(lease.volumes().len(), 2);
        assert!(take(&backend, Access::Read, "other").await.is_err());
        lease.detach().await.unwrap();
    });
}

#[test]
fn all_volumes_are_attached_or_none() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        volume(&backend, "data").await;
        volume(&backend, "taken").await;
        let taken = backend
            .attach(&[attach("taken", Access::Write)], &holder("x"))
            .await
            .unwrap();
        for other in ["taken", "missing"] {
            let wanted = [attach("data", Access::Write), attach(other, Access::Write)];
            backend.attach(&wanted, &holder("y")).await.unwrap_err();
            assert_eq!(backend.holders(&name("data")).await.unwrap(), []);
        }
        take(&backend, Access::Write, "z")
            .await
            .unwrap()
            .detach()
            .await
            .unwrap();
        taken.detach().await.unwrap();
        assert_sound(&place.home()).await;
    });
}

#[test]
fn what_is_in_use_is_not_removed_restored_or_copied_from() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        let mut data = volume(&backend, "data").await;
        data.snapshot("s").await.unwrap();
        let lease = take(&backend, Access::Write, "writer").await.unwrap();
        let in_use = |result: Result<(), VolumeError>| match result.unwrap_err() {
            VolumeError::InUse { holders, .. } => assert_eq!(holders[0].command, "writer"),
            other => panic!("{other}"),
        };
        in_use(backend.remove(&name("data"), Snapshots::Remove).await);
        in_use(
            backend
                .restore(&name("data"), &name("s"), &Progress::none())
                .await,
        );
        in_use(
            backend
                .snapshot(&name("data"), &name("t"), &Progress::none())
                .await
                .map(drop),
        );
        let source = CloneSource {
            volume: &name("data"),
            snapshot: None,
        };
        in_use(
            backend
                .clone_volume(source, &name("c"), &[], &Progress::none())
                .await
                .map(drop),
        );
        in_use(
            backend
                .resize(&name("data"), Resize::Quota(sandbox_types::Quota::NONE))
                .await
                .map(drop),
        );
        // A name is no part of what is in use.
        data.rename("other").await.unwrap();
        assert!(lease.volumes()[0].path.join("file").exists());
        lease.detach().await.unwrap();
        backend.remove(&name("other"), Snapshots::Remove).await.unwrap();
        assert_sound(&place.home()).await;
    });
}

#[test]
fn a_lease_dies_with_its_owner_and_no_child_keeps_it() {
    let place = Place::new();
    run(async {
        let backend = place.backend().await;
        volume(&backend, "data").await;
        let mut owner = child(CHILD, "write", &place.home()).spawn().unwrap();
        await_word(&mut owner, b"<held>");
        let holders = backend.holders(&name("data")).await.unwrap();
        assert_eq!((holders.len(), holders[0].pid), (1, owner.id()));
        assert!(take(&backend, Access::Read, "me").await.is_err());
        owner.kill().unwrap();
        owner.wait().unwrap();
        assert_eq!(backend.holders(&name("data")).await.unwrap(), []);
        let lease = take(&backend, Access::Write, "me").await.unwrap();
        // What is executed while it is held does not hold it.
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        lease.detach().await.unwrap();
        let again = take(&backend, Access::Write, "me").await;
        other.kill().unwrap();
        other.wait().unwrap();
        again.unwrap().detach().await.unwrap();
        backend.remove(&name("data"), Snapshots::Refuse).await.unwrap();
        let repair = backend.repair().await.unwrap();
        assert_eq!(repair.dead_holders, 1);
        assert_sound(&place.home()).await;
    });
}

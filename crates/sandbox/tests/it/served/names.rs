//! Names that do not fit: an error before anything starts.

use sandbox::{Access, Mount, MountSource, Policy, PrepareError, Sandbox};

use super::{memory, policy};

fn error(builder: sandbox::SandboxBuilder) -> PrepareError {
    builder.build().expect_err("it is refused")
}

#[test]
fn a_filesystem_that_nobody_serves_is_named_with_its_place() {
    let refused = error(Sandbox::builder(&policy()));
    assert_eq!(refused.to_string(), "/data: no filesystem data is served");
    let refused = Sandbox::new(&policy()).expect_err("it is refused");
    assert!(matches!(refused, PrepareError::Unserved { .. }), "{refused:?}");
    let started = Sandbox::command(&policy(), "true").output();
    assert!(started.is_err(), "{started:?}");
}

#[test]
fn a_filesystem_that_is_mounted_nowhere_is_a_mistake() {
    let builder = Sandbox::builder(&Policy::default()).serve("data", memory().0);
    assert_eq!(
        error(builder).to_string(),
        "filesystem data is served, and the policy mounts it nowhere"
    );
}

#[test]
fn a_filesystem_appears_at_one_place() {
    let mut policy = policy();
    policy.filesystem.mounts.push(Mount {
        at: "/more".into(),
        source: MountSource::Served("data".parse().unwrap()),
        access: Access::Read,
    });
    let refused = error(Sandbox::builder(&policy).serve("data", memory().0));
    assert_eq!(
        refused.to_string(),
        "filesystem data is served, and can appear at /data or at /more, not at both"
    );
}

#[test]
fn a_name_is_given_once_and_is_one() {
    let twice = Sandbox::builder(&policy())
        .serve("data", memory().0)
        .serve("data", memory().0);
    assert_eq!(error(twice).to_string(), "two filesystems are called data");
    let odd = error(Sandbox::builder(&policy()).serve("../data", memory().0));
    assert!(odd.to_string().starts_with("\"../data\" is not a name"), "{odd}");
}

#[test]
fn a_policy_with_a_served_mount_is_a_document() {
    let policy = policy();
    let text = policy.to_toml();
    assert!(text.contains("served = \"data\""), "{text}");
    assert_eq!(Policy::from_toml(&text).unwrap(), policy);
}

//! Plans are data: what they say is checked without a kernel.

use std::path::{Path, PathBuf};

use sandbox_types::policy::NetworkMode;
use sandbox_types::{Access, Guarantee, Mechanism, Policy, Require, SizeExt, Status};

use super::*;
use crate::cgroup::CgroupSupport;
use crate::host::NoNamespaces;
use crate::view::{Account, Masked, MaskedKind, SystemEntry};

fn host() -> Host {
    Host {
        uid: 1000,
        gid: 1000,
        landlock_abi: 7,
        no_namespaces: None,
        uid_map: "0 0 4294967295\n".into(),
        gid_map: "0 0 4294967295\n".into(),
        nproc_per_namespace: true,
    }
}

fn bare_host() -> Host {
    host().without_namespaces(NoNamespaces {
        step: "clone with namespaces".into(),
        errno: libc::EPERM,
    })
}

fn root() -> Host {
    Host {
        uid: 0,
        gid: 0,
        ..host()
    }
}

fn view() -> View {
    let account = Account::from_passwd("me:x:1000:1000::/home/me:/bin/sh\n", 1000, 1000);
    let mut view = View::of(
        account,
        vec![("PATH".into(), "/opt/tools:/usr/bin:/work/bin".into())],
    );
    view.system = vec![
        SystemEntry::Dir("/usr".into()),
        SystemEntry::Link {
            path: "/bin".into(),
            target: "usr/bin".into(),
        },
    ];
    view
}

fn grant(path: &str, access: Access) -> ResolvedGrant {
    ResolvedGrant {
        at: path.into(),
        source: path.into(),
        is_dir: true,
        access,
        overlay: None,
        served: None,
    }
}

fn planned(policy: &Policy, host: &Host, view: &View) -> Plan {
    plan(policy, host, None, view).expect("a plan")
}

fn steps(policy: &Policy, host: &Host, view: &View) -> Vec<String> {
    planned(policy, host, view)
        .steps
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn position(steps: &[String], text: &str) -> usize {
    steps
        .iter()
        .position(|step| step.starts_with(text))
        .unwrap_or_else(|| panic!("{text:?} in {steps:#?}"))
}

#[test]
fn the_default_policy_is_fully_enforced_in_namespaces() {
    let report = planned(&Policy::default(), &host(), &view()).report;
    assert!(report.full, "{report:#?}");
    assert!(
        report.get(Guarantee::Memory).is_none(),
        "nobody asked for a memory limit"
    );
}

#[test]
fn the_root_is_entered_as_soon_as_it_has_a_proc_and_is_read_only_at_the_end() {
    let steps = steps(&Policy::default(), &host(), &view());
    let entered = position(&steps, "enter the new root");
    assert_eq!(position(&steps, "mount proc") + 1, entered);
    assert!(position(&steps, "take /usr ro nosuid nodev") < position(&steps, "make a root"));
    assert!(position(&steps, "mount source") > entered && position(&steps, "make / ro") > entered);
    assert!(
        steps.last().is_some_and(|last| last.starts_with("join")),
        "{steps:#?}"
    );
}

#[test]
fn what_a_grant_of_everything_leaves_out_is_said() {
    let said = |policy: &Policy| {
        let notes = planned(policy, &host(), &view()).report.notes;
        notes
            .iter()
            .any(|note| note.what.contains("a grant of / leaves out"))
    };
    assert!(said(&Policy::builder().read("/").build().expect("valid")));
    assert!(said(&Policy::builder().write("/").build().expect("valid")));
    assert!(!said(&Policy::builder().read("/srv").build().expect("valid")));
}

#[test]
fn root_of_somebody_s_user_namespace_is_not_called_the_host_s() {
    let said = |host: &Host| {
        let notes = planned(&Policy::default(), host, &view()).report.notes;
        notes.iter().any(|note| note.what.contains("user 0 of the host"))
    };
    assert!(said(&root()));
    let somebody = Host {
        uid_map: "         0       1000          1\n".into(),
        ..root()
    };
    assert!(!said(&somebody));
}

#[test]
fn a_root_with_something_else_at_proc_is_entered_last() {
    let mount = sandbox_types::Mount {
        at: "/proc".into(),
        source: sandbox_types::MountSource::Tmpfs { size: 1.mib() },
        access: Access::Read,
    };
    let policy = Policy::builder().mount(mount).build().expect("valid");
    let steps = steps(&policy, &host(), &view());
    assert_eq!(steps.last().map(String::as_str), Some("enter the new root"));
    assert!(
        !steps.iter().any(|step| step.starts_with("mount proc")),
        "{steps:#?}"
    );
}

#[test]
fn mounts_come_parents_first_and_covers_come_last() {
    let mut view = view();
    view.grants = vec![
        grant("/home/me/src", Access::Read),
        grant("/home/me/src/out", Access::Write),
    ];
    view.masks = vec![Masked {
        path: "/home/me/src/.env".into(),
        kind: MaskedKind::File,
    }];
    // The inner mount point is looked for in the granted tree, which does not exist on this host.
    let error = plan(&Policy::default(), &host(), None, &view).expect_err("no such mount point");
    assert!(matches!(error, PrepareError::MountPoint { .. }), "{error}");

    view.grants = vec![grant("/", Access::Read), grant("/usr/share", Access::Write)];
    view.grants.remove(0);
    view.masks = vec![Masked {
        path: "/usr/share/.env".into(),
        kind: MaskedKind::File,
    }];
    let steps = steps(&Policy::default(), &host(), &view);
    let at = |path: &str| {
        steps
            .iter()
            .position(|step| step.starts_with("mount source") && step.ends_with(&format!(" at {path}")))
            .unwrap_or_else(|| panic!("{path} in {steps:#?}"))
    };
    assert!(at("/usr") < at("/usr/share"));
    assert!(position(&steps, "mount own /.covers/file at /usr/share/.env") > at("/usr/share"));
    assert!(
        !steps.contains(&"make directory /usr/share 755".to_owned()),
        "nothing is made in granted trees"
    );
}

#[test]
fn nothing_writable_is_on_path() {
    let mut view = view();
    view.grants = vec![grant("/work", Access::Write)];
    let plan = planned(&Policy::default(), &host(), &view);
    assert!(plan.path.contains(&PathBuf::from("/usr/bin")));
    assert!(
        !plan
            .path
            .iter()
            .any(|dir| dir.starts_with("/work") || dir.starts_with("/opt")),
        "{:?}",
        plan.path
    );
}

#[test]
fn root_gets_proc_read_only_and_keeps_its_numbers() {
    let steps = steps(&Policy::default(), &root(), &view());
    position(&steps, "mount proc at /proc ro nosuid nodev noexec");
    let launch = planned(&Policy::default(), &root(), &view()).launch;
    assert_eq!(launch.maps.expect("maps").uid, "0 0 4294967295\n");
    let launch = planned(&Policy::default(), &host(), &view()).launch;
    assert_eq!(launch.maps.expect("maps").uid, "1000 1000 1");
}

#[test]
fn root_inside_gets_proc_read_only_because_the_files_of_init_are_its_own() {
    let inside = |nested| {
        let policy = Policy::builder()
            .identity(Identity::Root)
            .with(|policy| policy.syscalls.nested = nested)
            .build();
        steps(&policy.expect("valid"), &host(), &view())
    };
    position(&inside(false), "mount proc at /proc ro nosuid nodev noexec");
    position(&inside(true), "mount proc at /proc nosuid nodev noexec");
}

#[test]
fn a_nested_root_maps_what_it_has_onto_itself() {
    assert_eq!(onto_itself("         0     100000      65536\n"), "0 0 65536\n");
}

#[test]
fn nested_programs_can_mount_and_the_report_says_what_that_costs() {
    let policy = Policy::builder()
        .with(|policy| policy.syscalls.nested = true)
        .build()
        .expect("valid");
    let planned = planned(&policy, &host(), &view());
    assert_eq!(planned.landlock, LandlockPlan::default());
    assert!(
        !planned.report.full
            && planned
                .report
                .notes
                .iter()
                .any(|note| note.what.contains("nested"))
    );
    // Without namespaces there is nothing to nest, and Landlock is the wall.
    let in_place = plan(&policy, &bare_host(), None, &view()).expect("a plan");
    assert_ne!(in_place.landlock, LandlockPlan::default());
}

#[test]
fn only_root_may_become_somebody_else() {
    let policy = Policy::builder()
        .identity(Identity::User(5))
        .build()
        .expect("valid");
    let error = plan(&policy, &host(), None, &view()).expect_err("not root");
    assert!(matches!(error, PrepareError::Identity { uid: 5 }));
    assert!(plan(&policy, &root(), None, &view()).is_ok());
}

#[test]
fn without_namespaces_there_are_no_steps_and_the_report_says_so() {
    let plan = planned(&Policy::default(), &bare_host(), &view());
    assert!(plan.steps.is_empty() && plan.needs_scratch() && !plan.report.full);
    assert!(!plan.filter.toggles.unix_sockets && !plan.filter.toggles.metadata_changes);
    assert!(
        plan.report
            .notes
            .iter()
            .any(|note| note.what.contains("no namespaces")),
        "{:?}",
        plan.report.notes
    );
    let files = plan.report.get(Guarantee::FilesRead).expect("asked");
    assert_eq!(
        (files.status, files.missing.as_slice()),
        (Status::Degraded, [Mechanism::PrivateRoot].as_slice())
    );
}

#[test]
fn full_refuses_what_is_degraded_and_names_it() {
    let policy = Policy::builder().require(Require::Full).build().expect("valid");
    let error = plan(&policy, &bare_host(), None, &view())
        .expect_err("not full")
        .to_string();
    assert!(
        error.contains("private root") && error.contains("no namespaces"),
        "{error}"
    );
    assert!(plan(&policy, &host(), None, &view()).is_ok());
}

#[test]
fn what_cannot_be_kept_is_refused_unless_best_effort_is_enough() {
    let old = Host {
        landlock_abi: 2,
        ..bare_host()
    };
    assert!(matches!(
        plan(&Policy::default(), &old, None, &view()),
        Err(PrepareError::Unavailable { .. })
    ));
    let policy = Policy::builder()
        .require(Require::BestEffort)
        .build()
        .expect("valid");
    assert!(!planned(&policy, &old, &view()).report.full);
    // A mask needs a root of its own.
    let mut masked = view();
    masked.grants = vec![grant("/home/me", Access::Read)];
    masked.masks = vec![Masked {
        path: "/home/me/.ssh".into(),
        kind: MaskedKind::Dir,
    }];
    let error = plan(&Policy::default(), &bare_host(), None, &masked)
        .expect_err("cannot hide")
        .to_string();
    assert!(error.contains("files deny"), "{error}");
}

#[test]
fn a_host_s_network_with_ports_is_tcp_only_and_needs_landlock_4() {
    let policy = Policy::builder()
        .network(NetworkMode::Host)
        .connect_port(443)
        .build()
        .expect("valid");
    let plan_on = |abi| {
        plan(
            &policy,
            &Host {
                landlock_abi: abi,
                ..host()
            },
            None,
            &view(),
        )
    };
    let planned = plan_on(7).expect("a plan");
    assert_eq!(planned.filter.toggles.inet, Inet::TcpOnly);
    assert!(planned.filter.toggles.deny_listen, "no port may be bound");
    assert_eq!(planned.landlock.ports.len(), 1);
    assert_eq!(planned.launch.beside & libc::CLONE_NEWNET, 0);
    assert!(matches!(plan_on(3), Err(PrepareError::Unavailable { .. })));
}

#[test]
fn abstract_sockets_of_the_host_s_network_need_a_scope() {
    let policy = Policy::builder()
        .network(NetworkMode::Host)
        .build()
        .expect("valid");
    let old = Host {
        landlock_abi: 5,
        ..host()
    };
    assert!(matches!(
        plan(&policy, &old, None, &view()),
        Err(PrepareError::Unavailable { .. })
    ));
    let planned = planned(&policy, &host(), &view());
    assert_ne!(planned.landlock.handled[2], 0);
}

#[test]
fn a_plain_user_without_cgroups_gets_rlimits_and_is_told_how_far_they_reach() {
    let policy = Policy::builder()
        .memory(64.mib())
        .processes(10)
        .build()
        .expect("valid");
    let planned = planned(&policy, &host(), &view());
    assert!(planned.rlimits.contains(&Rlimit {
        resource: libc::RLIMIT_DATA,
        soft: 64 << 20,
        hard: 64 << 20
    }));
    assert!(planned.rlimits.contains(&Rlimit {
        resource: libc::RLIMIT_NPROC,
        soft: 11,
        hard: 11
    }));
    assert!(
        !planned
            .rlimits
            .iter()
            .any(|limit| limit.resource == libc::RLIMIT_AS)
    );
    assert_eq!(
        planned.report.get(Guarantee::Memory).map(|entry| entry.status),
        Some(Status::Degraded)
    );
    assert_eq!(
        planned.report.get(Guarantee::Processes).map(|entry| entry.status),
        Some(Status::Enforced)
    );
    // RLIMIT_NPROC does not bind root.
    assert!(matches!(
        plan(&policy, &root(), None, &view()),
        Err(PrepareError::Unavailable { .. })
    ));
}

#[test]
fn every_step_can_be_encoded_and_decoded() {
    let planned = planned(&Policy::default(), &host(), &view());
    let blob = planned.encode(&[0; 16], None).expect("no NUL");
    let mut cursor = crate::wire::Cursor(&blob);
    let mut count = 0;
    while let Some(Some(_)) = cursor.op() {
        count += 1;
    }
    assert_eq!(count, planned.steps.len());
    assert!(
        cursor
            .confinement()
            .is_some_and(|confinement| confinement.filter == [0; 16])
    );
}

#[test]
fn the_private_directory_takes_its_place_in_paths_and_variables() {
    let planned = planned(&Policy::default(), &bare_host(), &view());
    let scratch = Path::new("/tmp/sandbox-1");
    assert_eq!(planned.cwd_in(Some(scratch)), Path::new("/tmp/sandbox-1/home"));
    let env = planned.env_in(Some(scratch));
    assert!(
        env.contains(&("TMPDIR".into(), "/tmp/sandbox-1/tmp".into())),
        "{env:?}"
    );
    assert!(
        !env.iter()
            .any(|(_, value)| value.to_string_lossy().contains(SCRATCH))
    );
}

#[test]
fn a_cpu_mask_is_whole_words() {
    assert_eq!(cpu_mask(&[]), Vec::<u8>::new());
    assert_eq!(cpu_mask(&[0, 9]), [1, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(cpu_mask(&[64]).len(), 16);
}

#[test]
fn unused_cgroups_are_not_asked_for() {
    let support: Option<&CgroupSupport> = None;
    assert!(
        plan(&Policy::default(), &host(), support, &view())
            .expect("a plan")
            .cgroup
            .is_none()
    );
}

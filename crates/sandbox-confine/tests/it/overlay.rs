//! A copy-on-write view of a directory in the sandbox.

use std::path::PathBuf;

use sandbox_confine::{Policy, RunError, Sandbox, StartError};
use sandbox_types::{Access, Mount, MountSource, Overlay};

use crate::harness::{
    Place, both, deny_namespaces, in_own_process, name_of_test, needs_namespaces, sh_under, stdout, sys,
};

/// A base with files, and an empty upper over it.
struct View {
    place: Place,
    lowers: Vec<PathBuf>,
}

impl View {
    fn new() -> Self {
        let place = Place::new();
        place.file("base/kept", "kept");
        place.file("base/dir/changed", "old");
        place.file("base/gone", "gone");
        place.dir("layer/upper");
        place.dir("layer/work");
        place.file("lock", "");
        let lowers = vec![place.path().join("base")];
        Self { place, lowers }
    }

    fn base(&self) -> PathBuf {
        self.place.path().join("base")
    }

    fn policy(&self) -> Policy {
        let layer = self.place.path().join("layer");
        let overlay = Overlay {
            lowers: self.lowers.clone(),
            upper: layer.join("upper"),
            work: layer.join("work"),
            lock: Some(self.place.path().join("lock")),
        };
        let mount = Mount {
            at: self.base(),
            source: MountSource::Overlay(overlay),
            access: Access::Write,
        };
        let policy = Policy::builder().mount(mount).cwd(self.base());
        policy.build().expect("valid")
    }
}

#[test]
fn writes_go_to_the_upper_and_the_base_stays_as_it_is() {
    needs_namespaces!();
    let view = View::new();
    let script = "cat kept; echo new > dir/changed; rm gone; mkdir -p a/b; echo x > a/b/c; ls";
    assert_eq!(stdout(&sh_under(&view.policy(), script)), "kepta\ndir\nkept\n");
    let read = |path: &str| std::fs::read_to_string(view.place.path().join(path)).unwrap_or_default();
    assert_eq!(read("base/dir/changed"), "old");
    assert_eq!(read("base/gone"), "gone");
    assert!(!view.base().join("a").exists());
    assert_eq!(read("layer/upper/dir/changed"), "new\n");
    assert_eq!(read("layer/upper/a/b/c"), "x\n");
}

#[test]
fn no_path_of_the_host_shows_in_the_mount_table() {
    needs_namespaces!();
    let view = View::new();
    let line = stdout(&sh_under(&view.policy(), "grep overlay /proc/self/mountinfo"));
    assert!(line.contains("upperdir=/proc/self/fd/"), "{line}");
    assert!(!line.contains("layer"), "{line}");
}

#[test]
fn more_layers_than_one_option_holds_are_stacked_in_their_order() {
    needs_namespaces!();
    let mut view = View::new();
    for number in 0..40 {
        view.place
            .file(&format!("lower{number}/top"), &number.to_string());
        view.lowers
            .insert(0, view.place.path().join(format!("lower{number}")));
    }
    assert_eq!(stdout(&sh_under(&view.policy(), "cat top kept")), "39kept");
}

#[test]
fn a_path_may_hold_what_means_something_to_overlayfs() {
    needs_namespaces!();
    let mut view = View::new();
    view.place.file(r"odd:na,me\ x=y/odd", "odd");
    view.lowers.insert(0, view.place.path().join(r"odd:na,me\ x=y"));
    assert_eq!(stdout(&sh_under(&view.policy(), "cat odd")), "odd");
}

#[test]
fn the_lock_is_held_for_as_long_as_something_lives_inside() {
    needs_namespaces!();
    let view = View::new();
    let lock = std::fs::File::open(view.place.path().join("lock")).unwrap();
    let mut sandbox = Sandbox::new(&view.policy()).unwrap();
    let process = sandbox.spawn(sandbox_confine::Command::new("true")).unwrap();
    assert!(process.wait().unwrap().outcome.success());
    assert!(lock.try_lock().is_err(), "init holds it");
    let second = Sandbox::command(&view.policy(), "true").output();
    let is_in_use = |error: &RunError| matches!(error, RunError::Start(StartError::UpperInUse { .. }));
    assert!(second.as_ref().is_err_and(is_in_use), "{second:?}");
    sandbox.kill().unwrap();
    lock.try_lock().expect("nobody holds it any more");
}

#[test]
fn credentials_in_the_base_are_covered_also_after_the_command_has_removed_their_place() {
    needs_namespaces!();
    in_own_process(name_of_test!(), || {
        let view = View::new();
        let home = view.base();
        view.place.file("base/.ssh/id_ed25519", "secret");
        view.place.file("base/.config/gh/hosts.yml", "secret");
        sys::set_variable("HOME", &home);
        let result = sh_under(&view.policy(), "cat .ssh/id_ed25519 .config/gh/hosts.yml");
        assert!(!both(&result).contains("secret"), "{}", both(&result));
        // Not by a command, which cannot, but by a run with other covers.
        let script =
            "chmod -R u+rwx layer/work && rm -rf layer/work layer/upper && mkdir layer/work layer/upper
            mknod layer/upper/.ssh c 0 0 && mknod layer/upper/.config c 0 0";
        let status = std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(view.place.path())
            .status();
        assert!(status.unwrap().success(), "whiteouts need no privilege");
        let result = sh_under(&view.policy(), "ls -A");
        assert!(!stdout(&result).contains(".ssh"), "{}", both(&result));
    });
}

#[test]
fn without_namespaces_there_is_no_view_and_nothing_starts() {
    in_own_process(name_of_test!(), || {
        let view = View::new();
        let policy = view.policy();
        deny_namespaces();
        let error = Sandbox::command(&policy, "true").output().unwrap_err();
        assert!(
            matches!(&error, RunError::Start(StartError::Prepare(_))),
            "{error:?}"
        );
        assert!(error.to_string().contains("copy-on-write"), "{error}");
    });
}

#[test]
fn a_file_that_its_owner_may_not_read_can_still_be_changed() {
    needs_namespaces!();
    let view = View::new();
    let script = "chmod 200 kept && echo more >> kept && chmod 600 kept && cat kept";
    assert_eq!(stdout(&sh_under(&view.policy(), script)), "keptmore\n");
}

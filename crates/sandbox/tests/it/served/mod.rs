//! Filesystems that this process serves, mounted in a sandbox.

mod ends;
mod names;
mod stuck;

use std::sync::Arc;

use sandbox::backend::mem::MemFsBuilder;
use sandbox::backend::quota::Quota;
use sandbox::backend::{MemFs, OverlayFs, PassthroughFs};
use sandbox::fs::{Context, DynFileSystem, ROOT_INO, SetAttr};
use sandbox::serve::fuse::{Session, SessionBuilder};
use sandbox::tree::Tree;
use sandbox::{
    Access, Command, Mount, MountSource, Outcome, Policy, PrepareError, RunError, RunResult, Sandbox,
    SizeExt, StartError, StatVirtualization,
};

/// Returns from the test, saying why, where a filesystem cannot be served to a sandbox.
macro_rules! needs_fuse_inside {
    () => {
        if let Err(reason) = $crate::served::works() {
            return $crate::harness::skip($crate::harness::name_of_test!(), &reason);
        }
    };
}
pub(crate) use needs_fuse_inside;

/// Whether one can be, or why not.
pub(crate) fn works() -> Result<(), String> {
    let result = sh(&policy(), memory().0, "true");
    match result {
        Ok(_) => Ok(()),
        Err(RunError::Start(StartError::Serve { source, .. })) if is_the_machine_s(&source) => {
            Err(format!("/dev/fuse: {source}"))
        }
        Err(RunError::Start(StartError::Prepare(error @ PrepareError::NeedsNamespaces { .. }))) => {
            Err(error.to_string())
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn is_the_machine_s(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
}

/// A policy that shows what is called `data` at /data.
pub(crate) fn policy() -> Policy {
    showing(Access::Write)
}

fn showing(access: Access) -> Policy {
    let mount = Mount {
        at: "/data".into(),
        source: MountSource::Served("data".parse().expect("a name")),
        access,
    };
    Policy::builder().mount(mount).build().expect("valid")
}

/// A filesystem in memory, to be served, and itself.
pub(crate) fn memory() -> (SessionBuilder, Arc<MemFs>) {
    memory_of(MemFs::builder())
}

fn memory_of(fs: MemFsBuilder) -> (SessionBuilder, Arc<MemFs>) {
    let fs = Arc::new(fs.capacity(8.mib()).build().expect("memory"));
    // Of the owners that there may be, the sandbox's user namespace knows this one.
    let own = SetAttr {
        uid: Some(rustix::process::geteuid().as_raw()),
        gid: Some(rustix::process::getegid().as_raw()),
        ..SetAttr::default()
    };
    let root = fs.setattr(&Context::new(0, 0), ROOT_INO, &own);
    root.expect("its own root");
    (builder(fs.clone()), fs)
}

pub(crate) fn builder(fs: Arc<dyn DynFileSystem>) -> SessionBuilder {
    Session::builder(fs)
}

/// Runs a shell script in a sandbox that has `fs` as `data`.
pub(crate) fn sh(policy: &Policy, fs: SessionBuilder, script: &str) -> Result<RunResult, RunError> {
    let prepared = Sandbox::builder(policy)
        .serve("data", fs)
        .prepare()
        .map_err(StartError::from)?;
    prepared.command("/bin/sh").args(["-c", script]).output()
}

#[track_caller]
pub(crate) fn stdout(result: &RunResult) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        result.outcome.success(),
        "{:?}: {}{}",
        result.outcome,
        text(&result.stdout),
        text(&result.stderr)
    );
    text(&result.stdout)
}

#[test]
fn what_is_written_inside_is_in_the_filesystem_afterwards() {
    needs_fuse_inside!();
    let (builder, fs) = memory();
    let script =
        "echo there > /data/note; mkdir /data/dir; ln /data/note /data/dir/other; cat /data/dir/other";
    assert_eq!(stdout(&sh(&policy(), builder, script).unwrap()), "there\n");
    let tree = Tree::new(&*fs, Context::new(0, 0));
    assert_eq!(tree.read("dir/other").unwrap(), b"there\n");
}

#[test]
fn what_the_kernel_has_not_written_when_the_command_ends_is_not_lost() {
    needs_fuse_inside!();
    let (builder, fs) = memory_of(MemFs::builder().writeback(true));
    // The shell is killed with the file open, and nothing has been synced.
    let script = "exec 3> /data/note; head -c 1000000 /dev/zero >&3; kill -9 $$";
    let result = sh(&policy(), builder, script).unwrap();
    assert!(
        matches!(result.outcome, Outcome::Signaled { signal: 9 }),
        "{:?}",
        result.outcome
    );
    let tree = Tree::new(&*fs, Context::new(0, 0));
    assert_eq!(tree.read("note").unwrap().len(), 1_000_000);
}

#[test]
fn the_mount_table_inside_names_it_and_nothing_of_the_host() {
    needs_fuse_inside!();
    let line = stdout(&sh(&policy(), memory().0, "grep ' /data ' /proc/self/mounts").unwrap());
    assert!(
        line.starts_with("data /data fuse.sandbox rw,nosuid,nodev"),
        "{line}"
    );
}

#[test]
fn what_is_shown_for_reading_cannot_be_written() {
    needs_fuse_inside!();
    let script = "echo x > /data/note; echo $?; mkdir /data/dir; echo $?";
    let result = sh(&showing(Access::Read), memory().0, script).unwrap();
    assert_eq!(stdout(&result), "2\n1\n");
    assert!(String::from_utf8_lossy(&result.stderr).contains("Read-only file system"));
}

#[test]
fn a_quota_holds_in_a_sandbox() {
    needs_fuse_inside!();
    let (place, state) = (place(), place());
    let fs = PassthroughFs::builder()
        .root_dir(place.path())
        .stat_virtualization(StatVirtualization::Off)
        .quota(Quota::bytes(1.mib()).state_dir(state.path()))
        .build()
        .unwrap();
    let script = "head -c 4194304 /dev/zero > /data/large; echo $?; df -k --output=size /data | tail -1";
    let said = stdout(&sh(&policy(), builder(Arc::new(fs)), script).unwrap());
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["1", "1024"]);
    let written = std::fs::metadata(place.path().join("large")).unwrap().len();
    assert!((500_000..=1 << 20).contains(&written), "{written}");
}

#[test]
fn what_is_denied_of_a_directory_is_not_to_be_had_from_what_shows_it() {
    needs_fuse_inside!();
    let place = place();
    std::fs::create_dir(place.path().join("private")).unwrap();
    for file in ["public", "private/key"] {
        std::fs::write(place.path().join(file), "content").unwrap();
    }
    let fs = PassthroughFs::builder()
        .root_dir(place.path())
        .stat_virtualization(StatVirtualization::Off)
        .build()
        .unwrap();
    let mut policy = policy();
    policy.filesystem.deny.push(place.path().join("private"));
    let script = "cat /data/public; ls -A /data/private; cat /data/private/key; rm -r /data/private";
    let result = sh(&policy, builder(Arc::new(fs)), script).unwrap();
    assert_eq!(String::from_utf8_lossy(&result.stdout), "content");
    assert!(place.path().join("private/key").exists());
}

#[test]
fn what_is_denied_of_a_layer_is_not_to_be_had_from_the_overlay_of_it() {
    needs_fuse_inside!();
    let (lower, upper, staging) = (place(), place(), place());
    std::fs::write(lower.path().join("public"), "lower").unwrap();
    std::fs::write(lower.path().join("secret"), "content").unwrap();
    // By its name inside, and in the upper layer alone.
    std::fs::write(upper.path().join("new"), "content").unwrap();
    let fs = OverlayFs::builder()
        .layer(lower.path())
        .writable(upper.path())
        .staging(staging.path())
        .build()
        .unwrap();
    let layers = [&upper, &lower].map(|layer| layer.path().canonicalize().unwrap());
    assert_eq!(fs.shows(), layers);
    let mut policy = policy();
    policy.filesystem.deny = vec![lower.path().join("secret"), "/data/new".into()];
    let script = "cat /data/public; cat /data/secret; cat /data/new; true";
    let result = sh(&policy, builder(Arc::new(fs)), script).unwrap();
    assert_eq!(String::from_utf8_lossy(&result.stdout), "lower");
}

/// A directory that whoever the command is may write.
fn place() -> tempfile::TempDir {
    let place = tempfile::Builder::new().prefix("served-it-").tempdir();
    place.expect("a temporary directory")
}

#[test]
fn several_commands_of_one_sandbox_share_it() {
    needs_fuse_inside!();
    let mut sandbox = Sandbox::builder(&policy())
        .serve("data", memory().0)
        .build()
        .unwrap();
    let mut run = |script: &str| {
        let command = Command::new("/bin/sh")
            .args(["-c", script])
            .stdout(sandbox::Stdio::capture());
        sandbox.spawn(command).unwrap().wait().unwrap()
    };
    assert_eq!(stdout(&run("echo one > /data/note")), "");
    assert_eq!(stdout(&run("cat /data/note")), "one\n");
}

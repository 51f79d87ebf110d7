//! What a mount does while it is there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::Signal;

use super::{Mounted, eventually, read, signal, site};

#[test]
fn a_directory_is_served_in_the_foreground_until_ctrl_c() {
    let site = site!();
    let mounted = site.start(&["--stats"]);
    let first = mounted.said.lines().next().unwrap_or_default();
    assert_eq!(first, format!("[sandbox] mounted on {}", site.point.display()));
    assert_eq!(read(&site.point.join("file")), "before\n");
    fs::write(site.point.join("new"), "new\n").unwrap();
    assert_eq!(read(&site.dir.join("new")), "new\n");
    signal(mounted.child.id(), Signal::INT);
    let (status, said) = mounted.end();
    assert!(status.success() && !site.is_mounted(), "{status} {said}");
    let written = said.lines().find(|line| line.starts_with("WRITE "));
    let written = written.map(|line| line.split_whitespace().last());
    assert_eq!(written, Some(Some("4")), "{said}");
}

#[test]
fn a_directory_may_be_named_from_where_the_caller_is() {
    let site = site!();
    let mut command = site.place.command(["mount", "passthrough", "dir", "point"]);
    let mounted = Mounted::start(command.current_dir(site.place.root()));
    assert_eq!(read(&site.point.join("file")), "before\n");
    signal(mounted.child.id(), Signal::INT);
    let (status, said) = mounted.end();
    assert!(status.success() && !site.is_mounted(), "{status} {said}");
}

#[test]
fn what_was_read_and_written_is_counted() {
    let site = site!();
    fs::write(site.dir.join("large"), vec![7; 300_000]).unwrap();
    let mounted = site.start(&["--stats", "--cache", "never"]);
    assert_eq!(fs::read(site.point.join("large")).unwrap().len(), 300_000);
    signal(mounted.child.id(), Signal::TERM);
    let (_, said) = mounted.end();
    let read = said.lines().find(|line| line.starts_with("READ "));
    let read = read.map(|line| line.split_whitespace().last());
    assert_eq!(read, Some(Some("300000")), "{said}");
}

/// Why the kernel reads no files itself here, if it does not.
fn no_kernel_io() -> Option<&'static str> {
    if !super::is_root() {
        Some("only root may give the kernel files to read itself")
    } else if !kernel_is_at_least(6, 9) {
        Some("the kernel has no FOPEN_PASSTHROUGH (Linux 6.9)")
    } else {
        None
    }
}

/// What is never copied up is the same file to everybody; what may be is read through the server.
#[test]
fn with_kernel_io_layers_are_read_by_the_kernel_where_nothing_can_be_changed() {
    let site = site!();
    if let Some(why) = no_kernel_io() {
        skip!(super::name_of_test!(), "{why}");
    }
    let (layer, point) = (site.dir.to_string_lossy(), site.point.to_string_lossy());
    let [upper, work] = ["above", "staging"].map(|name| site.dir.with_file_name(name));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let (upper, work) = (upper.to_string_lossy(), work.to_string_lossy());
    fs::write(site.dir.join("large"), vec![7; 300_000]).unwrap();
    let flags = [
        "mount",
        "overlay",
        "--stats",
        "--kernel-io",
        "--stat",
        "off",
        "--layer",
        &layer,
    ];
    for (more, reads) in [
        (&["--read-only"][..], 0),
        (&["--upper", &upper, "--work", &work][..], 1),
    ] {
        let arguments = [&flags[..], more, &[&point]].concat();
        let mounted = Mounted::start(&mut site.place.command(arguments));
        assert_eq!(fs::read(site.point.join("large")).unwrap(), vec![7; 300_000]);
        signal(mounted.child.id(), Signal::INT);
        let (status, said) = mounted.end();
        let read = said.lines().filter(|line| line.starts_with("READ "));
        assert!(status.success() && read.count() == reads, "{said}");
    }
}

#[test]
fn with_kernel_io_root_s_reads_and_writes_never_come_to_the_server() {
    let site = site!();
    if let Some(why) = no_kernel_io() {
        skip!(super::name_of_test!(), "{why}");
    }
    let mounted = site.start(&["--stats", "--stat", "off", "--kernel-io"]);
    let content: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    fs::write(site.point.join("large"), &content).unwrap();
    assert_eq!(fs::read(site.point.join("large")).unwrap(), content);
    assert_eq!(fs::read(site.dir.join("large")).unwrap(), content);
    signal(mounted.child.id(), Signal::INT);
    let (status, said) = mounted.end();
    assert!(status.success() && said.contains("CREATE "), "{said}");
    let moved = said
        .lines()
        .filter(|line| line.starts_with("READ ") || line.starts_with("WRITE "));
    assert_eq!(moved.count(), 0, "{said}");
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = read(std::path::Path::new("/proc/sys/kernel/osrelease"));
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[test]
fn locks_of_an_open_file_description_end_with_it() {
    let site = site!();
    if !crate::harness::has("python3") {
        skip!(super::name_of_test!(), "no python3 on PATH");
    }
    let mounted = site.start(&[]);
    // F_OFD_SETLK of all, by two descriptions of one process.
    let script = "import fcntl, os, struct, sys
lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0)
one, two = (os.open(sys.argv[1], os.O_RDWR) for _ in range(2))
fcntl.fcntl(one, 37, lock)
try:
    fcntl.fcntl(two, 37, lock)
    sys.exit('both have it')
except BlockingIOError:
    pass
os.close(one)
for attempt in range(3000):
    try:
        fcntl.fcntl(two, 37, lock)
        sys.exit(0)
    except BlockingIOError:
        os.sched_yield()
        import time; time.sleep(0.01)
sys.exit('closing it gives nothing up')";
    let mut command = std::process::Command::new("python3");
    let ran = crate::harness::Ran::of(command.args(["-c", script]).arg(site.point.join("file")));
    assert_eq!(ran.status, 0, "{ran:?}");
    drop(mounted);
}

#[test]
fn in_the_background_it_serves_until_it_is_unmounted() {
    let site = site!();
    site.passthrough(&["--daemon"]).prints("");
    assert_eq!(read(&site.point.join("file")), "before\n");
    fs::write(site.point.join("file"), "after\n").unwrap();
    site.unmount();
    assert_eq!(read(&site.dir.join("file")), "after\n");
    assert!(site.point.read_dir().unwrap().next().is_none());
}

#[test]
fn a_filesystem_in_memory_holds_what_it_was_promised_and_no_more() {
    let site = site!();
    let point = site.point.display().to_string();
    let arguments = ["mount", "mem", "--size", "2M", "--inodes", "10", &point];
    let mounted = Mounted::start(&mut site.place.command(arguments));
    let error = fs::write(site.point.join("large"), vec![0; 3 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    fs::remove_file(site.point.join("large")).unwrap();
    // The kernel closes files behind their users' backs, and lets go of them after that.
    eventually("there is room again", || {
        fs::write(site.point.join("small"), vec![0; 1 << 20]).is_ok()
    });
    signal(mounted.child.id(), Signal::INT);
    assert!(mounted.end().0.success());
    assert!(site.point.read_dir().unwrap().next().is_none());
}

#[test]
fn owners_are_kept_beside_the_files_by_a_plain_user_too() {
    let site = site!();
    let mounted = site.start(&["--stat", "strict", "--no-default-permissions"]);
    let file = site.point.join("file");
    std::os::unix::fs::chown(&file, Some(4242), Some(4343)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4711)).unwrap();
    let stat = fs::metadata(&file).unwrap();
    assert_eq!(
        (stat.uid(), stat.gid(), stat.mode() & 0o7777),
        (4242, 4343, 0o4711)
    );
    let host = fs::metadata(site.dir.join("file")).unwrap();
    assert_eq!(host.uid(), rustix::process::geteuid().as_raw());
    signal(mounted.child.id(), Signal::INT);
    assert!(mounted.end().0.success());
}

#[test]
fn files_of_a_user_of_the_host_are_shown_as_another_ones() {
    let site = site!();
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let (users, groups) = (
        format!("4242:{}", uid.as_raw()),
        format!("4343:{}:2", gid.as_raw()),
    );
    let mounted = site.start(&[
        "--no-default-permissions",
        "--map-users",
        &users,
        "--map-groups",
        &groups,
    ]);
    let stat = fs::metadata(site.point.join("file")).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (4242, 4343));
    signal(mounted.child.id(), Signal::INT);
    assert!(mounted.end().0.success());
}

#[test]
fn a_quota_holds_and_its_figure_is_kept_for_the_next_mount() {
    let site = site!();
    for _ in 0..2 {
        let mounted = site.start(&["--stat", "off", "--quota", "1M"]);
        let error = fs::write(site.point.join("large"), vec![1; 2 << 20]).unwrap_err();
        let kind = error.kind();
        let is_full = matches!(
            kind,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        assert!(is_full, "{error}");
        signal(mounted.child.id(), Signal::INT);
        assert!(mounted.end().0.success());
        let written = fs::metadata(site.dir.join("large")).unwrap().len();
        assert!(written <= 1 << 20, "{written}");
    }
    let state = site.place.home().join(".local/state/sandbox/quota");
    let names = state.read_dir().unwrap().map(|entry| entry.unwrap().path());
    // Beside each figure for the next mount is the one of now.
    let kept = names.filter(|path| path.extension().is_none_or(|extension| extension != "live"));
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_single_file_is_shared_without_its_siblings() {
    let site = site!();
    site.place.write("dir/sibling", "secret\n");
    let dir = site.dir.join("file").display().to_string();
    let point = site.point.display().to_string();
    let arguments = ["mount", "passthrough", "--single-file", &dir, &point];
    let mounted = Mounted::start(&mut site.place.command(arguments));
    let names: Vec<_> = site.point.read_dir().unwrap().flatten().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(read(&site.point.join("file")), "before\n");
    assert!(fs::read(site.point.join("sibling")).is_err());
    fs::write(site.point.join("file"), "after\n").unwrap();
    assert_eq!(read(&site.dir.join("file")), "after\n");
    signal(mounted.child.id(), Signal::INT);
    assert!(mounted.end().0.success());
}

#[test]
fn with_watching_a_change_of_the_host_is_seen_whatever_is_remembered() {
    let site = site!();
    let mounted = site.start(&["--stat", "off", "--cache", "always", "--watch"]);
    let file = site.point.join("file");
    assert_eq!(read(&file), "before\n");
    fs::write(site.dir.join("file"), "after the change\n").unwrap();
    eventually("the change is seen", || read(&file) == "after the change\n");
    signal(mounted.child.id(), Signal::INT);
    assert!(mounted.end().0.success());
}

/// Its server must not see what it serves: it would ask itself, without end.
#[test]
fn root_serves_the_whole_machine_and_the_mount_is_not_seen_in_itself() {
    let site = site!();
    let point = site.point.display().to_string();
    let arguments = ["mount", "passthrough", "--stat", "off", "/", &point];
    if !super::is_root() {
        let ran = site.place.sandbox(arguments);
        ran.says(1, &["it would show itself"]);
        return;
    }
    let mounted = Mounted::start(&mut site.place.command(arguments));
    assert!(mounted.said.contains("a root of its own"), "{}", mounted.said);
    let seen = |path: &std::path::Path| site.point.join(path.strip_prefix("/").unwrap());
    assert_eq!(read(&seen(&site.dir.join("file"))), "before\n");
    assert_eq!(fs::read_dir(seen(&site.point)).unwrap().count(), 0);
    let device = fs::read(seen(std::path::Path::new("/dev/zero")));
    assert!(device.is_err(), "no device is opened");
    signal(mounted.child.id(), Signal::INT);
    assert!(mounted.end().0.success());
}

/// A server that kept to its caller's limit would have to refuse.
#[test]
fn more_files_can_be_open_than_the_shell_that_mounted_it_may_have() {
    let site = site!();
    let limited = format!(
        "ulimit -S -n 64 && exec {} mount passthrough --stat off {} {}",
        super::program().display(),
        site.dir.display(),
        site.point.display()
    );
    let mut shell = site.place.at_home(std::path::Path::new("/bin/sh"));
    let mounted = Mounted::start(shell.args(["-c", &limited]));
    let file = site.point.join("file");
    let open: Vec<_> = (0..200).map(|_| fs::File::open(&file).unwrap()).collect();
    drop(open);
    drop(mounted);
}

/// Files of procfs have no size, and other content each time.
#[test]
fn what_is_made_when_it_is_read_is_read_to_its_end_each_time() {
    for cache in ["never", "auto", "always"] {
        let site = site!();
        let point = site.point.display().to_string();
        let arguments = [
            "mount",
            "passthrough",
            "--stat",
            "off",
            "--cache",
            cache,
            "/proc/sys/kernel",
            &point,
        ];
        let mounted = Mounted::start(&mut site.place.command(arguments));
        assert_eq!(read(&site.point.join("ostype")), "Linux\n", "{cache}");
        let file = site.point.join("random/uuid");
        let (first, second) = (read(&file), read(&file));
        assert_eq!((first.len(), second.len()), (37, 37), "{cache}");
        assert_ne!(first, second, "{cache}");
        signal(mounted.child.id(), Signal::INT);
        assert!(mounted.end().0.success());
    }
}

#[test]
fn what_the_mount_table_says_can_be_chosen() {
    let site = site!();
    let mounted = site.start(&["--fsname", "project,data", "--subtype", "mine"]);
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = site.point.display().to_string();
    let line = table.lines().find(|line| line.contains(&point)).unwrap();
    assert!(line.starts_with("project,data "), "{line}");
    assert!(line.contains(" fuse.mine "), "{line}");
    drop(mounted);
}

#[test]
fn root_remounts_it_for_reading_and_back() {
    let site = site!();
    if !super::is_root() {
        skip!(super::name_of_test!(), "only root may remount");
    }
    let mounted = site.start(&[]);
    for (option, is_writable) in [("remount,ro", false), ("remount,rw", true)] {
        let status = std::process::Command::new("mount")
            .args(["-i", "-o", option])
            .arg(&site.point)
            .status();
        assert!(status.unwrap().success(), "{option}");
        assert_eq!(
            fs::write(site.point.join("file"), option).is_ok(),
            is_writable,
            "{option}"
        );
    }
    drop(mounted);
}

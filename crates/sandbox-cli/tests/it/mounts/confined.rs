//! The server is confined, and says how.

use std::fs;
use std::path::Path;

use super::{eventually, is_root, site};

fn status_of(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc");
    let line = status.lines().find(|line| line.starts_with(field));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.unwrap_or_else(|| panic!("{field} in {status}")).to_owned()
}

#[test]
fn the_server_has_a_filter_no_way_to_new_privileges_and_says_so() {
    let site = site!();
    let mounted = site.start(&["--stat", "off"]);
    let server = mounted.server();
    assert_eq!(status_of(server, "NoNewPrivs:"), "1");
    assert_eq!(status_of(server, "Seccomp:"), "2");
    for text in [
        "the server is confined: ",
        "a filter of system calls",
        "no_new_privs",
    ] {
        assert!(mounted.said.contains(text), "{}", mounted.said);
    }
    let kept = u64::from_str_radix(&status_of(server, "CapPrm:"), 16).unwrap();
    if !is_root() {
        assert_eq!(kept, 0);
        return;
    }
    // CAP_KILL, CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_PTRACE.
    for gone in [5, 12, 16, 17, 19] {
        assert_eq!(kept & 1 << gone, 0, "{gone} in {kept:x}");
    }
}

#[test]
fn the_server_of_memory_has_no_privilege_and_no_directory_at_all() {
    let site = site!();
    let point = site.point.display().to_string();
    let mut command = site.place.command(["mount", "mem", "--size", "1M", &point]);
    let mounted = super::Mounted::start(&mut command);
    let server = mounted.server();
    let kept = u64::from_str_radix(&status_of(server, "CapPrm:"), 16).unwrap();
    // CAP_SYS_NICE, of a root that may not raise its RLIMIT_NICE.
    let said = if kept == 0 {
        "no capability"
    } else {
        assert_eq!(kept, u64::from(is_root()) << 23);
        "capabilities: sys_nice"
    };
    assert!(mounted.said.contains(said), "{}", mounted.said);
    if is_root() {
        let root = format!("/proc/{server}/root");
        let names: Vec<_> = Path::new(&root)
            .read_dir()
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(names, ["proc"]);
    }
}

#[test]
fn the_server_inherits_nothing_of_its_caller_s() {
    let site = site!();
    let secret = site.place.write("secret", "secret");
    let script = format!(
        "exec 9< {}; exec {} mount passthrough {} {}",
        secret.display(),
        super::program().display(),
        site.dir.display(),
        site.point.display()
    );
    let mut shell = site.place.at_home(Path::new("/bin/sh"));
    let mounted = super::Mounted::start(shell.args(["-c", &script]));
    let open = fs::read_dir(format!("/proc/{}/fd", mounted.server())).expect("/proc");
    let targets: Vec<_> = open
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect();
    assert!(!targets.contains(&secret), "{targets:?}");
}

#[test]
fn without_walls_it_is_not_served_unless_that_is_asked_for() {
    let site = site!();
    // A kernel without Landlock, and nobody who may mount: as far as the server can tell.
    let without = "import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Filter(ctypes.Structure):
    _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.POINTER(Filter))]
# ld [nr]; jge 444, 0, 2; jgt 446, 1, 0; ret ENOSYS; ret ALLOW
code = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (0x06, 0, 0, 0x50026), (0x06, 0, 0, 0x7fff0000)]
filters = (Filter * len(code))(*[Filter(*one) for one in code])
program = Program(len(code), filters)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program)) == 0
os.execv(sys.argv[1], sys.argv[1:])";
    if is_root() || !crate::harness::has("python3") {
        skip!(
            super::name_of_test!(),
            "root has a root of its own, and python3 is needed"
        );
    }
    let point = site.point.display().to_string();
    let run = |flags: &[&str]| {
        let mut command = site.place.at_home(Path::new("python3"));
        command.args(["-c", without]).arg(super::program());
        command
            .args(["mount", "mem", "--size", "1M"])
            .args(flags)
            .arg(&point);
        crate::harness::Ran::of(&mut command)
    };
    run(&[]).says(
        1,
        &["nothing here keeps a server from other files", "--unconfined"],
    );
    assert!(!site.is_mounted());
}

/// It follows one caller, whom it cannot see, to its processor.
#[test]
fn root_s_server_works_beside_its_caller() {
    let site = site!();
    if !is_root() {
        skip!(super::name_of_test!(), "only root's server may stand back");
    }
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() < 2) {
        skip!(super::name_of_test!(), "there is one processor");
    }
    let mounted = site.start(&["--cache", "never"]);
    let server = Path::new("/proc").join(mounted.server().to_string());
    let file = site.point.join("file");
    eventually("a worker is bound to the caller's processor", || {
        assert!((0..500).all(|_| fs::metadata(&file).is_ok()));
        let tasks = fs::read_dir(server.join("task")).unwrap().flatten();
        tasks.into_iter().any(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let allowed = status
                .lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            allowed.is_some_and(|list| list.trim().parse::<u32>().is_ok())
        })
    });
}

//! What cannot be mounted: an error that names it, and nothing is left.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Site, is_root, name_of_test, read, signal, site};
use crate::harness::{Harness, Ran};

fn passthrough(place: &Harness, flags: &[&str], dir: &Path, point: &Path) -> Ran {
    let mut arguments: Vec<_> = ["mount", "passthrough"].map(std::ffi::OsString::from).into();
    arguments.extend(flags.iter().map(Into::into));
    arguments.extend([dir, point].map(Into::into));
    place.sandbox(arguments)
}

#[test]
fn a_root_that_is_a_file_or_missing_is_named() {
    let site = Site::new();
    let file = site.dir.join("file");
    let ran = passthrough(&site.place, &[], &file, &site.point);
    ran.says(1, &[&file.display().to_string(), "not a directory"]);
    let missing = site.dir.join("missing");
    let ran = passthrough(&site.place, &[], &missing, &site.point);
    ran.says(1, &[&missing.display().to_string(), "No such file or directory"]);
    let ran = passthrough(&site.place, &["--single-file"], &site.dir, &site.point);
    ran.says(1, &[&site.dir.display().to_string(), "not a regular file"]);
    assert!(!site.is_mounted());
}

#[test]
fn a_filesystem_without_extended_attributes_is_refused_by_strict_and_reported_by_relaxed() {
    let site = site!();
    for root in ["/proc/sys/kernel", "/sys/kernel"] {
        let ran = passthrough(&site.place, &["--stat", "strict"], Path::new(root), &site.point);
        ran.says(1, &[root, "extended attributes", "relaxed"]);
    }
    let point = site.point.display().to_string();
    let arguments = [
        "mount",
        "passthrough",
        "--stat",
        "relaxed",
        "/proc/sys/kernel",
        &point,
    ];
    let mounted = super::Mounted::start(&mut site.place.command(arguments));
    assert!(site.point.join("ostype").is_file());
    signal(mounted.child.id(), Signal::INT);
    let said = mounted.said.clone() + &mounted.end().1;
    assert!(
        said.contains("the host's own owners and modes are shown"),
        "{said}"
    );
}

#[test]
fn a_mount_point_that_cannot_be_one_is_named() {
    let site = site!();
    let point = |name: &str| site.place.root().join(name);
    let missing = point("missing");
    let ran = passthrough(&site.place, &[], &site.dir, &missing);
    ran.says(1, &[&missing.display().to_string(), "does not exist", "mkdir -p"]);
    let full = site.place.write("full/file", "here\n");
    let ran = passthrough(&site.place, &[], &site.dir, &point("full"));
    ran.says(1, &["full", "is not empty"]);
    assert_eq!(read(&full), "here\n");
    for flags in [&[][..], &["--single-file"]] {
        let dir = if flags.is_empty() { &site.dir } else { &full };
        let ran = passthrough(&site.place, flags, dir, &full);
        ran.says(1, &["full/file", "the mount point is a file", "give a directory"]);
        assert_eq!(read(&full), "here\n");
    }
    if !is_root() {
        let ran = passthrough(&site.place, &[], &site.dir, Path::new("/sys/kernel/debug"));
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains("/sys/kernel/debug"), "{ran:?}");
    }
}

#[test]
fn a_mount_point_in_what_is_served_is_refused_where_the_server_would_see_itself() {
    let site = site!();
    let point = site.dir.join("point");
    std::fs::create_dir(&point).expect("mkdir");
    // A server without walls works in the same tree as its mount.
    let flags = if is_root() { &["--unconfined"][..] } else { &[] };
    let ran = passthrough(&site.place, flags, &site.dir, &point);
    ran.says(1, &["dir/point", "it would show itself", "elsewhere"]);
}

#[test]
fn names_in_the_mount_table_are_not_empty() {
    let site = site!();
    for flag in ["--fsname=", "--subtype="] {
        site.passthrough(&[flag]).says(2, &[flag.trim_end_matches('=')]);
    }
}

#[test]
fn a_place_that_is_mounted_on_already_is_not_mounted_on_again() {
    let site = site!();
    let mounted = site.start(&[]);
    let ran = site.passthrough(&[]);
    ran.says(1, &["something is mounted there already"]);
    assert_eq!(
        read(&site.point.join("file")),
        "before\n",
        "the first one goes on"
    );
    drop(mounted);
}

#[test]
fn a_quota_of_nothing_or_of_no_size_is_refused() {
    let site = Site::new();
    site.passthrough(&["--quota", "0"])
        .says(1, &["a quota of zero", "leave the quota out"]);
    site.passthrough(&["--quota", "lots"]).says(2, &["lots"]);
    site.passthrough(&["--quota-inodes", "5"]).says(2, &["--quota"]);
    let point = site.point.display().to_string();
    let ran = site.place.sandbox(["mount", "mem", "--size", "0", &point]);
    ran.says(1, &["0"]);
    assert!(!site.is_mounted());
}

#[test]
fn ranges_of_ids_that_are_none_or_overlap_are_named() {
    let site = Site::new();
    for bad in ["0", "0:x", "1:2:3:4", "-1:0"] {
        site.passthrough(&[&format!("--map-users={bad}")])
            .says(2, &["--map-users", bad, "0:1000"]);
    }
    site.passthrough(&["--map-groups", "0:1000:10", "--map-groups", "5:2000"])
        .says(1, &["0", "1000", "10"]);
    assert!(!site.is_mounted());
}

#[test]
fn contradictions_are_all_said_before_anything_is_mounted() {
    let site = Site::new();
    let ran = site.passthrough(&["--cache", "never", "--writeback", "--read-only"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.matches("write").count() >= 2, "{ran:?}");
    assert!(!site.is_mounted());
}

#[test]
fn in_the_background_the_same_is_said() {
    let site = Site::new();
    let missing = site.dir.join("missing");
    let ran = passthrough(&site.place, &["--daemon"], &missing, &site.point);
    ran.says(1, &[&missing.display().to_string()]);
}

/// `sandbox mount mem` as root of a user namespace in whose /dev `change` has been made.
fn in_changed_dev(site: &Site, change: &str) -> Option<Ran> {
    let script = format!(
        "{change} || exit 77; exec {} mount mem --size 1M {}",
        super::program().display(),
        site.point.display()
    );
    let mut command = site.place.at_home(Path::new("unshare"));
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let ran = Ran::of(&mut command);
    (ran.status != 77 && !ran.stderr.contains("unshare: ")).then_some(ran)
}

#[test]
fn a_machine_without_a_fuse_device_is_told_what_to_do() {
    let site = Site::new();
    let Some(ran) = in_changed_dev(
        &site,
        "touch null && mount -t tmpfs none /mnt && touch /mnt/null && mount --bind /dev/null /mnt/null && mount --rbind /mnt /dev",
    ) else {
        skip!(name_of_test!(), "no user namespace with a mount namespace");
    };
    ran.says(1, &["/dev/fuse does not exist", "modprobe fuse"]);
}

#[test]
fn a_fuse_device_that_may_not_be_opened_is_told_with_the_remedy() {
    let site = Site::new();
    if is_root() {
        let node = site.place.root().join("fuse");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &node,
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::from_raw_mode(0o600),
            rustix::fs::makedev(10, 229),
        );
        if let Err(error) = made {
            skip!(name_of_test!(), "no device can be made: {error}");
        }
        fs::set_permissions(
            site.place.root(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        std::os::unix::fs::chown(&site.point, Some(65534), Some(65534)).unwrap();
        let script = format!(
            "mount --bind {} /dev/fuse && exec setpriv --reuid 65534 --regid 65534 --clear-groups {} mount mem --size 1M {}",
            node.display(),
            super::program().display(),
            site.point.display()
        );
        let mut command = site.place.at_home(Path::new("unshare"));
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        let ran = Ran::of(&mut command);
        if ran.stderr.contains("setpriv") {
            skip!(
                name_of_test!(),
                "the program cannot be executed by others: {}",
                ran.stderr
            );
        }
        ran.says(1, &["/dev/fuse", "chmod 0666 /dev/fuse"]);
        return;
    }
    let opened = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    if opened.is_ok() {
        skip!(name_of_test!(), "this user may open /dev/fuse");
    }
    site.passthrough(&[])
        .says(1, &["/dev/fuse", "chmod 0666 /dev/fuse"]);
}

#[test]
fn without_the_helper_a_plain_user_is_told_which_package_has_it() {
    if is_root() {
        skip!(name_of_test!(), "root needs no helper");
    }
    let site = Site::new();
    let mut command: Command = site.place.command(site.arguments(&[]));
    command.env("PATH", site.place.root());
    Ran::of(&mut command).says(1, &["fusermount3", "fuse3"]);
}

/// `sandbox mount dual --a A --b B`, with a little of what it may say.
fn dual(site: &Site, [a, b]: [&Path; 2], expected: &[&str]) {
    let [a, b, point] = [a, b, &site.point].map(|path| path.display().to_string());
    let ran = site
        .place
        .sandbox(["mount", "dual", "--a", &a, "--b", &b, &point]);
    ran.says(1, expected);
    assert!(!site.is_mounted());
}

#[test]
fn a_directory_for_changes_that_is_beneath_or_has_what_is_beneath_in_it_is_refused() {
    let site = Site::new();
    let inner = site.dir.join("inner");
    fs::create_dir(&inner).unwrap();
    let (outer, file) = (site.dir.as_path(), site.dir.join("file"));
    let (before, missing) = (read(&file), site.dir.join("missing"));
    dual(&site, [outer, outer], &["given twice"]);
    dual(&site, [&inner, outer], &["inner: inside of"]);
    dual(&site, [outer, &inner], &["inner: inside of"]);
    let beside = site.place.root().join("beside");
    fs::create_dir(&beside).unwrap();
    dual(&site, [&beside, &missing], &["missing", "No such file"]);
    dual(&site, [&missing, outer], &["missing", "No such file"]);
    dual(&site, [&file, &beside], &["file: not a directory"]);
    dual(&site, [&beside, &file], &["file: not a directory"]);
    assert_eq!(read(&file), before);
    assert_eq!(fs::read_dir(&beside).unwrap().count(), 0);
}

#[test]
fn a_directory_for_changes_that_is_in_use_is_refused_and_it_is_said_by_whom() {
    let site = site!();
    let [changes, other, work] = ["changes", "other", "for-work"].map(|name| site.place.root().join(name));
    for directory in [&changes, &other, &work] {
        fs::create_dir(directory).unwrap();
    }
    let base = site.dir.display().to_string();
    let dual = |point: &Path| {
        let [a, point] = [&changes, point].map(|path| path.display().to_string());
        ["mount", "dual", "--a", &a, "--b", &base, &point].map(str::to_owned)
    };
    let mounted = super::Mounted::start(&mut site.place.command(dual(&site.point)));
    let in_use = ["changes: in use by process", "mount dual"];
    site.place.sandbox(dual(&other)).says(1, &in_use);
    let [upper, work, point] = [&changes, &work, &other].map(|path| path.display().to_string());
    let overlay = [
        "mount", "overlay", "--layer", &base, "--upper", &upper, "--work", &work, &point,
    ];
    site.place.sandbox(overlay).says(1, &in_use);
    fs::write(site.point.join("new"), "goes on\n").unwrap();
    site.unmount();
    mounted.end();
    assert_eq!(read(&changes.join("new")), "goes on\n");
    let again = super::Mounted::start(&mut site.place.command(dual(&site.point)));
    assert_eq!(read(&site.point.join("new")), "goes on\n");
    drop(again);
}

/// `sandbox mount overlay --layer LAYERS --upper UPPER --work WORK`, with a little of what it may say.
fn overlay(site: &Site, layers: &[&Path], [upper, work]: [&Path; 2], expected: &[&str]) {
    let mut command = site.place.command(["mount", "overlay"]);
    for layer in layers {
        command.arg("--layer").arg(layer);
    }
    command.arg("--upper").arg(upper).arg("--work").arg(work);
    Ran::of(command.arg(&site.point)).says(1, expected);
    assert!(!site.is_mounted());
}

#[test]
fn what_an_overlay_cannot_be_made_of_is_named_and_nothing_is_made_there() {
    let site = Site::new();
    let [upper, work, missing] = ["upper", "for-work", "missing"].map(|name| site.place.root().join(name));
    let (layer, file) = (site.dir.as_path(), site.dir.join("file"));
    for directory in [&upper, &work, &layer.join("inner")] {
        fs::create_dir(directory).unwrap();
    }
    let changes: [&Path; 2] = [&upper, &work];
    overlay(
        &site,
        &[&missing],
        changes,
        &["missing: cannot be opened: No such file"],
    );
    overlay(&site, &[&file], changes, &["file: not a directory"]);
    overlay(&site, &[layer, layer], changes, &["dir: given twice, also as"]);
    overlay(&site, &[layer], [layer, &work], &["dir: given twice"]);
    overlay(
        &site,
        &[layer],
        [&layer.join("inner"), &work],
        &["inner: inside of", "dir"],
    );
    overlay(&site, &[layer], [&upper, &upper], &["upper: given twice"]);
    let around = site.place.root().join("around");
    fs::create_dir_all(around.join("upper")).unwrap();
    overlay(
        &site,
        &[&around],
        [&around.join("upper"), &work],
        &["upper: inside of"],
    );
    overlay(
        &site,
        &[layer],
        [&upper, Path::new("/proc")],
        &["/proc: not on the filesystem", "hint: "],
    );
    // All at once.
    overlay(
        &site,
        &[&missing, &file],
        [&upper, &upper],
        &["missing", "file: not a directory", "given twice"],
    );
    assert_eq!(fs::read_dir(layer).unwrap().count(), 2);
    for directory in changes {
        assert_eq!(
            fs::read_dir(directory).unwrap().count(),
            0,
            "{}",
            directory.display()
        );
    }
}

#[test]
fn an_upper_that_is_in_use_is_refused_and_it_is_said_by_whom() {
    let site = site!();
    let [upper, work, other, point] =
        ["upper", "for-work", "other-work", "other"].map(|name| site.place.root().join(name));
    for directory in [&upper, &work, &other, &point] {
        fs::create_dir(directory).unwrap();
    }
    let overlay = |upper: &Path, work: &Path, point: &Path| {
        let [layer, upper, work, point] =
            [&site.dir, upper, work, point].map(|path| path.display().to_string());
        [
            "mount", "overlay", "--layer", &layer, "--upper", &upper, "--work", &work, &point,
        ]
        .map(str::to_owned)
    };
    let mounted = super::Mounted::start(&mut site.place.command(overlay(&upper, &work, &site.point)));
    let ran = site.place.sandbox(overlay(&upper, &other, &point));
    ran.says(1, &["upper: in use by process", "mount overlay"]);
    let ran = site.place.sandbox(overlay(&other, &work, &point));
    ran.says(1, &["for-work: in use by process", "mount overlay"]);
    let export = || {
        let upper = upper.display().to_string();
        site.place.sandbox(["layer", "export", &upper, "-o", "layer"])
    };
    export().says(
        1,
        &[
            "upper: in use by process",
            "mount overlay",
            "hint: unmount the overlay",
        ],
    );
    fs::write(site.point.join("new"), "goes on\n").unwrap();
    site.unmount();
    mounted.end();
    assert_eq!(read(&upper.join("new")), "goes on\n");
    export().says(0, &["2 entries"]);
}

#[test]
fn an_upper_that_the_kernel_has_mounted_is_refused_and_it_is_said_where() {
    let site = Site::new();
    let root = site.place.root();
    for name in ["up per", "for-work", "other-work", "merged"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let script = format!(
        "cd {root} && mount -t overlay o -o 'userxattr,lowerdir=dir,upperdir={root}/up per,workdir={root}/for-work' merged || exit 77
        exec {program} mount overlay --layer dir --upper 'up per' --work other-work {point}",
        root = root.display(),
        program = super::program().display(),
        point = site.point.display()
    );
    let mut command = site.place.at_home(Path::new("unshare"));
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let ran = Ran::of(&mut command);
    if ran.status == 77 || ran.stderr.contains("unshare: ") {
        skip!(
            name_of_test!(),
            "no overlayfs in a user namespace: {}",
            ran.stderr
        );
    }
    ran.says(
        1,
        &[
            "up per: in use by the kernel's overlayfs, mounted at",
            "/merged",
            "hint: unmount it",
        ],
    );
}

//! What the modes `kernel` and `exact` do differently from a plain directory: every line of the table in docs/platform.md.
//!
//! Most of these are overlayfs without the options that a user namespace is not given. A test that fails here says
//! that the table has to be changed; mode `copy` has no differences.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use super::plain::{in_plain, no_python, on_branch};
use super::project::{Project, modes, name_of_test};
use crate::harness::{Harness, Ran, binary, skipped};

/// In a plain directory and in other modes the program prints `plain`, in mode `kernel` it prints `kernel`.
#[track_caller]
fn differs(test: &str, program: &str, plain: &str, kernel: &str) {
    differ(test, program, plain, &[("kernel", kernel)]);
}

/// The same where others differ too.
#[track_caller]
fn differ(test: &str, program: &str, plain: &str, others: &[(&str, &str)]) {
    if let Some(reason) = no_python() {
        return skipped(test, reason);
    }
    assert_eq!(in_plain(program).printed, plain, "plain");
    for mode in modes(test) {
        let other = others.iter().find(|(other, _)| *other == mode);
        let expected = other.map_or(plain, |(_, expected)| expected);
        assert_eq!(on_branch(mode, program).printed, expected, "mode {mode}");
    }
}

#[test]
fn a_directory_of_the_base_is_not_renamed_but_copied_by_programs() {
    let program = r#"
attempt(os.rename, "dir", "moved")
attempt(renameat2, "empty", "other", NOREPLACE)
os.mkdir("new")
attempt(renameat2, "new", "dir" if os.path.exists("dir") else "moved", EXCHANGE)
"#;
    differs(name_of_test!(), program, "ok\nok\nok\n", "EXDEV\nEXDEV\nEXDEV\n");
}

#[test]
fn a_write_to_one_of_two_hard_links_parts_them() {
    let program = r#"
write("hard1", "more\n", "a")
print(read("hard2").split(), os.stat("hard1").st_nlink, os.stat("hard2").st_nlink)
"#;
    differs(
        name_of_test!(),
        program,
        "['hard', 'more'] 2 2\n",
        "['hard'] 1 2\n",
    );
}

#[test]
fn a_new_link_to_a_file_of_the_base_has_another_number() {
    let program = r#"
os.link("file", "again")
print(os.path.samefile("file", "again"))
"#;
    differs(name_of_test!(), program, "True\n", "False\n");
}

#[test]
fn a_deleted_file_of_the_base_that_is_open_for_reading_keeps_its_count_and_its_attributes() {
    let program = r#"
fd = os.open("file", os.O_RDONLY)
os.unlink("file")
print(os.fstat(fd).st_nlink)
attempt(os.fchmod, fd, 0o600)
"#;
    differs(name_of_test!(), program, "0\nok\n", "1\nEEXIST\n");
}

#[test]
fn a_mapping_of_a_descriptor_from_before_the_first_write_shows_the_base() {
    let program = r#"
reader = os.open("file", os.O_RDONLY)
before = mmap.mmap(reader, 0, prot=mmap.PROT_READ)
writer = os.open("file", os.O_WRONLY)
os.pwrite(writer, b"NEW", 0)
print(before[0:3], mmap.mmap(reader, 0, prot=mmap.PROT_READ)[0:3])
"#;
    differs(name_of_test!(), program, "b'NEW' b'NEW'\n", "b'old' b'old'\n");
}

#[test]
fn a_directory_that_was_written_to_does_not_count_its_directories() {
    let program = r#"
print(os.stat("dir").st_nlink, os.stat("empty").st_nlink)
os.mkdir("dir/made")
print(os.stat("dir").st_nlink)
"#;
    let merged = "3 2\n1\n";
    let others = [("kernel", merged), ("exact", merged)];
    differ(name_of_test!(), program, "3 2\n4\n", &others);
}

#[test]
fn the_file_system_is_called_overlayfs() {
    let program = r#"
buffer = ctypes.create_string_buffer(256)
libc.statfs(b".", buffer)
print(int.from_bytes(buffer[0:8], "little") == 0x794C7630)
"#;
    differs(name_of_test!(), program, "False\n", "True\n");
}

#[test]
fn a_name_that_was_deleted_in_an_earlier_run_is_counted_until_the_file_is_changed() {
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        project.sh("x", mode, "rm hard1").says(0, &[]);
        let expected = if mode == "copy" { "1\n1\n" } else { "2\n1\n" };
        let script = "stat -c %h hard2; echo more >> hard2; stat -c %h hard2";
        let first = project.sh("x", mode, script).stdout;
        let second = project.sh("x", mode, "stat -c %h hard2").stdout;
        if mode == "exact" {
            // Another name is looked for when the run has ended.
            assert_eq!((first.as_str(), second.as_str()), ("2\n2\n", "1\n"));
        } else {
            assert_eq!(
                (first.as_str(), second.as_str()),
                (expected, "1\n"),
                "mode {mode}"
            );
        }
    }
}

/// Root reads every file.
#[test]
fn a_file_that_its_owner_may_not_read_can_be_changed_unless_it_is_served() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    for mode in ["kernel", "exact"] {
        if !modes(name_of_test!()).contains(&mode) {
            continue;
        }
        let project = Project::new();
        let path = project.base().join("second");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o200)).expect("chmod");
        let ran = project.sh("x", mode, "chmod 600 second 2>&1 && cat second");
        if mode == "kernel" {
            ran.prints("second\n");
        } else {
            assert!(ran.stdout.contains("Permission denied"), "{ran:?}");
        }
    }
}

/// Root alone can set it up, and a plain user alone meets it.
#[test]
fn a_plain_user_cannot_write_to_or_rename_files_of_other_owners() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Harness::new();
    let program = place.root().join("sandbox");
    fs::copy(binary(), &program).expect("copy");
    place.write("work/f", "theirs\n");
    fs::set_permissions(place.root(), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::set_permissions(place.work().join("f"), fs::Permissions::from_mode(0o666)).expect("chmod");
    for directory in [place.work(), place.home()] {
        chown(directory, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    let node = place.root().join("fuse");
    for mode in modes(name_of_test!()) {
        let script = "(echo more >> f) 2>&1; mv f g 2>&1; ls";
        let mut command = place.at_home("unshare".as_ref());
        // Where /dev/fuse is root's alone, nobody shall have one as well.
        let enter = "mknod -m 666 $0 c 10 229 2> /dev/null; mount --bind $0 /dev/fuse; exec \"$@\"";
        command
            .args(["--mount", "--propagation=private", "sh", "-c", enter])
            .arg(&node)
            .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(["run", "-q", "--branch", "--branch-mode", mode, "--workspace=."])
            .args(["--", "sh", "-c", script])
            .env("LC_ALL", "C");
        let ran = Ran::of(&mut command);
        assert_eq!(ran.status, 0, "{ran:?}");
        match mode {
            "kernel" | "exact" => {
                let refused =
                    ["Value too large", "Permission denied"].map(|text| ran.stdout.matches(text).count());
                let expected = if mode == "kernel" { [2, 0] } else { [1, 1] };
                assert_eq!(refused, expected, "{ran:?}");
                assert!(ran.stdout.ends_with("f\n"), "{ran:?}");
            }
            _ => assert_eq!(ran.stdout, "g\n"),
        }
    }
}

//! Calls that change a file without having opened it for writing: none of them reaches the base.

use super::plain::{PYTHON, like_plain, no_python};
use super::project::{Project, modes, name_of_test};
use crate::harness::skipped;

#[test]
fn a_descriptor_for_reading_changes_mode_times_and_attributes_of_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
fd = os.open("file", os.O_RDONLY)
os.fchmod(fd, 0o600)
os.setxattr(fd, "user.new", b"1")
os.removexattr(fd, "user.note")
os.utime(fd, (1e9, 1e9))
print(oct(os.fstat(fd).st_mode), oct(os.stat("file").st_mode), os.fstat(fd).st_mtime)
print(os.listxattr(fd), os.listxattr("file"))
fd = os.open("dir", os.O_RDONLY | os.O_DIRECTORY)
os.fchmod(fd, 0o700)
os.setxattr(fd, "user.dir", b"1")
os.utime(fd, (1e9, 1e9))
"#,
    );
}

#[test]
fn a_path_changes_mode_times_owner_and_attributes_of_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
os.chmod("file", 0o606)
os.chmod(".", 0o711)
os.utime("second", (1e9, 1e9))
os.utime("link", (1e9, 1e9), follow_symlinks=False)
os.setxattr("dir/sub", "user.note", b"x" * 1000)
os.removexattr("file", "user.note")
attempt(os.removexattr, "second", "user.none")
attempt(os.setxattr, "second", "user.note", b"1", os.XATTR_REPLACE)
os.chown("second", os.geteuid(), os.getegid())
os.lchown("link", os.geteuid(), os.getegid())
"#,
    );
}

#[test]
fn the_oldest_and_the_newest_calls_by_number_change_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
UTIME, UTIMES, FUTIMESAT, CREAT, TRUNCATE = 132, 235, 261, 85, 76
syscall(UTIME, b"file", (ctypes.c_long * 2)(10**9, 10**9))
syscall(UTIMES, b"exec", (ctypes.c_long * 4)(10**9, 0, 10**9, 0))
syscall(FUTIMESAT, AT_FDCWD, b"readonly", (ctypes.c_long * 4)(10**9, 0, 10**9, 0))
attempt(syscall, FCHMODAT2, AT_FDCWD, b"file", 0o604, 0)
os.close(syscall(CREAT, b"second", 0o600))
os.close(syscall(CREAT, b"dir/created", 0o651))
open_how = lambda flags, mode: (ctypes.c_uint64 * 3)(flags, mode, 0)
how = open_how(os.O_WRONLY | os.O_TRUNC, 0)
os.close(syscall(OPENAT2, AT_FDCWD, b"dir/inner", how, 24))
how = open_how(os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
attempt(syscall, OPENAT2, AT_FDCWD, b"file", how, 24)
os.close(syscall(OPENAT2, AT_FDCWD, b"fresh", how, 24))
"#,
    );
}

#[test]
fn opening_to_read_with_truncation_empties_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
os.close(os.open("second", os.O_RDONLY | os.O_TRUNC))
os.truncate("file", 3)
os.truncate("dir/inner", 100000)
os.close(os.open("exec", os.O_WRONLY))
"#,
    );
}

#[test]
fn a_descriptor_for_reading_that_is_opened_anew_for_writing_writes_to_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
read_only = os.open("file", os.O_RDONLY)
again = os.open(f"/proc/self/fd/{read_only}", os.O_RDWR)
os.pwrite(again, b"NEW", 0)
print(os.pread(read_only, 100, 0))
path = os.open("second", os.O_PATH)
os.chmod(f"/proc/self/fd/{path}", 0o600)
write(f"/proc/self/fd/{path}", "through a path\n")
"#,
    );
}

#[test]
fn a_shared_mapping_writes_to_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
with open("file", "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as map:
        map[0:3] = b"MAP"
        map.flush()
print(read("file"))
"#,
    );
}

#[test]
fn an_anonymous_file_is_linked_into_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
LINKAT, AT_SYMLINK_FOLLOW = 265, 0x400
fd = os.open("dir", os.O_TMPFILE | os.O_RDWR, 0o640)
os.write(fd, b"anonymous\n")
print(os.fstat(fd).st_nlink, sorted(os.listdir("dir")))
link = lambda name: syscall(LINKAT, AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, name, AT_SYMLINK_FOLLOW)
attempt(link, b"dir/named")
attempt(link, b"dir/inner")
print(os.fstat(fd).st_nlink, sorted(os.listdir("dir")))
"#,
    );
}

#[test]
fn attributes_with_overlayfs_own_names_are_attributes_like_others() {
    like_plain(
        name_of_test!(),
        r#"
os.setxattr("file", "user.overlay.opaque", b"y")
os.setxattr("dir", "user.overlay.redirect", b"/empty")
os.setxattr("dir", "user.overlay.whiteout", b"y")
os.mkdir("new")
os.setxattr("new", "user.overlay.opaque", b"y")
write("dir/inner", "x")
print(sorted(os.listxattr("dir")), os.getxattr("new", "user.overlay.opaque"))
"#,
    );
}

#[test]
fn copies_within_the_kernel_write_to_the_view_alone() {
    like_plain(
        name_of_test!(),
        r#"
source = os.open("exec", os.O_RDONLY)
target = os.open("file", os.O_WRONLY)
os.copy_file_range(source, target, 9)
os.sendfile(target, source, 0, 3)
os.posix_fallocate(target, 0, 50)
print(read("file"))
"#,
    );
}

/// Whatever comes of these calls, which differs from one place and file system to the next.
#[test]
fn nothing_else_that_could_change_a_file_reaches_the_base() {
    if let Some(reason) = no_python() {
        return skipped(name_of_test!(), reason);
    }
    let program = r#"
import ctypes, fcntl, os
libc = ctypes.CDLL(None)
SETXATTRAT, REMOVEXATTRAT, FILE_SETATTR, QUOTACTL_FD, FANOTIFY = 463, 466, 469, 443, 300
FALLOCATE, UTIMENSAT, CHMOD, FCHOWNAT, MOUNT_SETATTR = 285, 280, 90, 260, 442
SETFLAGS, SETVERSION, FSSETXATTR, FITRIM, FICLONE = 0x40086602, 0x40087602, 0x401C5820, 0xC0185879, 0x40049409
for name in ["file", "dir", "readonly", "sparse", "."]:
    fd = os.open(name, os.O_RDONLY)
    value = ctypes.create_string_buffer(b"1")
    args = (ctypes.c_uint64 * 2)(ctypes.addressof(value), 1)
    libc.syscall(SETXATTRAT, fd, b"", 0x1000, b"user.at", args, 16)
    libc.syscall(SETXATTRAT, -100, name.encode(), 0, b"user.at", args, 16)
    libc.syscall(REMOVEXATTRAT, -100, name.encode(), 0, b"user.note")
    libc.syscall(FILE_SETATTR, -100, name.encode(), (ctypes.c_uint64 * 3)(0x80, 0, 0), 24, 0)
    libc.syscall(UTIMENSAT, fd, None, None, 0)
    libc.syscall(UTIMENSAT, -100, name.encode(), None, 0)
    libc.syscall(FALLOCATE, fd, 3, ctypes.c_long(0), ctypes.c_long(4096))
    libc.syscall(FCHOWNAT, fd, b"", os.getuid(), os.getgid(), 0x1000)
    for request, argument in [
        (SETFLAGS, (0x40).to_bytes(8, "little")),
        (SETFLAGS, (0x20).to_bytes(8, "little")),
        (SETFLAGS, (0x10).to_bytes(8, "little")),
        (SETVERSION, (7).to_bytes(8, "little")),
        (FSSETXATTR, (0x80).to_bytes(28, "little")),
        (FITRIM, bytes(24)),
    ]:
        try:
            fcntl.ioctl(fd, request, argument)
        except OSError:
            pass
    source = os.open("second", os.O_RDONLY)
    libc.ioctl(fd, FICLONE, source)
    libc.syscall(MOUNT_SETATTR, fd, b"", 0x1000, (ctypes.c_uint64 * 4)(1, 0, 0, 0), 32)
"#;
    for mode in modes(name_of_test!()) {
        let project = Project::new();
        let before = project.fingerprint();
        let ran = project.on("x", mode, &[PYTHON, "-c", program]);
        assert_eq!(ran.status, 0, "{ran:?}");
        before.still_holds();
    }
}

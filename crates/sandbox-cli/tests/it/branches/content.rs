//! What is in files, and what is known of them.

use super::plain::like_plain;
use super::project::name_of_test;

#[test]
fn appending_through_a_link_keeps_what_was_there() {
    like_plain(
        name_of_test!(),
        r#"
write("link", "appended\n", "a")
print(read("file"))
attempt(write, "dangling", "made\n", "a")
print(read("nowhere"))
"#,
    );
}

#[test]
fn a_file_that_is_written_to_keeps_its_mode_owner_and_attributes() {
    like_plain(
        name_of_test!(),
        r#"
write("file", "more\n", "a")
write("exec", "echo more\n", "a")
print(subprocess.run(["./exec"], capture_output=True).stdout)
os.chmod("dir/sub/deep", 0o644)
os.utime("dir/sub/deep", (1e9, 1e9))
write("dir/inner", "rewritten\n")
"#,
    );
}

#[test]
fn a_sparse_file_stays_sparse() {
    like_plain(
        name_of_test!(),
        r#"
with open("sparse", "r+b") as file:
    file.seek(4 << 20)
    file.write(b"middle")
with open("made", "wb") as file:
    file.truncate(64 << 20)
"#,
    );
}

#[test]
fn an_open_file_outlives_its_name() {
    like_plain(
        name_of_test!(),
        r#"
for name in ["file", "made"]:
    fd = os.open(name, os.O_RDWR | os.O_CREAT)
    os.unlink(name)
    print(os.fstat(fd).st_nlink, os.fstat(fd).st_size, oct(os.fstat(fd).st_mode), os.read(fd, 100))
    os.fchmod(fd, 0o600)
    os.utime(fd, (1e9, 1e9))
    print(oct(os.fstat(fd).st_mode), os.fstat(fd).st_mtime)
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"written", 0)
    print(os.pread(fd, 100, 0), os.fstat(fd).st_size)
    attempt(os.stat, name)
fd = os.open("second", os.O_RDONLY)
os.unlink("second")
print(os.fstat(fd).st_size, os.read(fd, 100))
"#,
    );
}

#[test]
fn a_file_that_is_replaced_under_a_reader_is_read_as_it_was() {
    like_plain(
        name_of_test!(),
        r#"
reader = open("file")
write("new", "new\n")
os.rename("new", "file")
print(reader.read(), read("file"))
"#,
    );
}

#[test]
fn what_one_descriptor_writes_another_that_was_open_before_reads() {
    like_plain(
        name_of_test!(),
        r#"
reader = os.open("file", os.O_RDONLY)
print(os.pread(reader, 3, 0))
writer = os.open("file", os.O_WRONLY)
os.pwrite(writer, b"NEW", 0)
print(os.pread(reader, 3, 0), os.fstat(reader).st_mtime > 1.5e9)
os.ftruncate(writer, 1)
print(os.fstat(reader).st_size, os.path.samestat(os.fstat(reader), os.fstat(writer)))
"#,
    );
}

#[test]
fn a_file_is_the_same_before_and_after_it_is_written_to() {
    like_plain(
        name_of_test!(),
        r#"
before, directory = os.stat("file"), os.stat("dir")
write("file", "more\n", "a")
write("dir/made", "made\n")
print(os.path.samestat(before, os.stat("file")), os.path.samestat(directory, os.stat("dir")))
print({entry.name for entry in os.scandir(".") if entry.inode() != os.lstat(entry.path).st_ino})
print(os.stat("file").st_dev == os.stat("second").st_dev == os.stat("dir").st_dev)
"#,
    );
}

#[test]
fn locks_on_files_exclude_one_another() {
    like_plain(
        name_of_test!(),
        r#"
first, second = open("file"), open("file", "r+")
fcntl.flock(first, fcntl.LOCK_EX)
attempt(fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)
third = open("second", "r+")
fcntl.lockf(third, fcntl.LOCK_EX)
sys.stdout.flush()
if os.fork() == 0:
    attempt(fcntl.lockf, open("second", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    sys.stdout.flush()
    os._exit(0)
os.wait()
"#,
    );
}

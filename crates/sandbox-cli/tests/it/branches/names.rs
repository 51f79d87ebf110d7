//! Names that are made, moved, exchanged and deleted.

use super::plain::like_plain;
use super::project::name_of_test;

#[test]
fn exchanging_two_names_exchanges_them_and_loses_neither() {
    like_plain(
        name_of_test!(),
        r#"
renameat2("file", "second", EXCHANGE)
print(read("file"), read("second"))
write("made", "made\n")
renameat2("made", "dir/inner", EXCHANGE)
renameat2("link", "exec", EXCHANGE)
attempt(renameat2, "file", "nothing", EXCHANGE)
"#,
    );
}

#[test]
fn renaming_without_replacing_replaces_nothing() {
    like_plain(
        name_of_test!(),
        r#"
attempt(renameat2, "file", "second", NOREPLACE)
attempt(renameat2, "file", "empty", NOREPLACE)
attempt(renameat2, "file", "dangling", NOREPLACE)
os.unlink("second")
attempt(renameat2, "file", "second", NOREPLACE)
attempt(renameat2, "exec", "dir/sub/moved", NOREPLACE)
"#,
    );
}

#[test]
fn renaming_with_directories_held_open_moves_and_replaces() {
    like_plain(
        name_of_test!(),
        r#"
here, there = os.open(".", os.O_RDONLY), os.open("dir/sub", os.O_RDONLY)
os.rename("file", "moved", src_dir_fd=here, dst_dir_fd=there)
os.rename("second", "deep", src_dir_fd=here, dst_dir_fd=there)
os.rename("link", "link", src_dir_fd=here, dst_dir_fd=there)
attempt(os.rename, "exec", "empty")
attempt(os.rename, "dir", "exec")
attempt(os.rename, "dir", "dir/sub/within")
os.rename("exec", "exec")
"#,
    );
}

#[test]
fn a_directory_that_is_there_is_not_made_and_parents_do_not_appear() {
    like_plain(
        name_of_test!(),
        r#"
for name in ["dir", "file", "link", "dangling", "empty", "dir/inner/x", "none/x", "dangling/x"]:
    attempt(os.mkdir, name)
attempt(os.symlink, "x", "file")
attempt(os.mknod, "file", stat.S_IFREG | 0o600)
attempt(os.link, "second", "file")
print(sorted(os.listdir(".")))
"#,
    );
}

#[test]
fn modes_are_as_asked_for_less_the_mask() {
    like_plain(
        name_of_test!(),
        r#"
os.umask(0o027)
os.mkdir("made", 0o777)
os.close(os.open("made/file", os.O_CREAT | os.O_WRONLY, 0o666))
os.close(os.open("dir/inherits", os.O_CREAT | os.O_WRONLY, 0o777))
os.mkdir("dir/made")
os.mkfifo("fifo", 0o666)
os.umask(0)
os.mkdir("sticky")
os.chmod("sticky", 0o1777)
os.close(os.open("dir/all", os.O_CREAT | os.O_WRONLY, 0o777))
os.chmod("exec", 0o4755)
write("exec", "written to\n", "a")
"#,
    );
}

#[test]
fn what_is_made_where_something_was_deleted_is_new_and_empty() {
    like_plain(
        name_of_test!(),
        r#"
os.unlink("file")
os.close(os.open("file", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
os.unlink("second")
os.mkdir("second")
write("second/in", "in\n")
shutil.rmtree("dir")
os.mkdir("dir")
print(os.listdir("dir"))
os.rmdir("empty")
os.symlink("file", "empty")
os.unlink("link")
write("link", "a file now\n")
os.unlink("exec")
os.mkfifo("exec")
os.unlink("hard1")
os.unlink("hard2")
"#,
    );
}

#[test]
fn what_is_renamed_to_where_something_was_deleted_does_not_bring_that_back() {
    like_plain(
        name_of_test!(),
        r#"
os.unlink("second")
os.rename("file", "second")
attempt(os.stat, "file")
os.unlink("second")
attempt(os.stat, "second")
shutil.rmtree("dir")
os.mkdir("new")
write("new/only", "only\n")
os.rename("new", "dir")
print(os.listdir("dir"))
os.unlink("exec")
os.symlink("dir", "made")
os.rename("made", "exec")
"#,
    );
}

#[test]
fn what_is_deleted_stays_deleted_in_the_next_run() {
    like_plain(
        name_of_test!(),
        r#"
for name in ["file", "link", "dangling", "readonly", "sparse", "dir/inner", "dir/sub/deep"]:
    os.unlink(name)
attempt(os.rmdir, "dir")
os.rmdir("dir/sub")
os.rmdir("dir")
os.rmdir("empty")
attempt(os.unlink, "file")
attempt(os.open, "file", os.O_RDONLY)
print(sorted(os.listdir(".")))
"#,
    );
}

#[test]
fn a_directory_is_emptied_while_it_is_listed() {
    like_plain(
        name_of_test!(),
        r#"
os.mkdir("many")
for number in range(300):
    write(f"many/{number}", "x")
for entry in os.scandir("many"):
    os.unlink(entry.path)
os.rmdir("many")
for entry in os.scandir("dir"):
    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
print(os.listdir("dir"))
"#,
    );
}

#[test]
fn a_second_link_to_a_file_is_one() {
    like_plain(
        name_of_test!(),
        r#"
os.link("file", "again")
write("again", "appended\n", "a")
print(read("file"), os.stat("file").st_nlink)
os.link("link", "link2", follow_symlinks=False)
"#,
    );
}

#[test]
fn directories_that_are_new_on_the_branch_are_renamed_like_any() {
    like_plain(
        name_of_test!(),
        r#"
os.makedirs("one/two")
write("one/two/file", "x")
os.rename("one", "dir/three")
os.rename("dir/three/two", "two")
os.rename("two", "empty")
renameat2("empty", "dir/three", EXCHANGE)
attempt(os.rename, "dir/three", "dir/sub")
"#,
    );
}

#[test]
fn names_of_any_bytes_and_of_full_length_are_names() {
    like_plain(
        name_of_test!(),
        r#"
for name in [b"caf\xe9", b"new\nline", b"n" * 255, b".wh.file", b" ", b"\xf0\x9f\x8c\xbf"]:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.rename(name, b"dir/" + name)
attempt(os.mkdir, "n" * 256)
os.unlink(b"dir/new\nline")
print(sorted(os.listdir(b"dir")))
for name in os.listdir(b"dir"):
    if not name.isascii():
        os.unlink(b"dir/" + name)
"#,
    );
}

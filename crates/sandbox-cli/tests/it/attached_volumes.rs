//! `sandbox run --volume` with volumes that are more than a directory: quotas that hold, disks.

use std::fs;
use std::fs::OpenOptions;
use std::path::PathBuf;

use crate::harness::{Harness, Ran, has};

/// Why nothing can be served through /dev/fuse here.
pub(crate) fn no_fuse() -> Option<String> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    opened.err().map(|error| format!("/dev/fuse: {error}"))
}

/// Why no disk can be mounted here.
fn no_disks() -> Option<String> {
    if rustix::process::geteuid().is_root() {
        let opened = fs::metadata("/dev/loop-control");
        return opened.err().map(|error| format!("/dev/loop-control: {error}"));
    }
    let missing = ["fuse2fs", "fusermount3"]
        .into_iter()
        .find(|program| !has(program));
    missing.map(|program| format!("no {program}")).or_else(no_fuse)
}

fn used(place: &Harness, name: &str) -> (u64, u64) {
    let ran = place.sandbox(["volume", "df", name, "--json"]);
    let json: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let number = |key: &str| json[0][key].as_u64().expect("a number");
    (number("bytes"), number("inodes"))
}

fn images(place: &Harness) -> Vec<PathBuf> {
    let volumes = place.home().join(".local/state/sandbox/volumes");
    let places = fs::read_dir(volumes).expect("volumes").flatten();
    places
        .map(|entry| entry.path().join("disk.raw"))
        .filter(|path| path.exists())
        .collect()
}

fn assert_clean(place: &Harness) {
    for image in images(place) {
        let mut command = place.at_home("e2fsck".as_ref());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        let ran = Ran::of(command.arg("-fn").arg(&image));
        assert_eq!(ran.status, 0, "{ran:?}");
    }
}

fn assert_no_problems(place: &Harness) {
    let ran = place.sandbox(["volume", "fsck", "--repair"]);
    assert!(ran.status == 0 && ran.stdout.contains("0 problems"), "{ran:?}");
}

/// Nothing that was mounted is left, and no directory for it.
fn assert_nothing_is_mounted(place: &Harness) {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("a table");
    let home = place.home().display().to_string();
    assert!(!table.contains(&home), "{table}");
    let mounts = place.home().join(".local/state/sandbox/volumes/.mounts");
    assert_eq!(fs::read_dir(mounts).expect("it is there").count(), 0);
}

#[test]
fn a_quota_holds_to_the_byte_and_df_says_the_same_inside_and_outside() {
    if let Some(reason) = no_fuse() {
        skip!(
            "a_quota_holds_to_the_byte_and_df_says_the_same_inside_and_outside",
            "{reason}"
        );
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "q", "--quota", "1M"])
        .prints("q\n");
    // An inode is 1024, a name 32 and its length: what is left is 255 blocks and 1023 bytes.
    let script =
        "head -c 2000000 /dev/zero > /data/f; stat -c %s /data/f; df -B1 --output=used,avail /data | tail -1";
    let ran = place.sh(&["--volume", "q:/data"], script);
    let lines: Vec<_> = ran.stdout.lines().map(str::trim).collect();
    assert_eq!(lines.first(), Some(&"1044480"), "{ran:?}");
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    let inside: Vec<u64> = lines[1]
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let (bytes, inodes) = used(&place, "q");
    assert_eq!((bytes, inodes), (1_044_480 + 1024 + 33, 1));
    // Inside it is said in blocks of the host's file system.
    assert_eq!(inside, [bytes.next_multiple_of(4096), 0], "{ran:?}");
    place
        .sh(&["--volume", "q:/data"], "head -c 5000 /dev/zero > /data/g")
        .says(1, &["No space left on device"]);
    place
        .sh(
            &["--volume", "q:/data"],
            "rm /data/f && echo x > /data/g && echo fits",
        )
        .prints("fits\n");
    assert_nothing_is_mounted(&place);
}

#[test]
fn ways_around_a_quota_are_closed() {
    if let Some(reason) = no_fuse() {
        skip!("ways_around_a_quota_are_closed", "{reason}");
    }
    let place = Harness::new();
    for (case, script) in [
        (
            "a file without a name goes on growing",
            "exec 3> /data/f; rm /data/f; head -c 4000000 /dev/zero >&3 2>/data/err; \
             test $(stat -L -c %s /proc/self/fd/3) -lt 1048576",
        ),
        (
            "directories are free",
            "i=0; while [ $i -lt 3000 ] && mkdir /data/$i 2>/tmp/err; do i=$((i+1)); done; test $i -lt 1000",
        ),
        (
            "targets of links are free",
            "t=$(printf '%4000s' | tr ' ' x); i=0; \
             while [ $i -lt 1000 ] && ln -s $t /data/$i 2>/tmp/err; do i=$((i+1)); done; test $i -lt 210",
        ),
        (
            "empty files are free",
            "i=0; while [ $i -lt 3000 ] && true > /data/$i; do i=$((i+1)); done 2>/tmp/err; test $i -lt 1000",
        ),
        (
            "what was written before does not count",
            "head -c 900000 /dev/zero > /data/old && exit 0",
        ),
        (
            "what was written before does not count",
            "head -c 400000 /dev/zero > /data/new 2>/tmp/err; test $(stat -c %s /data/new) -lt 200000",
        ),
    ] {
        if !case.starts_with("what was") {
            place
                .sandbox(["volume", "ensure", "q", "--quota", "1M"])
                .prints("q\n");
        } else if script.contains("old") {
            place.sandbox(["volume", "rm", "q"]).says(0, &["removed q"]);
            place
                .sandbox(["volume", "create", "q", "--quota", "1M"])
                .prints("q\n");
        }
        let ran = place.sh(&["--volume", "q:/data"], script);
        assert_eq!(ran.status, 0, "{case}: {ran:?}");
        if !case.starts_with("what was") {
            place
                .sh(&["--volume", "q:/data"], "rm -rf /data/*; true")
                .prints("");
            assert_eq!(used(&place, "q").1, 0, "{case}");
        }
    }
    place
        .sandbox(["volume", "create", "few", "--inodes", "3"])
        .prints("few\n");
    place
        .sh(
            &["--volume", "few:/data"],
            "cd /data; touch 1 2 3 && ! touch 4 2>/tmp/err && rm 1 && touch 4 && ls",
        )
        .prints("2\n3\n4\n");
    assert_eq!(used(&place, "few").1, 3);
}

/// Attributes are small and many, mappings write without a call, and room can be made, and copied into, by other calls.
const WAYS: &str = r#"
import mmap, os, sys
FULL = (28, 122)  # ENOSPC, EDQUOT
def refused(what, work, errors=FULL):
    try:
        work()
    except OSError as error:
        assert error.errno in errors, f"{what}: {error}"
    else:
        sys.exit(f"{what}: not refused")
def attributes():
    for number in range(2000):
        path = f"/data/{number}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.setxattr(path, "user.x", bytes(3000))
refused("attributes", attributes)
count = len(os.listdir("/data"))
assert count < (1 << 20) // (1024 + 32 + 3006) + 2, count
for name in os.listdir("/data"):
    os.unlink(f"/data/{name}")
def room():
    with open("/data/room", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 << 20)
refused("posix_fallocate", room)
os.unlink("/data/room")
def nameless():
    with open(os.open("/data", os.O_TMPFILE | os.O_RDWR), "wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
refused("O_TMPFILE", nameless)
def copied():
    with open("/data/source", "w+b", buffering=0) as source, open("/data/target", "wb") as target:
        source.write(b"x" * 300000)
        for number in range(40):
            os.copy_file_range(source.fileno(), target.fileno(), 300000, 0, number * 300000)
refused("copy_file_range", copied)
os.unlink("/data/source")
os.unlink("/data/target")
file = os.open("/data/mapped", os.O_CREAT | os.O_RDWR)
os.ftruncate(file, 4 << 20)
def mapped():
    memory = mmap.mmap(file, 4 << 20)
    for page in range(0, 4 << 20, 4096):
        memory[page] = 1
    memory.flush()
    os.fsync(file)
refused("a mapping", mapped, FULL + (5,))
os.close(file)
allocated = os.stat("/data/mapped").st_blocks * 512
assert allocated <= 1 << 20, allocated
print("all refused")
"#;

#[test]
fn less_common_ways_around_a_quota_are_closed() {
    const NAME: &str = "less_common_ways_around_a_quota_are_closed";
    if let Some(reason) = no_fuse() {
        skip!(NAME, "{reason}");
    }
    if !has("python3") {
        skip!(NAME, "no python3");
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "q", "--quota", "1M"])
        .prints("q\n");
    let args = ["run", "--volume", "q:/data", "--", "python3", "-c", WAYS];
    place.sandbox(args).prints("all refused\n");
    let (bytes, inodes) = used(&place, "q");
    assert!(bytes <= 1 << 20 && inodes == 1, "{bytes} in {inodes}");
    // What the server has left is what a count finds.
    let state = place.home().join(".local/state/sandbox/volumes");
    for entry in fs::read_dir(state).expect("volumes").flatten() {
        fs::remove_dir_all(entry.path().join("quota")).ok();
    }
    assert_eq!(used(&place, "q"), (bytes, inodes));
}

#[test]
fn a_quota_holds_from_outside_as_well() {
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "q", "--quota", "1M"])
        .prints("q\n");
    fs::write(place.work().join("large"), vec![1; 2_000_000]).expect("write");
    fs::write(place.work().join("small"), vec![1; 200_000]).expect("write");
    place
        .sandbox(["volume", "put", "large", "q:/x"])
        .says(1, &["Disk quota exceeded"]);
    assert_eq!(used(&place, "q"), (0, 0));
    place.sandbox(["volume", "put", "small", "q:/x"]).prints("");
    for copy in ["y", "z", "w", "v"] {
        place
            .sandbox(["volume", "cp", "q:/x", &format!("q:/{copy}")])
            .prints("");
    }
    place
        .sandbox(["volume", "cp", "q:/x", "q:/u"])
        .says(1, &["Disk quota exceeded"]);
    assert_eq!(used(&place, "q").1, 5);
    place
        .sandbox(["volume", "resize", "q", "--quota", "100K"])
        .says(1, &["more than 100KiB"]);
}

#[test]
fn what_comes_from_a_disk_is_held_by_the_quota_as_well() {
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "q", "--quota", "1M"])
        .prints("q\n");
    place
        .sandbox(["volume", "create", "d", "--disk", "--size", "8M"])
        .prints("d\n");
    fs::create_dir(place.work().join("tree")).expect("mkdir");
    for (name, size) in [("one", 300_000), ("two", 500)] {
        fs::write(place.work().join("tree").join(name), vec![1; size]).expect("write");
    }
    place.sandbox(["volume", "put", "tree", "d:/tree"]).prints("");
    place.sandbox(["volume", "cp", "d:/tree", "q:/a"]).prints("");
    // Three inodes with their names, and whole blocks.
    let each = 3 * (1024 + 32 + 3) - 2 + 303_104 + 4096;
    assert_eq!(used(&place, "q"), (each, 3));
    place.sandbox(["volume", "cp", "d:/tree", "q:/b"]).prints("");
    place.sandbox(["volume", "cp", "d:/tree", "q:/c"]).prints("");
    place
        .sandbox(["volume", "cp", "d:/tree", "q:/e"])
        .says(1, &["Disk quota exceeded"]);
    assert_eq!(used(&place, "q"), (3 * each, 9));
}

#[test]
fn a_volume_that_is_served_goes_on_after_its_server_was_killed() {
    if let Some(reason) = no_fuse() {
        skip!(
            "a_volume_that_is_served_goes_on_after_its_server_was_killed",
            "{reason}"
        );
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "q", "--quota", "1M"])
        .prints("q\n");
    let script = "head -c 300000 /dev/zero > /data/f; echo ready; exec sleep 600";
    let mut child = place.start(&["--volume", "q:/data"], script);
    let (bytes, _) = used(&place, "q");
    assert_eq!(bytes, 303_104 + 1024 + 33);
    place
        .sandbox(["volume", "put", "/etc/passwd", "q:/x"])
        .says(1, &["q is in use"]);
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    // A figure that nobody keeps any more is counted anew.
    place.sh(&["--volume", "q:/data"], "true").prints("");
    assert_eq!(used(&place, "q"), (303_104 + 1024 + 33, 1));
    assert_no_problems(&place);
    assert_nothing_is_mounted(&place);
}

#[test]
fn a_disk_is_mounted_written_and_looked_into() {
    if let Some(reason) = no_disks() {
        skip!("a_disk_is_mounted_written_and_looked_into", "{reason}");
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "d", "--disk", "--size", "32M"])
        .prints("d\n");
    let script = "echo kept > /data/file; mkdir /data/dir; ln -s ../file /data/dir/link; \
                  head -c 3000000 /dev/urandom > /data/large; rm /data/large; ls /data";
    place
        .sh(&["--volume", "d:/data"], script)
        .prints("dir\nfile\nlost+found\n");
    assert_clean(&place);
    assert_nothing_is_mounted(&place);
    // From outside, by this program's own ext4.
    place.sandbox(["volume", "cat", "d:/dir/link"]).prints("kept\n");
    fs::write(place.work().join("more"), "more\n").expect("write");
    place.sandbox(["volume", "put", "more", "d:/dir/more"]).prints("");
    assert_clean(&place);
    place
        .sh(
            &["--volume", "d:/data:ro"],
            "cat /data/dir/more; ! touch /data/x 2>/dev/null",
        )
        .prints("more\n");
    let before = used(&place, "d");
    place
        .sh(&["--volume", "d:/data"], "rm -r /data/dir /data/file")
        .prints("");
    assert_eq!(used(&place, "d").1 + 4, before.1);
    assert_clean(&place);
}

#[test]
fn a_disk_says_how_full_it_is_while_it_is_used_and_afterwards_as_df_does_inside() {
    const NAME: &str = "a_disk_says_how_full_it_is_while_it_is_used_and_afterwards_as_df_does_inside";
    if let Some(reason) = no_disks() {
        skip!(NAME, "{reason}");
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "d", "--disk", "--size", "32M"])
        .prints("d\n");
    let df = "df -B1 --output=used,iused /data | tail -1";
    let numbers = |line: &str| -> (u64, u64) {
        let mut words = line
            .split_whitespace()
            .map(|word| word.parse().expect("a number"));
        (words.next().expect("bytes"), words.next().expect("inodes"))
    };
    let script = format!(
        "head -c 3000000 /dev/urandom > /data/f; sync /data/f; echo ready; {df}; \
         until [ -e /data/go ]; do sleep 0.05; done"
    );
    let mut child = place.start(&["--volume", "d:/data"], &script);
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("it says");
    // Only root can see the mount of another process.
    if rustix::process::geteuid().is_root() {
        assert_eq!(used(&place, "d"), numbers(&line));
    }
    child.kill().expect("kill");
    child.wait().expect("it is dead");
    let ran = place.sh(&["--volume", "d:/data"], df);
    assert_eq!(used(&place, "d"), numbers(&ran.stdout));
    // The last byte is the file system's own matter.
    place
        .sh(&["--volume", "d:/data"], "head -c 40000000 /dev/zero > /data/g")
        .says(1, &["No space left on device"]);
    let ran = place.sh(&["--volume", "d:/data"], df);
    assert_eq!(used(&place, "d"), numbers(&ran.stdout));
    assert_clean(&place);
}

#[test]
fn a_disk_in_use_is_kept_and_survives_the_death_of_its_user() {
    if let Some(reason) = no_disks() {
        skip!(
            "a_disk_in_use_is_kept_and_survives_the_death_of_its_user",
            "{reason}"
        );
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "d", "--disk", "--size", "32M"])
        .prints("d\n");
    let script = "echo kept > /data/file; sync /data/file; echo ready; exec sleep 600";
    let mut child = place.start(&["--volume", "d:/data"], script);
    let pid = format!("process {}", child.id());
    place
        .sh(&["--volume", "d:/x:ro"], "true")
        .says(125, &["d is in use by", &pid, "writing"]);
    place
        .sandbox(["volume", "cat", "d:/file"])
        .says(1, &["d is in use"]);
    place
        .sandbox(["volume", "rm", "d"])
        .says(1, &["d is in use by", &pid]);
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    // Its journal is replayed by whoever comes next, be it a reader.
    place.sh(&["--volume", "d:/x:ro"], "cat /x/file").prints("kept\n");
    place.sandbox(["volume", "cat", "d:/file"]).prints("kept\n");
    assert_no_problems(&place);
    assert_clean(&place);
    assert_nothing_is_mounted(&place);
}

#[test]
fn several_read_a_disk_at_once() {
    if let Some(reason) = no_disks() {
        skip!("several_read_a_disk_at_once", "{reason}");
    }
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "d", "--disk", "--size", "8M"])
        .prints("d\n");
    place
        .sh(&["--volume", "d:/data"], "echo kept > /data/file")
        .prints("");
    let mut child = place.start(&["--volume", "d:/data:ro"], "echo ready; exec sleep 600");
    place.sh(&["--volume", "d:/x:ro"], "cat /x/file").prints("kept\n");
    place.sandbox(["volume", "cat", "d:/file"]).prints("kept\n");
    place
        .sh(&["--volume", "d:/x"], "true")
        .says(125, &["d is in use by", "reading"]);
    child.kill().expect("kill");
    child.wait().expect("it is dead");
}

#[test]
fn a_branch_and_a_volume_go_together_and_who_brought_the_volume_leaves_last() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    place.write("work/file", "base");
    let ran = place.sh(
        &["--branch=b", "--volume", "data:/data"],
        "echo x > file; echo y > /data/y",
    );
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(
        fs::read_to_string(place.work().join("file")).expect("it is there"),
        "base"
    );
    place.sandbox(["volume", "cat", "data:/y"]).prints("y\n");
    let script = "echo ready; until [ -e /data/go ]; do sleep 0.02; done";
    let mut first = place.start(&["--branch=b", "--volume", "data:/data"], script);
    place
        .sh(&["--branch=b", "--volume", "data:/x:ro"], "true")
        .says(125, &["b is in use", "no volume can be added"]);
    let ran = place.sh(&["--branch=b"], "touch /data/go; sleep 0.3; ls /data");
    assert!(ran.status == 0 && ran.stdout == "go\ny\n", "{ran:?}");
    assert!(first.wait().expect("it ends").success());
    let shown = place.sandbox(["volume", "show", "data"]);
    assert!(!shown.stdout.contains("used by"), "{shown:?}");
}

//! `sandbox volume` and `sandbox run --volume`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::harness::{Harness, Ran, binary};

fn with_input(place: &Harness, args: &[&str], input: &str) -> Ran {
    let mut command = place.command(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    Ran {
        status: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_volume_is_made_filled_copied_and_removed() {
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "data", "--label", "team=storage"])
        .prints("data\n");
    place.sandbox(["volume", "ensure", "data"]).prints("data\n");
    with_input(&place, &["volume", "put", "-", "data:/greeting"], "hello\n").prints("");
    place
        .sandbox(["volume", "cat", "data:greeting"])
        .prints("hello\n");
    place
        .sandbox(["volume", "cp", "data:/greeting", "data:/again"])
        .prints("");
    let listed = place.sandbox(["volume", "ls", "data"]);
    assert!(
        listed.stdout.contains("again") && listed.stdout.contains("greeting"),
        "{listed:?}"
    );
    place
        .sandbox(["volume", "snapshot", "data", "before"])
        .says(0, &["kept data as before"]);
    with_input(&place, &["volume", "put", "-", "data:/greeting"], "changed\n").prints("");
    place
        .sandbox(["volume", "clone", "data", "copy", "--snapshot", "before"])
        .says(0, &["cloned"]);
    place
        .sandbox(["volume", "cat", "copy:/greeting"])
        .prints("hello\n");
    place.sandbox(["volume", "restore", "data", "before"]).prints("");
    place
        .sandbox(["volume", "get", "data:/greeting", "greeting"])
        .prints("");
    assert_eq!(
        fs::read_to_string(place.work().join("greeting")).expect("it is there"),
        "hello\n"
    );
    place
        .sandbox(["volume", "rename", "copy", "moved"])
        .says(0, &["moved"]);
    place
        .sandbox(["volume", "list", "--quiet"])
        .prints("moved\ndata\n");
    place
        .sandbox(["volume", "list", "--quiet", "--label", "team"])
        .prints("data\n");
    place
        .sandbox(["volume", "rm", "data"])
        .says(1, &["data has 1 snapshots", "--snapshots"]);
    place
        .sandbox(["volume", "rm", "--snapshots", "data", "moved"])
        .says(0, &["removed data", "removed moved"]);
    place
        .sandbox(["volume", "rm", "data"])
        .says(1, &["there is no volume data"]);
    place
        .sandbox(["volume", "fsck"])
        .prints("0 volumes, 0 snapshots, 0 problems\n");
}

#[test]
fn a_program_that_is_put_into_a_volume_can_be_run_there() {
    let place = Harness::new();
    place.script("work/program", "echo runs");
    for (name, kind) in [("data", &[][..]), ("disk", &["--disk", "--size", "8M"])] {
        place
            .sandbox([&["volume", "create", name], kind].concat())
            .prints(&format!("{name}\n"));
        let to = format!("{name}:/program");
        place.sandbox(["volume", "put", "program", &to]).prints("");
        let listed = place.sandbox(["volume", "ls", name]);
        assert!(listed.stdout.contains("0755"), "{listed:?}");
        // What is replaced keeps its own.
        with_input(&place, &["volume", "put", "-", &to], "#!/bin/sh\necho again\n").prints("");
        let listed = place.sandbox(["volume", "ls", name]);
        assert!(listed.stdout.contains("0755"), "{listed:?}");
    }
    place
        .sandbox(["run", "--volume", "data:/data", "--", "/data/program"])
        .prints("again\n");
}

#[test]
fn all_of_a_volume_is_copied_by_its_root_and_nothing_over_a_root() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    place
        .sandbox(["volume", "create", "disk", "--disk", "--size", "8M"])
        .prints("disk\n");
    with_input(&place, &["volume", "put", "-", "data:/file"], "x").prints("");
    place.sandbox(["volume", "get", "data", "out"]).prints("");
    place.sandbox(["volume", "cp", "data:/", "disk:/all"]).prints("");
    place.sandbox(["volume", "get", "disk:/", "disk"]).prints("");
    place
        .sandbox(["volume", "cp", "disk:/all", "data:/all"])
        .prints("");
    for path in ["out/file", "disk/all/file"] {
        assert_eq!(fs::read_to_string(place.work().join(path)).expect(path), "x");
    }
    place.sandbox(["volume", "cat", "data:/all/file"]).prints("x");
    for args in [["put", ".", "data:/"], ["cp", "disk:/all", "data:"]] {
        place
            .sandbox([&["volume"], &args[..]].concat())
            .says(1, &["/: File exists"]);
    }
    place
        .sandbox(["volume", "cp", "data:/", "data:/within"])
        .says(1, &["/within"]);
}

#[test]
fn names_of_files_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let place = Harness::new();
    for (name, kind) in [("data", &[][..]), ("disk", &["--disk", "--size", "8M"])] {
        place
            .sandbox([&["volume", "create", name], kind].concat())
            .prints(&format!("{name}\n"));
        let bytes = [name.as_bytes(), b":/\xff:\n"].concat();
        let odd = std::ffi::OsStr::from_bytes(&bytes);
        let path = place.write("work/file", "content");
        let args = |args: [&'static str; 2]| args.map(std::ffi::OsStr::new);
        place
            .sandbox([&args(["volume", "put"])[..], &[path.as_os_str(), odd]].concat())
            .prints("");
        place
            .sandbox([&args(["volume", "cat"])[..], &[odd]].concat())
            .prints("content");
    }
    place
        .sandbox([
            std::ffi::OsStr::new("volume"),
            "ls".as_ref(),
            std::ffi::OsStr::from_bytes(b"\xff:/"),
        ])
        .says(2, &["is not a name"]);
}

#[test]
fn pipes_keep_their_permissions_whatever_the_umask() {
    let place = Harness::new();
    let tree = place.work().join("tree");
    fs::create_dir(&tree).expect("mkdir");
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, tree.join("pipe"), fifo, mode, 0).expect("mkfifo");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(tree.join("pipe"), mode).expect("chmod");
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    place
        .sandbox(["volume", "create", "disk", "--disk", "--size", "8M"])
        .prints("disk\n");
    let script = format!(
        "v() {{ {} volume \"$@\"; }}; umask 077; v put tree data:/tree && v put tree disk:/tree && v cp disk:/tree data:/again &&
         v clone data copy && v export data --output a && v import a --name theirs &&
         for at in data:/tree data:/again disk:/tree copy:/tree theirs:/again; do v ls $at; done",
        binary().display()
    );
    let ran = Ran::of(place.at_home("sh".as_ref()).args(["-c", &script]));
    assert_eq!(ran.stdout, "0666  0  pipe\n".repeat(5), "{ran:?}");
}

#[test]
fn a_home_may_have_any_name_that_is_text() {
    use std::os::unix::ffi::OsStrExt;
    let place = Harness::new();
    let at = |name: &[u8], args: &[&str]| {
        let home = place.root().join(std::ffi::OsStr::from_bytes(name));
        Ran::of(place.command(args).env("SANDBOX_HOME", home))
    };
    for name in ["a b?mode=memory#c%41\\&'\"", "sqlite::memory:", "äöü\n"] {
        at(name.as_bytes(), &["volume", "create", "data"]).prints("data\n");
        assert!(place.root().join(name).join("catalog.db").exists(), "{name}");
        at(name.as_bytes(), &["volume", "list", "-q"]).prints("data\n");
    }
    // SQLite takes no other.
    at(b"h\xff", &["volume", "create", "data"]).says(1, &["no text in UTF-8", "SANDBOX_HOME"]);
    assert!(!place.root().join(std::ffi::OsStr::from_bytes(b"h\xff")).exists());
}

#[test]
fn volumes_are_said_in_json() {
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "data", "--quota", "3M", "-l", "a=1"])
        .prints("data\n");
    place
        .sandbox(["volume", "resize", "data", "--inodes", "99"])
        .says(0, &["3MiB, 99 inodes"]);
    let json = |args: &[&str]| -> serde_json::Value {
        let ran = place.sandbox(args);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    let listed = json(&["volume", "list", "--json"]);
    assert_eq!(listed[0]["quota_bytes"], 3 << 20);
    assert_eq!(listed[0]["labels"]["a"], "1");
    let shown = json(&["volume", "show", "data", "--json"]);
    assert_eq!(
        (&shown["quota_inodes"], &shown["holders"]),
        (&99.into(), &serde_json::json!([]))
    );
    let used = json(&["volume", "df", "--json"]);
    assert_eq!(
        (&used[0]["name"], &used[0]["inodes"]),
        (&"data".into(), &0.into())
    );
    assert_eq!(json(&["volume", "ls", "data", "--json"]), serde_json::json!([]));
    let checked = json(&["volume", "fsck", "--json"]);
    assert_eq!(checked["problems"], serde_json::json!([]));
}

#[test]
fn an_archive_goes_from_one_home_to_another() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    with_input(&place, &["volume", "put", "-", "data:/file"], "x").prints("");
    place
        .sandbox(["volume", "export", "data", "--output", "data.tar.zst"])
        .says(0, &["exported data"]);
    let mut other = place.command(["volume", "import", "data.tar.zst", "--name", "theirs"]);
    Ran::of(other.env("SANDBOX_HOME", place.root().join("other"))).says(0, &["imported theirs"]);
    place
        .sandbox(["volume", "import", "data.tar.zst"])
        .says(1, &["data exists already"]);
    fs::write(place.work().join("none"), "no archive").expect("write");
    place
        .sandbox(["volume", "import", "none"])
        .says(1, &["not an archive of a volume"]);
    place
        .sandbox(["volume", "prune", "--older-than", "0s", "--dry-run"])
        .prints("data\n");
    place
        .sandbox(["volume", "prune", "--older-than", "1h"])
        .prints("");
    place.sandbox(["volume", "create", "kept"]).prints("kept\n");
    place
        .sandbox(["volume", "snapshot", "kept", "before"])
        .says(0, &["kept as before"]);
    place
        .sandbox(["volume", "prune", "--all", "--dry-run"])
        .prints("data\n");
    place
        .sandbox(["volume", "prune", "--all"])
        .says(0, &["removed data", "kept has 1 snapshots: it stays"]);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let place = Harness::new();
    for (args, said) in [
        (&["create", "a/b"][..], "\"a/b\" is not a name"),
        (&["create", ".."], "\"..\" is not a name"),
        (
            &["create", "d", "--size", "8M"],
            "size 8MiB: a directory has none",
        ),
        (&["create", "d", "--disk", "--size", "0"], "size 0B"),
        (
            &["create", "d", "--disk", "--size", "8M", "--quota", "1M"],
            "a disk has no quota",
        ),
        (&["create", "d", "--quota", "0"], "a quota of 0 bytes"),
        (&["create", "d", "-l", "k=1", "-l", "k=2"], "\"k\" is given twice"),
        (&["show", "none"], "there is no volume none"),
        (&["cat", "none:/x"], "there is no volume none"),
    ] {
        let ran = place.sandbox([&["volume"], args].concat());
        ran.says(1, &[said]);
    }
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    place
        .sandbox(["volume", "cat", "data:../x"])
        .says(1, &["no path in a volume"]);
    place
        .sandbox(["volume", "fsck"])
        .prints("1 volumes, 0 snapshots, 0 problems\n");
}

#[test]
fn a_command_works_on_a_volume_and_what_it_wrote_stays() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    place
        .sh(&["--volume", "data:/data"], "echo kept > /data/file; ls /data")
        .prints("file\n");
    place
        .sh(&["--volume", "data:/data:ro"], "cat /data/file")
        .prints("kept\n");
    let ran = place.sh(&["--volume", "data:/data:ro"], "echo no > /data/file");
    assert!(ran.status != 0 && ran.stderr.contains("Read-only"), "{ran:?}");
    place.sandbox(["volume", "cat", "data:/file"]).prints("kept\n");
    let shown = place.sandbox(["volume", "show", "data"]);
    assert!(!shown.stdout.contains("used by"), "{shown:?}");
    place
        .sh(&["--volume", "none:/data"], "true")
        .says(125, &["there is no volume none"]);
}

#[test]
fn a_volume_in_use_is_kept_and_its_user_named_until_it_ends() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    let mut child = place.start(&["--volume", "data:/data"], "echo ready; exec sleep 600");
    let pid = format!("process {}", child.id());
    place
        .sandbox(["volume", "rm", "data"])
        .says(1, &["data is in use by", &pid, "sleep 600", "writing"]);
    place
        .sh(&["--volume", "data:/x:ro"], "true")
        .says(125, &["data is in use by", &pid]);
    let shown = place.sandbox(["volume", "show", "data"]);
    assert!(
        shown.stdout.contains(&pid) && shown.stdout.contains("at /data"),
        "{shown:?}"
    );
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    place.sh(&["--volume", "data:/x"], "true").prints("");
    place
        .sandbox(["volume", "fsck", "--repair"])
        .prints("1 holders are gone, and struck out\n1 volumes, 0 snapshots, 0 problems\n");
    place.sandbox(["volume", "rm", "data"]).says(0, &["removed data"]);
}

#[test]
fn a_home_that_cannot_be_written_is_said_to_be() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    // Of a sandbox that has it read-only, so that it holds for root as well.
    let home = place.home().join(".local/state/sandbox");
    let at = "/state";
    let flags = [
        "--bind".to_owned(),
        format!("{}:{at}", home.display()),
        "--read".to_owned(),
        binary().display().to_string(),
        "--env".to_owned(),
        format!("SANDBOX_HOME={at}"),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let script = format!("{} volume create more", binary().display());
    place
        .sh(&flags, &script)
        .says(1, &[at, "cannot be written", "SANDBOX_HOME"]);
    place.sandbox(["volume", "list", "--quiet"]).prints("data\n");
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let place = Harness::new();
    let binary = binary().display().to_string();
    let flags = [
        "--tmpfs",
        "/state:8M",
        "--read",
        &binary,
        "--env",
        "SANDBOX_HOME=/state",
    ];
    let script = format!(
        "alias v='{binary} volume'
        v create data && head -c 5000000 /dev/urandom > /tmp/x && v put /tmp/x data:/x || exit 1
        v export data > /tmp/archive || exit 1
        v clone data copy && exit 1
        v import --name copy /tmp/archive && exit 1
        v snapshot data before && exit 1
        v put /tmp/x data:/y && exit 1
        v list -q; v ls data; ls -A /state/volumes/.pending; v fsck"
    );
    let ran = place.sh(&flags, &script);
    ran.says(0, &["no space left", "No space left on device"]);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    assert!(
        lines[2].ends_with(" x") && lines[3] == "1 volumes, 0 snapshots, 0 problems",
        "{ran:?}"
    );
}

#[test]
fn on_a_disk_without_a_byte_left_volumes_and_snapshots_can_be_removed() {
    let place = Harness::new();
    let binary = binary().display().to_string();
    let flags = [
        "--tmpfs",
        "/state:4M",
        "--read",
        &binary,
        "--env",
        "SANDBOX_HOME=/state",
    ];
    let script = format!(
        "alias v='{binary} volume'
        v create data && v create more && v create kept && v snapshot kept one 2> /tmp/err || exit 1
        fill() {{ head -c 8000000 /dev/zero > /state/full 2> /tmp/err; }}
        fill; v rm data || exit 3
        rm /state/full; v list -q
        fill; v snapshot --remove kept one || exit 4
        rm /state/full; v fsck"
    );
    let ran = place.sh(&flags, &script);
    let ends = "kept\nmore\n2 volumes, 0 snapshots, 0 problems\n";
    assert!(ran.status == 0 && ran.stdout.ends_with(ends), "{ran:?}");
}

/// With anything between nothing and enough left on the disk.
#[test]
fn a_volume_that_a_full_disk_has_no_room_for_is_not_made_and_nothing_is_left_of_it() {
    let place = Harness::new();
    let binary = binary().display().to_string();
    let flags = [
        "--tmpfs",
        "/state:2M",
        "--read",
        &binary,
        "--env",
        "SANDBOX_HOME=/state",
    ];
    let script = format!(
        "alias v='{binary} volume'
        made=0 refused=0
        v create first > /dev/null || exit 1
        for free in $(seq 0 8 200); do
            avail=$(df -k --output=avail /state | tail -1)
            [ $avail -gt $free ] || continue
            head -c $(((avail - free) * 1024)) /dev/zero > /state/full
            if v create \"v$free\" --label size=$free > /tmp/out 2> /tmp/err; then
                made=$((made + 1))
            else
                refused=$((refused + 1))
                grep -q 'no space left' /tmp/err || {{ cat /tmp/err; exit 2; }}
            fi
            rm /state/full
            v fsck > /tmp/out || {{ cat /tmp/out; exit 3; }}
            [ $(v list -q | wc -l) = $((made + 1)) ] || exit 4
            [ -z \"$(ls -A /state/volumes/.pending)\" ] || exit 5
        done
        echo $((made > 0)) $((refused > 0))"
    );
    place.sh(&flags, &script).prints("1 1\n");
}

#[test]
fn a_disk_may_be_larger_than_the_host_and_that_is_said() {
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "huge", "--disk", "--size", "15T"])
        .says(0, &["the host has room for", "of its 15TiB"]);
    let shown = place.sandbox(["volume", "show", "huge"]);
    assert!(shown.stdout.contains("15TiB"), "{shown:?}");
}

#[test]
fn signals_reach_a_command_that_has_a_volume() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    let script = "trap 'echo caught > /data/file; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = place.start(&["--volume", "data:/data"], script);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    child.wait().expect("it ends");
    place.sandbox(["volume", "cat", "data:/file"]).prints("caught\n");
}

#[test]
fn a_damaged_catalog_is_mended_by_fsck() {
    let place = Harness::new();
    place.sandbox(["volume", "create", "data"]).prints("data\n");
    let catalog = place.home().join(".local/state/sandbox/catalog.db");
    // What is in the log would be read from there.
    for log in ["catalog.db-wal", "catalog.db-shm"] {
        fs::remove_file(catalog.with_file_name(log)).ok();
    }
    fs::write(&catalog, vec![b'x'; 9000]).expect("write");
    place
        .sandbox(["volume", "list"])
        .says(1, &["catalog.db is damaged", "fsck --repair"]);
    let found = place.sandbox(["volume", "fsck"]);
    assert_eq!(found.status, 1, "{found:?}");
    let doctor = place.sandbox(["doctor"]);
    assert!(
        doctor.status == 1 && doctor.stdout.contains("catalog.db is damaged"),
        "{doctor:?}"
    );
    let mended = place.sandbox(["doctor", "--repair"]);
    let said = &mended.stdout;
    assert!(
        said.contains("is in the catalog again") && said.contains("volumes: 1 sound"),
        "{mended:?}"
    );
    let mended = place.sandbox(["volume", "fsck", "--repair"]);
    assert_eq!(mended.status, 0, "{mended:?}");
    place.sandbox(["volume", "list", "--quiet"]).prints("data\n");
}

#[test]
fn a_disk_that_is_named_is_looked_into() {
    use std::os::unix::fs::FileExt;
    let place = Harness::new();
    place
        .sandbox(["volume", "create", "disk", "--disk", "--size", "8M"])
        .prints("disk\n");
    place
        .sandbox(["volume", "fsck", "disk"])
        .prints("1 volumes, 0 snapshots, 0 problems\n");
    let shown = place.sandbox(["volume", "show", "disk", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let image = std::path::Path::new(shown["path"].as_str().expect("a path")).join("disk.raw");
    // A byte of the first descriptor.
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&image)
        .expect("the image");
    file.write_all_at(&[0xEE], 2048 + 12).expect("written");
    place
        .sandbox(["volume", "fsck"])
        .prints("1 volumes, 0 snapshots, 0 problems\n");
    let ran = place.sandbox(["volume", "fsck", "disk"]);
    assert!(
        ran.status == 1 && ran.stdout.contains("volume disk: group 0") && ran.stderr.contains("e2fsck -f"),
        "{ran:?}"
    );
}

#[test]
fn a_run_without_volumes_makes_nothing_of_them() {
    let place = Harness::new();
    place.sh(&[], "true").prints("");
    assert!(!place.home().join(".local/state/sandbox/catalog.db").exists());
}

//! What a command sees: with no flags, and what each flag changes.

use std::fs;

use crate::harness::{Harness, Ran};

#[test]
fn the_current_directory_is_visible_and_read_only() {
    let place = Harness::new();
    place.write("work/file", "content\n");
    place.sh(&[], "cat file").prints("content\n");
    let ran = place.sh(&[], "touch new");
    assert_ne!(ran.status, 0, "{ran:?}");
    assert!(!place.work().join("new").exists());
}

#[test]
fn a_written_file_is_the_caller_s_when_the_directory_is_granted() {
    let place = Harness::new();
    place.sh(&["-w", "."], "echo made > new").prints("");
    assert_eq!(
        fs::read_to_string(place.work().join("new")).expect("made"),
        "made\n"
    );
}

#[test]
fn the_home_is_private_and_empty() {
    let place = Harness::new();
    place.write("home/.ssh/id", "secret");
    place.write("home/notes", "private");
    place
        .sh(&[], "ls -A ~ | wc -l; touch ~/x && echo writable")
        .prints("0\nwritable\n");
    assert!(!place.home().join("x").exists());
}

#[test]
fn starting_in_the_home_grants_nothing_and_says_so_only_when_it_matters() {
    let place = Harness::new();
    place.write("home/x.sh", "echo ran\n");
    let in_home = |args: &[&str]| Ran::of(place.command(args).current_dir(place.home()));
    let ran = in_home(&["run", "-q", "--", "sh", "-c", "ls -A"]);
    ran.prints("");
    let ran = in_home(&["run", "--", "sh", "x.sh"]);
    assert!(
        ran.status != 0 && ran.stderr.contains("to allow: -r ."),
        "{ran:?}"
    );
    let ran = in_home(&["run", "--", "echo", "fine"]);
    assert!(!ran.stderr.contains("-r ."), "{ran:?}");
    in_home(&["run", "-r", ".", "--", "sh", "x.sh"]).prints("ran\n");
}

/// Inside, `/var/tmp` is a link to `/tmp`, which cannot be where something in it is shown.
#[test]
fn a_directory_in_var_tmp_is_one_like_any_other() {
    let place = Harness::new();
    let elsewhere = tempfile::tempdir_in("/var/tmp").expect("a directory in /var/tmp");
    let in_it = |args: &[&str]| Ran::of(place.command(args).current_dir(elsewhere.path()));
    let script = "echo made > new && touch /var/tmp/own && ls -A /tmp | grep -c own";
    let ran = in_it(&["run", "-w", ".", "--", "sh", "-c", script]);
    assert_eq!(ran.stdout, "0\n", "{ran:?}");
    let made = fs::read_to_string(elsewhere.path().join("new"));
    assert_eq!(made.expect("made"), "made\n");
    assert!(!std::path::Path::new("/var/tmp/own").exists());
    place
        .sh(&[], "touch /var/tmp/x && ls /tmp/x && readlink /var/tmp")
        .prints("/tmp/x\n/tmp\n");
}

#[test]
fn credentials_are_not_shown_because_one_stands_among_them() {
    let place = Harness::new();
    place.write("home/.ssh/id", "secret");
    let in_ssh = |args: &[&str]| Ran::of(place.command(args).current_dir(place.home().join(".ssh")));
    let ran = in_ssh(&["run", "--", "cat", "id"]);
    assert!(
        ran.status == 1 && !ran.stdout.contains("secret") && ran.stderr.contains("SSH keys"),
        "{ran:?}"
    );
    in_ssh(&["run", "-r", ".", "--", "cat", "id"]).prints("secret");
}

#[test]
fn what_is_denied_is_not_there() {
    let place = Harness::new();
    place.write("work/private/key", "secret");
    place.write("work/public", "fine\n");
    let ran = place.sh(&["-r", ".", "--deny", "private"], "cat public; cat private/key");
    assert!(ran.stdout == "fine\n" && ran.status != 0, "{ran:?}");
}

#[test]
fn paths_elsewhere_are_visible_where_they_are_asked_for() {
    let place = Harness::new();
    place.write("data/file", "data\n");
    let data = place.root().join("data");
    let data = data.to_str().expect("UTF-8");
    place.sh(&["-r", "../data"], "cat ../data/file").prints("data\n");
    place
        .sh(
            &["--bind", &format!("{data}:/in")],
            "cat /in/file; touch /in/x || echo refused",
        )
        .prints("data\nrefused\n");
    place
        .sh(
            &["--bind", &format!("{data}:/out:rw"), "--cwd", "/out"],
            "pwd; touch x",
        )
        .prints("/out\n");
    assert!(
        data.parse::<std::path::PathBuf>()
            .expect("a path")
            .join("x")
            .exists()
    );
    place
        .sh(
            &["--tmpfs", "/cache:1M"],
            "head -c 2M /dev/zero > /cache/x || echo full",
        )
        .prints("full\n");
    place
        .sh(&["--cwd", data], "pwd; cat file")
        .prints(&format!("{data}\ndata\n"));
}

#[test]
fn the_environment_is_clean_but_for_what_is_passed() {
    let place = Harness::new();
    let run = |flags: &[&str]| {
        let args = [&["run"], flags, &["--", "sh", "-c", "echo $SANDBOX,$TOKEN,$SET"]].concat();
        Ran::of(place.command(args).env("TOKEN", "t"))
    };
    run(&[]).prints("1,,\n");
    run(&["--env", "TOKEN", "--env", "SET=a=b"]).prints("1,t,a=b\n");
}

#[test]
fn surroundings_are_as_the_flags_say() {
    let place = Harness::new();
    place
        .sh(
            &["--hostname", "box", "--umask", "077", "--nice", "13"],
            "uname -n; umask; nice",
        )
        .prints("box\n0077\n13\n");
    place.sh(&["--root"], "id -u").prints("0\n");
    place.sh(&["--cpus", "0"], "nproc").prints("1\n");
    place.sh(&["--open-files", "64"], "ulimit -n").prints("64\n");
}

#[test]
fn a_program_is_looked_up_in_the_path_that_the_command_gets() {
    let place = Harness::new();
    place.script("work/bin/tool", "echo found");
    let path = format!("PATH={}:/bin", place.work().join("bin").display());
    let run = |path: &str, program: &str| place.sandbox(["run", "--env", path, "--", program]);
    run(&path, "tool").prints("found\n");
    run("PATH=/nowhere", "ls").says(127, &["ls"]);
    run("PATH=bin", "tool").says(127, &["tool"]);
}

#[test]
fn the_way_to_credentials_cannot_be_renamed_where_it_can_be_written() {
    let place = Harness::new();
    place.write("home/.config/gh/hosts.yml", "token");
    let script = "mv ~/.config ~/elsewhere; mv -T ~/.config/gh ~/.config/hg; echo new > ~/.config/file";
    let home = place.home();
    let home = home.to_str().expect("UTF-8");
    let ran = place.sh(&["-w", home], script);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(place.home().join(".config/gh/hosts.yml").is_file(), "{ran:?}");
    assert!(place.home().join(".config/file").is_file(), "{ran:?}");
    assert!(!place.home().join("elsewhere").exists(), "{ran:?}");
    let again = place.sh(&["-r", home], "cat ~/.config/file; grep -r token ~");
    assert_eq!((again.status, again.stdout.as_str()), (1, "new\n"), "{again:?}");
}

#[test]
fn explain_prints_the_plan_and_runs_nothing() {
    let place = Harness::new();
    let ran = place.sandbox(["run", "--explain", "-w", ".", "--", "touch", "started"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    for section in ["Environment", "Directory", "Guarantees"] {
        assert!(
            ran.stdout.lines().any(|line| line == section),
            "{section} in {ran:?}"
        );
    }
    assert!(!place.work().join("started").exists());
}

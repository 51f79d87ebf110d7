//! Input that cannot be: a clear error that names it, status 125, and nothing half started.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::harness::{Harness, Ran, binary};

/// Runs `sandbox run FLAGS -- touch started` with the directory writable, and sees that it did not.
#[track_caller]
fn refused(flags: &[&str], status: i32, says: &[&str]) {
    let place = Harness::new();
    let ran = place.sandbox([&["run", "-w", "."], flags, &["--", "touch", "started"]].concat());
    ran.says(status, says);
    assert!(!place.work().join("started").exists());
}

#[test]
fn a_limit_of_zero_is_refused_by_its_flag() {
    refused(&["--memory", "0"], 125, &["--memory: 0 lets nothing run"]);
    refused(&["--wall-time", "0"], 125, &["--wall-time: 0 lets nothing run"]);
    refused(&["--cpu-time", "0"], 125, &["--cpu-time: 0"]);
    refused(&["--processes", "0"], 125, &["--processes: 0"]);
    refused(&["--open-files", "0"], 125, &["--open-files: 0"]);
    refused(&["--tmp-size", "0"], 125, &["--tmp-size: 0"]);
}

#[test]
fn all_problems_are_said_at_once() {
    refused(
        &["--memory", "0", "--wall-time", "0", "--umask", "7777"],
        125,
        &["--memory", "--wall-time", "--umask"],
    );
}

#[test]
fn an_absurd_size_is_refused_by_its_value() {
    refused(
        &["--memory", "99999999999999G"],
        125,
        &["99999999999999G", "--memory"],
    );
    refused(&["--memory", "9E"], 125, &["--memory", "9EiB"]);
    refused(&["--memory", "12MB"], 125, &["12MB", "MiB"]);
    refused(&["--file-size", "much"], 125, &["much", "--file-size"]);
}

#[test]
fn other_values_are_refused_by_flag_and_value() {
    refused(&["--wall-time", "soon"], 125, &["soon", "--wall-time"]);
    refused(&["--syscalls", "some"], 125, &["some", "--syscalls"]);
    refused(&["--require", "all"], 125, &["all", "--require"]);
    refused(&["--net", "wifi"], 125, &["wifi", "--net"]);
    refused(&["--bind-port", "70000"], 125, &["70000", "--bind-port"]);
    refused(
        &["--net", "host", "--connect-port", "0"],
        125,
        &["--connect-port: 0 is not a port"],
    );
    refused(&["--nice", "20"], 125, &["--nice: 20"]);
    refused(&["--user", "4294967295"], 125, &["--user: 4294967295"]);
    refused(&["--user", "nobody"], 125, &["nobody", "--user", "id -u"]);
    refused(&["--umask", "9"], 125, &["9", "--umask"]);
    refused(&["--cpus", "3-1"], 125, &["3-1", "--cpus"]);
    refused(&["--hostname", "a b"], 125, &["--hostname", "a b"]);
    refused(&["--env", "=x"], 125, &["--env"]);
    refused(&["--bind", "here"], 125, &["here", "--bind"]);
    refused(&["--tmpfs", "cache"], 125, &["cache", "--tmpfs"]);
}

#[test]
fn a_place_beneath_what_is_no_directory_inside_is_refused() {
    refused(
        &["--tmpfs", "/dev/fd/here"],
        125,
        &["/dev/fd/here: /dev/fd is a link to /proc/self/fd"],
    );
    refused(
        &["--tmpfs", "/etc/passwd/here"],
        125,
        &["/etc/passwd/here: nothing can be mounted inside /etc/passwd"],
    );
}

#[test]
fn a_limit_that_the_kernel_refuses_is_named_with_its_value() {
    refused(&["--nice", "-5"], 125, &["nice: -5"]);
    refused(&["--cpus", "900"], 125, &["CPU 900"]);
    refused(&["--open-files", "4294967295"], 125, &["4294967295"]);
}

#[test]
fn a_niceness_that_only_lowers_what_the_caller_has_is_refused_by_both_values() {
    let place = Harness::new();
    for asked in ["0", "9"] {
        let mut command = place.at_home("nice".as_ref());
        command.args(["-n", "19"]).arg(binary());
        let ran = Ran::of(command.args(["run", "--nice", asked, "--", "true"]));
        ran.says(125, &[&format!("nice: {asked}"), "19"]);
    }
}

#[test]
fn a_variable_that_is_not_set_is_told() {
    let ran = Harness::new().sandbox(["run", "--env", "NOBODY_SETS_THIS", "--env", "A=b", "--", "true"]);
    ran.says(0, &["--env NOBODY_SETS_THIS"]);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn a_command_without_a_name_and_a_directory_without_permissions_are_named() {
    let place = Harness::new();
    place.sandbox(["run", "--", ""]).says(127, &["\"\""]);
    let closed = place.root().join("closed");
    fs::create_dir(&closed).expect("mkdir");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("own directory");
    let ran = place.sandbox([
        OsStr::new("run"),
        "-r".as_ref(),
        closed.as_ref(),
        "--cwd".as_ref(),
        closed.as_ref(),
        "true".as_ref(),
    ]);
    ran.says(125, &["closed", "permissions", "--cwd DIR"]);
}

#[test]
fn an_unknown_system_call_is_named() {
    refused(&["--allow-syscall", "opeat"], 125, &["\"opeat\""]);
    refused(&["--deny-syscall", "@nothing"], 125, &["@nothing"]);
}

#[test]
fn a_path_that_does_not_exist_is_named_with_its_flag() {
    for flag in ["--read", "--write", "--deny", "--cwd"] {
        refused(&[flag, "/no/such"], 125, &[flag, "/no/such", "No such file"]);
    }
    refused(&["-r", "missing"], 125, &["--read missing"]);
    refused(&["--bind", "missing:/data"], 125, &["--bind missing"]);
    refused(
        &["--cwd", "/etc/passwd"],
        125,
        &["--cwd /etc/passwd", "not a directory"],
    );
}

#[test]
fn a_mount_inside_what_is_made_anew_is_refused_by_both_places() {
    refused(&["--bind", ".:/proc/data"], 125, &["/proc/data", "inside /proc"]);
    refused(
        &["--tmpfs", "/new", "--bind", ".:/new/data"],
        125,
        &["/new/data", "inside /new"],
    );
}

#[test]
fn a_link_to_credentials_is_not_asking_for_them() {
    let place = Harness::new();
    place.write("home/.ssh/id", "key");
    std::os::unix::fs::symlink(place.home().join(".ssh"), place.work().join("data")).expect("symlink");
    std::os::unix::fs::symlink(place.home().join(".ssh/id"), place.work().join("id")).expect("symlink");
    for flags in [
        ["-r", "data"],
        ["-w", "data"],
        ["-r", "id"],
        ["--bind", "data:/data"],
    ] {
        let ran = place.sandbox([
            "run", flags[0], flags[1], "--", "cat", "data/id", "id", "/data/id",
        ]);
        ran.says(125, &["SSH keys", ".ssh"]);
        assert!(!ran.stdout.contains("key"), "{ran:?}");
    }
    let named = place.home().join(".ssh");
    let ran = place.sandbox([
        OsStr::new("run"),
        "-r".as_ref(),
        named.as_ref(),
        "--".as_ref(),
        "cat".as_ref(),
        named.join("id").as_ref(),
    ]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "key"), "{ran:?}");
}

#[test]
fn a_profile_that_does_not_exist_is_named() {
    refused(
        &["--profile", "nosuch"],
        125,
        &["--profile nosuch", "sandbox profile list"],
    );
    refused(&["--profile", "./nosuch.toml"], 125, &["./nosuch.toml"]);
}

#[test]
fn a_wrong_key_in_a_policy_file_is_named_with_its_line() {
    let place = Harness::new();
    place.write("work/p.toml", "[limits]\nmemry = \"1G\"\n");
    place
        .sandbox(["run", "--profile", "p.toml", "--", "true"])
        .says(125, &["p.toml", "memry", "line 2"]);
    place.write("work/p.json", "{\"limits\": {\"memory\": \"12X\"}}");
    place
        .sandbox(["run", "--profile", "p.json", "--", "true"])
        .says(125, &["p.json", "12X", "line 1"]);
}

#[test]
fn an_unknown_flag_is_never_taken_for_the_command_or_its_status() {
    refused(&["--memroy", "1G"], 125, &["--memroy"]);
    let place = Harness::new();
    place.sandbox(["run"]).says(125, &["COMMAND"]);
    place.sandbox(["rum"]).says(2, &["rum"]);
    for json in [&["--json", "--memroy", "1G"][..], &["--json", "--memory", "1X"]] {
        let ran = place.sandbox([&["run"], json, &["--", "touch", "started"]].concat());
        let line = ran.stderr.lines().last().unwrap_or_default();
        let said: serde_json::Value = serde_json::from_str(line).expect("the last line is JSON");
        assert_eq!((ran.status, &said["exit"]), (125, &125.into()), "{ran:?}");
        assert!(said["error"].as_str().expect("text").contains(json[1]), "{ran:?}");
    }
    place
        .sandbox(["run", "--json=out", "--memroy", "--", "--json=other"])
        .says(125, &["--memroy"]);
    let said = fs::read_to_string(place.work().join("out")).expect("written");
    assert!(
        said.contains("--memroy") && !place.work().join("other").exists(),
        "{said}"
    );
}

#[test]
fn a_terminal_and_a_limit_on_output_exclude_each_other() {
    refused(&["-i", "--output-limit", "1M"], 125, &["--output-limit"]);
}

#[test]
fn a_json_file_that_cannot_be_written_stops_the_run() {
    refused(&["--json=/no/such/file"], 125, &["--json /no/such/file"]);
}

#[test]
fn a_name_of_a_branch_that_is_taken_for_the_command_is_noticed() {
    let place = Harness::new();
    place
        .sandbox(["run", "--branch", "fix", "--", "true"])
        .says(127, &["fix: No such file", "hint:", "--branch=fix --"]);
    let ran = place.sandbox(["run", "--branch", "no-such-command", "--all"]);
    ran.says(127, &["no-such-command"]);
    assert!(!ran.stderr.contains("equals"), "{ran:?}");
}

#[test]
fn a_missing_command_is_127_with_a_hint() {
    let place = Harness::new();
    place
        .sandbox(["run", "--", "no-such-command"])
        .says(127, &["no-such-command", "hint:"]);
    place
        .sandbox(["run", "--", "./no-such-command"])
        .says(127, &["./no-such-command", "hint:"]);
}

#[test]
fn a_file_that_cannot_be_executed_is_126() {
    let place = Harness::new();
    place.write("work/text", "true\n");
    place
        .sandbox(["run", "--", "./text"])
        .says(126, &["./text", "hint:"]);
    place.sandbox(["run", "--", "/usr"]).says(126, &["/usr"]);
    place.sandbox(["run", "--", "."]).says(126, &["."]);
}

#[test]
fn a_command_that_is_not_utf8_is_executed_or_reported_like_any_other() {
    let place = Harness::new();
    let name = OsStr::from_bytes(b"caf\xe9");
    place
        .sandbox([OsStr::new("run"), OsStr::new("--"), name])
        .says(127, &["caf"]);
    let script = place.script("script", "printf %s \"$1\" | od -An -tx1");
    fs::rename(script, place.work().join(name)).expect("rename");
    let path = OsStr::from_bytes(b"./caf\xe9");
    place
        .sandbox([
            OsStr::new("run"),
            OsStr::new("--"),
            path,
            OsStr::from_bytes(b"\xff"),
        ])
        .prints(" ff\n");
}

#[test]
fn closed_streams_are_no_failure_of_the_sandbox() {
    let place = Harness::new();
    let shell = |script: &str| {
        let mut command = place.at_home("/bin/sh".as_ref());
        command
            .args(["-c", script, "sh"])
            .arg(crate::harness::binary())
            .stdin(Stdio::null());
        Ran::of(&mut command)
    };
    assert_eq!(shell("\"$1\" run -- echo hello >&-").status, 0);
    assert_eq!(shell("\"$1\" run -- true <&- >&- 2>&-").status, 0);
    assert_eq!(shell("\"$1\" doctor --json >&-; test $? -le 1").status, 0);
    // The reader has gone: the command is ended by SIGPIPE, as anywhere else.
    let gone = shell("{ \"$1\" run -- yes; echo status $? >&2; } | head -n 1");
    assert_eq!(gone.stdout, "y\n");
    gone.says(0, &["status 141"]);
    shell("{ \"$1\" run --help; echo status $? >&2; } | :").says(0, &["status 0"]);
}

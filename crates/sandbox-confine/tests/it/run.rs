//! Commands and their streams, as `std::process::Command` would run them.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sandbox_confine::{Command, Outcome, Policy, RunError, Sandbox, StartError, Stdio};
use sandbox_types::ByteSize;
use sandbox_types::policy::OnOutput;

use crate::harness::{DEADLINE, Place, in_own_process, name_of_test, sh, sh_under, stdout, sys, within};

const TEN_MIB: usize = 10 << 20;

#[test]
fn output_captures_both_streams_and_the_exit_code() {
    let result = sh("echo out; echo err >&2; exit 7");
    assert_eq!(result.outcome, Outcome::Exited { code: 7 });
    assert_eq!(
        (result.stdout.as_slice(), result.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert!(!result.truncated);
    assert_eq!((result.usage.stdout_bytes, result.usage.stderr_bytes), (4, 4));
}

#[test]
fn status_is_that_of_the_command() {
    let status = |script: &str| {
        Sandbox::command(&Policy::default(), "sh")
            .args(["-c", script])
            .status()
            .expect("runs")
    };
    assert_eq!(status("exit 0"), Outcome::Exited { code: 0 });
    assert_eq!(status("exit 255"), Outcome::Exited { code: 255 });
    assert_eq!(status("kill -USR1 $$"), Outcome::Signaled { signal: 10 });
}

#[test]
fn ten_mebibytes_of_input_reach_a_program_that_reads_nothing_a_part_or_all() {
    within(DEADLINE, || {
        for (script, expected) in [
            ("exit 3", ""),
            ("head -c 5", "xxxxx"),
            ("wc -c | tr -d ' \n'", "10485760"),
        ] {
            let result = Sandbox::command(&Policy::default(), "sh")
                .args(["-c", script])
                .stdin(vec![b'x'; TEN_MIB])
                .output()
                .unwrap_or_else(|error| panic!("{script}: {error}"));
            assert_eq!(String::from_utf8_lossy(&result.stdout), expected, "{script}");
        }
    });
}

#[test]
fn a_host_that_dies_of_sigpipe_survives_a_program_that_does_not_read() {
    in_own_process(name_of_test!(), || {
        sys::set_signal(libc::SIGPIPE, false);
        let result = Sandbox::command(&Policy::default(), "sh")
            .args(["-c", "exec <&-; sleep 0.1; echo alive"])
            .stdin(vec![b'x'; TEN_MIB])
            .output()
            .expect("runs");
        assert_eq!(result.stdout, b"alive\n");
    });
}

#[test]
fn ten_mebibytes_on_both_streams_at_once_do_not_deadlock() {
    let result = within(DEADLINE, || {
        sh("head -c 10485760 /dev/zero & head -c 10485760 /dev/zero >&2; wait")
    });
    assert_eq!(
        [result.stdout.len(), result.stderr.len()],
        [TEN_MIB, TEN_MIB],
        "{:?}",
        result.outcome
    );
}

#[test]
fn input_and_output_larger_than_any_pipe_pass_at_once() {
    let result = within(DEADLINE, || {
        Sandbox::command(&Policy::default(), "cat")
            .stdin(vec![b'y'; TEN_MIB])
            .output()
            .expect("runs")
    });
    assert!(
        result.stdout == vec![b'y'; TEN_MIB],
        "{} bytes",
        result.stdout.len()
    );
}

#[test]
fn a_capture_past_its_limit_keeps_the_start_and_says_so() {
    let result = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", "echo 0123456789; exit 4"])
        .stdout(Stdio::Capture { limit: 4 })
        .output()
        .expect("runs");
    assert_eq!(result.stdout, b"0123");
    assert!(result.truncated);
    assert_eq!(result.outcome, Outcome::Exited { code: 4 });
    assert_eq!(result.usage.stdout_bytes, 11);
}

#[test]
fn piped_streams_are_a_conversation() {
    let mut process = Sandbox::command(&Policy::default(), "cat")
        .stdin(Stdio::Piped)
        .stdout(Stdio::Piped)
        .spawn()
        .expect("starts");
    let mut input = process.stdin.take().expect("piped");
    let mut output = process.stdout.take().expect("piped");
    for word in [&b"one\n"[..], b"two\n"] {
        input.write_all(word).expect("cat reads");
        let mut answer = [0; 4];
        output.read_exact(&mut answer).expect("cat answers");
        assert_eq!(answer, word);
    }
    drop(input);
    assert_eq!(
        within(DEADLINE, || process.wait()).expect("ends").outcome,
        Outcome::Exited { code: 0 }
    );
}

#[test]
fn a_piped_stream_past_the_policy_s_limit_ends_the_run_with_that_verdict() {
    let policy = Policy::builder()
        .output(ByteSize::from_bytes(100_000), OnOutput::Kill)
        .build()
        .expect("valid");
    let mut process = Sandbox::command(&policy, "sh")
        .args([
            "-c",
            "trap '' PIPE; while :; do echo xxxxxxxxxxxxxxxx; done 2>/dev/null",
        ])
        .stdout(Stdio::Piped)
        .spawn()
        .expect("starts");
    let mut output = process.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let error = output.read_to_end(&mut bytes).expect_err("the limit is an error");
        (bytes.len(), error.kind())
    });
    let result = within(DEADLINE, || process.wait()).expect("ends");
    let stream = sandbox_types::Stream::Stdout;
    assert_eq!(result.outcome, Outcome::Output { stream });
    assert_eq!(
        reader.join().expect("reads"),
        (100_000, std::io::ErrorKind::QuotaExceeded)
    );
}

#[test]
fn a_piped_stream_that_is_truncated_ends_at_the_limit_and_the_run_goes_on() {
    let policy = Policy::builder()
        .output(ByteSize::from_bytes(10), OnOutput::Truncate)
        .build()
        .expect("valid");
    let mut process = Sandbox::command(&policy, "sh")
        .args(["-c", "head -c 1000000 /dev/zero; exit 5"])
        .stdout(Stdio::Piped)
        .spawn()
        .expect("starts");
    let mut bytes = Vec::new();
    let mut output = process.stdout.take().expect("piped");
    output.read_to_end(&mut bytes).expect("no error");
    let result = within(DEADLINE, || process.wait()).expect("ends");
    assert_eq!(
        (bytes.len(), result.outcome, result.truncated),
        (10, Outcome::Exited { code: 5 }, true)
    );
}

#[test]
fn a_stream_given_as_a_file_is_written_to_and_read_from() {
    let place = Place::new();
    let input = std::fs::File::open(place.file("in", "from a file\n")).expect("just made");
    let path = place.path().join("out");
    let output = std::fs::File::create(&path).expect("own directory");
    let result = Sandbox::command(&Policy::default(), "cat")
        .stdin(input)
        .stdout(output)
        .output()
        .expect("runs");
    assert!(result.outcome.success());
    assert_eq!(
        std::fs::read_to_string(path).expect("just written"),
        "from a file\n"
    );
}

#[test]
fn a_directory_as_a_stream_is_refused_because_it_leads_out() {
    let root = std::fs::File::open("/").expect("everybody may");
    let result = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", "cat /proc/self/fd/0/etc/hostname"])
        .stdin(root)
        .output();
    assert!(
        matches!(result, Err(RunError::Start(_))),
        "{:?}",
        result.map(|result| result.outcome)
    );
}

#[test]
fn relayed_output_arrives_on_the_host_s_own_stream() {
    in_own_process(name_of_test!(), || {
        let place = Place::new();
        let path = place.path().join("out");
        let file = std::fs::File::create(&path).expect("own directory");
        let saved = rustix::io::dup(rustix::stdio::stdout()).expect("a descriptor");
        rustix::stdio::dup2_stdout(&file).expect("a descriptor");
        let result = Sandbox::command(&Policy::default(), "sh")
            .args(["-c", "head -c 1000000 /dev/zero"])
            .stdout(Stdio::Relay)
            .output();
        rustix::stdio::dup2_stdout(&saved).expect("a descriptor");
        let result = result.expect("runs");
        assert!(result.outcome.success());
        assert_eq!(result.usage.stdout_bytes, 1_000_000);
        assert_eq!(std::fs::metadata(path).expect("made").len(), 1_000_000);
    });
}

#[test]
fn a_relay_whose_reader_has_gone_ends_like_any_pipeline() {
    in_own_process(name_of_test!(), || {
        let saved = rustix::io::dup(rustix::stdio::stdout()).expect("a descriptor");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        rustix::stdio::dup2_stdout(&writer).expect("a descriptor");
        drop((reader, writer));
        let result = Sandbox::command(&Policy::default(), "sh")
            .args(["-c", "head -c 10000000 /dev/zero; echo $? >&2"])
            .stdout(Stdio::Relay)
            .output();
        rustix::stdio::dup2_stdout(&saved).expect("a descriptor");
        let result = result.expect("runs");
        assert_eq!(
            String::from_utf8_lossy(&result.stderr).trim(),
            "141",
            "{:?}",
            result.outcome
        );
    });
}

#[test]
fn a_program_that_closes_its_streams_is_still_waited_for() {
    let result = within(DEADLINE, || {
        sh("exec >&- 2>&- <&-; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; exit 9")
    });
    assert_eq!(result.outcome, Outcome::Exited { code: 9 });
}

#[test]
fn a_child_left_in_the_background_ends_with_a_one_shot_run() {
    let result = within(DEADLINE, || sh("sleep 1000 & echo started"));
    assert_eq!(result.stdout, b"started\n");
}

#[test]
fn arguments_and_variables_are_passed_byte_for_byte() {
    let bytes = OsStr::from_bytes(b"\xff\xfe\x01 \n\"'\\$x");
    let result = Sandbox::command(&Policy::default(), "sh")
        .args([
            OsStr::new("-c"),
            OsStr::new("printf '%s|%s' \"$1\" \"$V\""),
            OsStr::new("sh"),
            bytes,
        ])
        .env("V", bytes)
        .output()
        .expect("runs");
    let expected = [bytes.as_bytes(), b"|", bytes.as_bytes()].concat();
    assert_eq!(result.stdout, expected);
}

#[test]
fn a_mebibyte_of_arguments_is_passed_and_more_than_the_kernel_takes_is_an_error() {
    let arguments = |count: usize| vec!["x".repeat(1000); count];
    let count = Sandbox::command(&Policy::default(), "sh")
        .args(["-c", "echo $#", "sh"])
        .args(arguments(1048))
        .output()
        .expect("runs");
    assert_eq!(count.stdout, b"1048\n");
    let error = Sandbox::command(&Policy::default(), "/bin/true")
        .args(arguments(10_000))
        .output()
        .expect_err("too long");
    let RunError::Start(StartError::Exec { source, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.raw_os_error(), Some(libc::E2BIG), "{error}");
}

#[test]
fn a_nul_byte_in_any_word_is_an_error_that_names_it() {
    let policy = Policy::default();
    let command = || Sandbox::command(&policy, "/bin/true");
    for bound in [
        command().arg("a\0b"),
        command().env("V", "a\0b"),
        command().cwd("a\0b"),
    ] {
        let error = bound.output().expect_err("NUL");
        assert!(
            matches!(error, RunError::Start(StartError::Nul { .. })),
            "{error}"
        );
        assert!(error.to_string().contains("a\\0b"), "{error}");
    }
    Sandbox::command(&Policy::default(), "tr\0ue")
        .output()
        .expect_err("NUL");
}

#[test]
fn a_program_is_looked_up_as_a_shell_would() {
    let place = Place::new();
    place.program("first/tool", "#!/bin/sh\necho first\n");
    place.program("second/tool", "#!/bin/sh\necho second\n");
    place.program("second/bare", "echo bare \"$1\"\n");
    place.file("first/plain", "#!/bin/sh\n");
    place.dir("first/dir");
    place.program("first/lost", "#!/no/such/interpreter\n");
    let policy = Policy::builder().read(place.path()).build().expect("valid");
    let start = |program: &str| Sandbox::command(&policy, program).arg("argument").output();
    let at = |name: &str| place.path().join(name).display().to_string();
    assert_eq!(start(&at("first/tool")).expect("runs").stdout, b"first\n");
    // Without an interpreter line it is the shell's.
    assert_eq!(
        start(&at("second/bare")).expect("runs").stdout,
        b"bare argument\n"
    );
    for (program, status) in [
        (at("first/plain"), 126),
        (at("first/dir"), 126),
        (at("first/none"), 127),
        (at("first/tool/beneath"), 127),
        (at("first/lost"), 127),
        ("no-such-program-anywhere".to_owned(), 127),
        (String::new(), 127),
    ] {
        let error = start(&program).expect_err(&program);
        let RunError::Start(error) = error else {
            panic!("{program}: {error}")
        };
        assert_eq!(error.exit_status(), status, "{program}: {error}");
        assert!(
            program.is_empty() || error.to_string().contains(&program),
            "{error}"
        );
    }
}

#[test]
fn the_caller_s_path_is_searched_in_its_order() {
    in_own_process(name_of_test!(), || {
        let place = Place::new();
        place.program("first/tool", "#!/bin/sh\necho first\n");
        place.program("second/tool", "#!/bin/sh\necho second\n");
        place.program("second/only", "#!/bin/sh\necho only\n");
        let path = |name: &str| place.path().join(name).display().to_string();
        sys::set_variable("PATH", format!("{}:{}", path("first"), path("second")));
        let policy = Policy::builder().read(place.path()).build().expect("valid");
        let run = |program: &str| stdout(&Sandbox::command(&policy, program).output().expect("runs"));
        assert_eq!(run("tool"), "first\n");
        assert_eq!(run("only"), "only\n");
        let refused = Policy::builder().write(place.path()).build().expect("valid");
        let error = Sandbox::command(&refused, "only")
            .output()
            .expect_err("a writable directory on PATH");
        assert!(matches!(error, RunError::Start(ref error) if error.exit_status() == 127));
    });
}

#[test]
fn a_working_directory_that_is_not_there_is_an_error_that_names_it() {
    let error = Sandbox::command(&Policy::default(), "/bin/true")
        .cwd("/no/such/directory")
        .output()
        .expect_err("missing");
    assert!(
        matches!(error, RunError::Start(StartError::Cwd { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("/no/such/directory"), "{error}");
    let error = Policy::builder().cwd("/no/such/directory").build().map(|policy| {
        Sandbox::command(&policy, "/bin/true")
            .output()
            .expect_err("missing")
    });
    assert!(error.expect("valid").to_string().contains("/no/such/directory"));
}

#[test]
fn a_command_starts_where_it_is_told() {
    let place = Place::new();
    let policy = Policy::builder()
        .read(place.path())
        .cwd(place.path())
        .build()
        .expect("valid");
    assert_eq!(
        stdout(&sh_under(&policy, "pwd -P")).trim(),
        place.path().display().to_string()
    );
    let result = Sandbox::command(&policy, "pwd")
        .cwd("/usr")
        .output()
        .expect("runs");
    assert_eq!(result.stdout, b"/usr\n");
}

#[test]
fn the_times_of_a_run_are_measured() {
    let result = sh("sleep 0.2");
    assert!(
        result.usage.wall() >= Duration::from_millis(200),
        "{:?}",
        result.usage
    );
    let busy = sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    assert!(busy.usage.cpu() >= Duration::from_millis(10), "{:?}", busy.usage);
    let child = sh("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true");
    assert!(
        child.usage.cpu() >= Duration::from_millis(10),
        "{:?}",
        child.usage
    );
}

#[test]
fn a_command_is_data_that_can_be_made_from_a_list() {
    let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
    let command = Command::from(&["sh", "-c", "exit 11"]);
    let process = sandbox.spawn(command).expect("starts");
    assert_eq!(
        process.wait().expect("ends").outcome,
        Outcome::Exited { code: 11 }
    );
}

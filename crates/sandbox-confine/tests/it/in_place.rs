//! Hosts without user namespaces or without Landlock: the same command behind other walls, and the report
//! says what is missing.

use std::time::Duration;

use sandbox_confine::{Outcome, Policy, PrepareError, RunError, Sandbox, StartError};
use sandbox_types::policy::PolicyBuilder;
use sandbox_types::{Guarantee, Mechanism, Require, RunResult, Status};

use crate::harness::{
    DEADLINE, MARKER, Place, both, children, deny_landlock, deny_namespaces, descriptors, eventually,
    in_own_process, live_with_argument, name_of_test, needs_program, private_entries, program, sh, sh_under,
    skip, start_marked, stdout, unique_seconds, within,
};

fn landlock_abi() -> u32 {
    sandbox_confine::Host::detect().expect("/proc").landlock_abi
}

/// Runs `body` where namespaces cannot be made.
fn without_namespaces(name: &str, body: impl FnOnce()) {
    if landlock_abi() < 3 {
        return skip(
            name,
            "Landlock ABI 3 is the least that suffices without namespaces",
        );
    }
    in_own_process(name, || {
        deny_namespaces();
        body();
    });
}

fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    change(Policy::builder()).build().expect("valid")
}

fn python(script: &str) -> RunResult {
    Sandbox::command(&Policy::default(), "python3")
        .args(["-c", script])
        .output()
        .expect("runs")
}

#[test]
fn the_same_command_runs_and_the_report_says_what_is_missing() {
    without_namespaces(name_of_test!(), || {
        let result = sh("echo out; echo err >&2; exit 7");
        assert_eq!(result.outcome, Outcome::Exited { code: 7 });
        assert_eq!(
            (result.stdout.as_slice(), result.stderr.as_slice()),
            (&b"out\n"[..], &b"err\n"[..])
        );
        let report = &result.report;
        assert!(!report.full);
        let reads = report.get(Guarantee::FilesRead).expect("always");
        assert_eq!(reads.status, Status::Degraded, "{reads:?}");
        assert!(!reads.missing.is_empty() && !reads.says.is_empty(), "{reads:?}");
        let isolated = report.get(Guarantee::Containment).expect("always");
        assert!(!isolated.by.contains(&Mechanism::PidNamespace), "{isolated:?}");
        let note = report
            .notes
            .iter()
            .find(|note| note.what.to_lowercase().contains("namespace"));
        assert!(note.is_some(), "{:?}", report.notes);
        // The second run knows already.
        assert_eq!(sh("exit 8").outcome, Outcome::Exited { code: 8 });
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        assert!(prepared.command("true").output().expect("runs").outcome.success());
    });
}

#[test]
fn a_prepared_sandbox_finds_out_at_its_first_run() {
    without_namespaces(name_of_test!(), || {
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        let result = prepared
            .command("sh")
            .args(["-c", "exit 4"])
            .output()
            .expect("runs");
        assert_eq!(result.outcome, Outcome::Exited { code: 4 });
        assert!(!result.report.full);
        assert_eq!(prepared.plan().report, result.report);
    });
}

#[test]
fn full_is_refused() {
    without_namespaces(name_of_test!(), || {
        let asked = policy(|policy| policy.require(Require::Full));
        let error = Sandbox::command(&asked, "true").output().expect_err("not full");
        assert!(
            matches!(
                error,
                RunError::Start(StartError::Prepare(PrepareError::Unavailable { .. }))
            ),
            "{error:?}"
        );
        let text = error.to_string().to_lowercase();
        assert!(text.contains("namespace"), "{text}");
    });
}

#[test]
fn a_denial_beneath_a_grant_is_refused() {
    without_namespaces(name_of_test!(), || {
        let place = Place::new();
        let hidden = place.file("tree/hidden", "secret");
        let tree = place.path().join("tree");
        let asked = policy(|policy| policy.read(&tree).deny(&hidden));
        let error = Sandbox::command(&asked, "cat")
            .arg(&hidden)
            .output()
            .expect_err("cannot be kept");
        assert!(
            matches!(
                error,
                RunError::Start(StartError::Prepare(PrepareError::Unavailable { .. }))
            ),
            "{error:?}"
        );
    });
}

#[test]
fn what_is_not_granted_can_neither_be_read_nor_written() {
    without_namespaces(name_of_test!(), || {
        let place = Place::new();
        let secret = place.file("secret", "very-secret");
        let granted = place.dir("granted");
        let asked = policy(|policy| policy.write(&granted));
        let script = format!(
            "cat {0} /proc/self/root{0} 2>/dev/null; (: > {0}) 2>/dev/null; rm -f {0} 2>/dev/null; \
             mv {0} {1}/ 2>/dev/null; ln {0} {1}/link 2>/dev/null; touch /tmp/confine-it-escaped 2>/dev/null; \
             ls {2} 2>/dev/null; echo ok > {1}/made; cat {1}/made",
            secret.display(),
            granted.display(),
            place.path().display()
        );
        assert_eq!(stdout(&sh_under(&asked, &script)), "ok\n");
        assert_eq!(std::fs::read_to_string(secret).expect("untouched"), "very-secret");
        assert!(!std::path::Path::new("/tmp/confine-it-escaped").exists());
    });
}

#[test]
fn home_and_tmpdir_are_private_and_gone_afterwards() {
    without_namespaces(name_of_test!(), || {
        let result = sh(
            "echo $HOME; echo $TMPDIR; mkdir $TMPDIR/d && (: > $TMPDIR/d/f) && (: > ~/f) && ls -A ~ $TMPDIR",
        );
        let text = stdout(&result);
        let mut lines = text.lines();
        let home = lines.next().expect("printed").to_owned();
        let temporary = lines.next().expect("printed").to_owned();
        assert_ne!(Some(home.clone().into()), std::env::var_os("HOME"));
        assert!(
            home.contains("sandbox-") && temporary.contains("sandbox-"),
            "{text}"
        );
        assert!(!std::path::Path::new(&home).exists() && !std::path::Path::new(&temporary).exists());
        assert_eq!(private_entries(), [""; 0].map(std::path::PathBuf::from));
    });
}

#[test]
fn no_socket_can_be_made() {
    without_namespaces(name_of_test!(), || {
        needs_program!("python3");
        let script = "import socket\nfor family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 40, 17, 16):\n    \
                      try:\n        socket.socket(family, socket.SOCK_STREAM if family != 17 else socket.SOCK_RAW)\n        \
                      print('open', family)\n    except OSError as error:\n        pass\n\
                      socket.socketpair()\nprint('pair')";
        let text = stdout(&python(script));
        let opened: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("open") && !(line.ends_with(" 1") && landlock_abi() >= 9))
            .collect();
        assert!(opened.is_empty() && text.ends_with("pair\n"), "{text}");
    });
}

#[test]
fn modes_owners_times_and_attributes_cannot_be_changed() {
    without_namespaces(name_of_test!(), || {
        let place = Place::new();
        let file = place.file("file", "x");
        let before = std::fs::metadata(&file).expect("there");
        let script = format!(
            "chmod 777 {0} && echo chmod; chown $(id -u) {0} && echo chown; touch -d 2001-01-01 {0} && echo utime; true",
            file.display()
        );
        let result = sh(&script);
        assert_eq!(stdout(&result), "", "{}", both(&result));
        let after = std::fs::metadata(&file).expect("there");
        assert_eq!(before.permissions(), after.permissions());
        assert_eq!(
            before.modified().expect("a time"),
            after.modified().expect("a time")
        );
    });
}

#[test]
fn processes_outside_cannot_be_signalled_or_changed() {
    without_namespaces(name_of_test!(), || {
        let marker = unique_seconds();
        let mut outside = std::process::Command::new("sleep")
            .arg(&marker)
            .spawn()
            .expect("starts");
        let pid = outside.id();
        let host = std::process::id();
        let script = format!(
            "for p in {pid} {host} $PPID; do kill -STOP $p; kill -9 $p; renice 19 $p; \
             prlimit --pid $p --nofile=1; done >/dev/null 2>&1; exit 5"
        );
        let result = within(DEADLINE, move || sh(&script));
        let is_alive = outside.try_wait().expect("our child").is_none();
        outside.kill().expect("our child");
        outside.wait().expect("our child");
        if landlock_abi() >= 6 {
            assert!(is_alive);
            assert_eq!(result.outcome, Outcome::Exited { code: 5 });
        }
    });
}

#[test]
fn setsid_children_do_not_survive() {
    without_namespaces(name_of_test!(), || {
        let marker = unique_seconds();
        let family = format!("setsid sleep {marker} & (setsid setsid sleep {marker} &); sleep {marker} &");
        let asked = policy(|policy| policy.wall_time(Duration::from_millis(200)));
        let script = format!("{family} sleep {marker}");
        let result = within(DEADLINE, move || sh_under(&asked, &script));
        assert_eq!(result.outcome, Outcome::WallTime);
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        // And those of a command that ends well.
        let script = format!("{family} exit 3");
        assert_eq!(
            within(DEADLINE, move || sh(&script)).outcome,
            Outcome::Exited { code: 3 }
        );
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        let default = Policy::default();
        let endless = format!("{family} sleep {marker}");
        let command = Sandbox::command(&default, "sh").args(["-c", &endless]);
        drop(command.spawn().expect("starts"));
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
    });
}

#[test]
fn a_fork_bomb_races_the_timeout_and_loses() {
    without_namespaces(name_of_test!(), || {
        let marker = unique_seconds();
        // Bounded: 200 at a time, each replaced as it ends.
        let script = format!(
            "i=0; while [ $i -lt 200 ]; do (while :; do setsid sh -c 'sleep 0.01' x {marker}; done) & \
             i=$((i+1)); done; wait"
        );
        let asked = policy(|policy| policy.wall_time(Duration::from_millis(700)));
        let result = within(DEADLINE, move || sh_under(&asked, &script));
        assert_eq!(result.outcome, Outcome::WallTime);
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        assert_eq!(children(), [0_u32; 0]);
    });
}

#[test]
fn pause_stops_children_of_other_threads_and_deep_ones() {
    without_namespaces(name_of_test!(), || {
        needs_program!("python3");
        let marker = unique_seconds();
        let mut sandbox = Sandbox::new(&Policy::default()).expect("plans");
        let deep = "import os, sys, subprocess, threading\n\
                    depth = int(sys.argv[1])\n\
                    command = [sys.executable, '-c', sys.argv[3], str(depth - 1), sys.argv[2], sys.argv[3]]\n\
                    def run():\n    subprocess.run(command)\n\
                    if depth:\n    thread = threading.Thread(target=run)\n    thread.start()\n    thread.join()\n\
                    else:\n    while True: pass\n";
        let process = sandbox
            .spawn(sandbox_confine::Command::new("python3").args(["-c", deep, "20", &marker, deep]))
            .expect("starts");
        eventually("all run", || live_with_argument(&marker).len() >= 21);
        sandbox.pause().expect("runs");
        eventually("all are stopped", || {
            live_with_argument(&marker).iter().all(|pid| {
                std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
                    stat.rsplit_once(") ")
                        .is_some_and(|(_, rest)| rest.starts_with('T'))
                })
            })
        });
        drop((process, sandbox));
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
    });
}

#[test]
fn kill_9_of_the_supervising_process_leaves_no_process() {
    let name = name_of_test!();
    let variable = std::env::var(MARKER);
    if let Ok(marker) = variable {
        return in_own_process(name, || {
            deny_namespaces();
            let script = format!("setsid sleep {marker} & (setsid setsid sleep {marker} &); sleep {marker}");
            let run = sh(&script);
            panic!("the run ended: {run:?}");
        });
    }
    if landlock_abi() < 3 {
        return skip(
            name,
            "Landlock ABI 3 is the least that suffices without namespaces",
        );
    }
    let marker = unique_seconds();
    let mut supervisor = start_marked(name, &marker);
    eventually("all three run", || live_with_argument(&marker).len() >= 3);
    let private = format!(
        "sandbox-{}-{}-",
        rustix::process::getuid().as_raw(),
        supervisor.id()
    );
    supervisor.kill().expect("our child");
    supervisor.wait().expect("our child");
    eventually("nothing of it runs", || live_with_argument(&marker).is_empty());
    // Its private directory is what `gc` is there for; a test leaves nothing.
    for entry in std::fs::read_dir(std::env::temp_dir()).expect("there").flatten() {
        if entry.file_name().to_string_lossy().starts_with(&private) {
            std::fs::remove_dir_all(entry.path()).expect("ours");
        }
    }
}

#[test]
fn many_runs_leave_nothing() {
    without_namespaces(name_of_test!(), || {
        let prepared = Sandbox::prepare(&Policy::default()).expect("plans");
        prepared.command("true").output().expect("runs");
        let before = descriptors();
        for _ in 0..50 {
            assert!(prepared.command("true").output().expect("runs").outcome.success());
            prepared
                .command("/no/such/program")
                .output()
                .expect_err("missing");
        }
        assert_eq!(descriptors(), before);
        assert_eq!(children(), [0_u32; 0]);
        assert_eq!(private_entries(), [""; 0].map(std::path::PathBuf::from));
    });
}

#[test]
fn real_programs_run_without_namespaces() {
    without_namespaces(name_of_test!(), || {
        for (name, arguments) in [
            ("python3", vec!["-c", "import json, ssl, sqlite3"]),
            ("git", vec!["--version"]),
            ("node", vec!["-e", "0"]),
        ] {
            if program(name).is_some() {
                let result = Sandbox::command(&Policy::default(), name)
                    .args(arguments)
                    .output()
                    .expect("runs");
                assert!(result.outcome.success(), "{name}: {}", both(&result));
            }
        }
    });
}

#[test]
fn without_landlock_namespaces_still_hold_and_it_is_said() {
    in_own_process(name_of_test!(), || {
        deny_landlock();
        let result = sh("echo x 2>/dev/null > /usr/x || echo refused");
        if crate::harness::namespaces().is_err() {
            return;
        }
        assert_eq!(stdout(&result), "refused\n");
        assert!(!result.report.full);
        assert!(
            result
                .report
                .notes
                .iter()
                .any(|note| note.what.contains("Landlock")),
            "{:?}",
            result.report.notes
        );
        let asked = policy(|policy| policy.require(Require::Full));
        Sandbox::command(&asked, "true").output().expect_err("not full");
        let ports = policy(|policy| {
            policy
                .network(sandbox_types::policy::NetworkMode::Host)
                .connect_port(443)
        });
        Sandbox::command(&ports, "true")
            .output()
            .expect_err("nothing rules ports");
    });
}

#[test]
fn with_neither_namespaces_nor_landlock_nothing_starts() {
    in_own_process(name_of_test!(), || {
        deny_namespaces();
        deny_landlock();
        let marker = unique_seconds();
        let error = Sandbox::command(&Policy::default(), "sleep")
            .arg(&marker)
            .output()
            .expect_err("no wall at all");
        assert!(
            matches!(
                error,
                RunError::Start(StartError::Prepare(PrepareError::Unavailable { .. }))
            ),
            "{error:?}"
        );
        assert_eq!(live_with_argument(&marker), [0_u32; 0]);
        let asked = policy(|policy| policy.require(Require::BestEffort));
        let result = sh_under(&asked, "exit 3");
        assert_eq!(result.outcome, Outcome::Exited { code: 3 });
        let reads = result.report.get(Guarantee::FilesRead).expect("always");
        assert_eq!(reads.status, Status::Disabled);
    });
}

#[test]
fn what_cannot_be_shown_elsewhere_is_refused_and_not_left_out() {
    without_namespaces(name_of_test!(), || {
        let place = Place::new();
        place.file("source/file", "x");
        let source = place.path().join("source");
        let tmpfs = sandbox_types::Mount {
            at: "/data".into(),
            source: sandbox_types::MountSource::Tmpfs {
                size: sandbox_types::SizeExt::mib(1),
            },
            access: sandbox_types::Access::Write,
        };
        for asked in [
            policy(|policy| policy.bind(&source, "/data/in", sandbox_types::Access::Read)),
            policy(|policy| policy.mount(tmpfs)),
            policy(|policy| policy.identity(sandbox_types::policy::Identity::Root)),
        ] {
            if crate::harness::is_root() && asked.filesystem.mounts.is_empty() {
                continue;
            }
            let result = Sandbox::command(&asked, "true").output();
            let error = result
                .map(|result| result.outcome)
                .expect_err("cannot be done here");
            assert!(
                matches!(error, RunError::Start(StartError::Prepare(_))),
                "{error:?}"
            );
        }
        // At its own place it is only a grant.
        let asked = policy(|policy| policy.bind(&source, &source, sandbox_types::Access::Read));
        let file = source.join("file").display().to_string();
        assert_eq!(stdout(&sh_under(&asked, &format!("cat {file}"))), "x");
    });
}

#[test]
fn root_can_run_a_command_as_another_user_that_has_a_home() {
    if !crate::harness::is_root() {
        return skip(name_of_test!(), "only root may");
    }
    without_namespaces(name_of_test!(), || {
        let asked = policy(|policy| policy.identity(sandbox_types::policy::Identity::User(4242)));
        let script = "id -u; id -g; id -G; echo x > ~/f && echo x > $TMPDIR/f && echo writes; cat /etc/shadow 2>/dev/null; true";
        assert_eq!(stdout(&sh_under(&asked, script)), "4242\n4242\n4242\nwrites\n");
    });
}

#[test]
fn a_private_directory_goes_however_deep_the_command_has_made_it() {
    without_namespaces(name_of_test!(), || {
        let before = private_entries();
        let script = "import os\nos.chdir(os.environ['TMPDIR'])\n\
                      for _ in range(2500):\n  os.mkdir('deep'); os.chdir('deep')\n\
                      os.mkdir('closed', 0)\n";
        let result = python(script);
        assert!(result.outcome.success(), "{}", both(&result));
        assert_eq!(private_entries(), before);
    });
}

#[test]
fn what_has_no_effect_without_namespaces_is_said() {
    without_namespaces(name_of_test!(), || {
        let notes = |policy: &Policy| {
            let result = sh_under(policy, "true");
            let notes = result.report.notes.iter();
            notes.map(|note| note.what.clone()).collect::<Vec<_>>().join("\n")
        };
        let asked = policy(|policy| {
            policy
                .hostname("elsewhere")
                .scratch(sandbox_types::SizeExt::mib(1))
        });
        let said = notes(&asked);
        assert!(said.contains("\"elsewhere\"") && said.contains("1MiB"), "{said}");
        let said = notes(&Policy::default());
        assert!(!said.contains("sandbox\"") && !said.contains("bound"), "{said}");
    });
}

#[test]
fn a_grant_that_has_become_a_link_is_not_followed() {
    without_namespaces(name_of_test!(), || {
        let place = Place::new();
        let (granted, elsewhere) = (place.dir("granted"), place.dir("elsewhere"));
        place.file("granted/file", "");
        place.file("elsewhere/secret", "secret");
        let policy = policy(|policy| policy.read(&granted));
        let ready = Sandbox::prepare(&policy).expect("planned");
        // The first run finds that there are no namespaces, and plans anew.
        let ls = |argument: &std::path::Path| ready.command("ls").arg(argument).output();
        assert_eq!(stdout(&ls(&granted).expect("runs")), "file\n");
        std::fs::rename(&granted, place.path().join("moved")).expect("rename");
        std::os::unix::fs::symlink(&elsewhere, &granted).expect("symlink");
        let error = ls(&granted).expect_err("a link is no directory that was granted");
        assert!(
            matches!(error, RunError::Start(StartError::Confine { .. })),
            "{error}"
        );
    });
}

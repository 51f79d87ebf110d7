//! What a command sees of the host's files.

use std::os::unix::fs::symlink;
use std::path::Path;

use sandbox_confine::{Policy, PrepareError, RunError, Sandbox, StartError};
use sandbox_types::policy::PolicyBuilder;
use sandbox_types::{Access, ByteSize, Mount, MountSource, SizeExt};

use crate::harness::{
    Place, both, in_own_process, name_of_test, needs_namespaces, sh, sh_under, stdout, sys,
};

fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    change(Policy::builder()).build().expect("valid")
}

/// Everything beneath a directory of the host, with sizes and modes.
fn listing(directory: &Path) -> String {
    let output = std::process::Command::new("find")
        .arg(directory)
        .args(["-printf", "%P %y %s %m %T@\n"])
        .output()
        .expect("find");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn namespaces_are_used() {
    let report = sh("true").report;
    let files = report.get(sandbox_types::Guarantee::FilesRead).expect("always");
    let by = &files.by;
    assert!(by.contains(&sandbox_types::Mechanism::PrivateRoot), "{files:?}");
}

#[test]
fn the_home_is_empty_private_and_writable() {
    in_own_process(name_of_test!(), || {
        let place = Place::new();
        place.file("home/.ssh/id_ed25519", "secret");
        place.file("home/notes", "private");
        sys::set_variable("HOME", place.path().join("home"));
        let before = listing(place.path());
        let text = stdout(&sh(
            "ls -A ~; cat ~/.ssh/id_ed25519 ~/notes 2>/dev/null; echo x > ~/made && cat ~/made",
        ));
        assert_eq!(text, "x\n");
        assert_eq!(listing(place.path()), before);
    });
}

#[test]
fn credentials_are_not_there_even_when_the_whole_home_is_granted() {
    needs_namespaces!();
    in_own_process(name_of_test!(), || {
        let place = Place::new();
        for secret in [
            ".ssh/id_ed25519",
            ".aws/credentials",
            ".gnupg/secring.gpg",
            ".netrc",
            ".config/gh/hosts.yml",
            ".npmrc",
            ".cargo/credentials.toml",
            ".docker/config.json",
            ".kube/config",
        ] {
            place.file(&format!("home/{secret}"), "very-secret");
        }
        place.file("home/notes", "readable");
        sys::set_variable("HOME", place.path().join("home"));
        let before = listing(place.path());
        for change in [
            (|policy: PolicyBuilder, home: &Path| policy.read(home))
                as fn(PolicyBuilder, &Path) -> PolicyBuilder,
            |policy, home| policy.write(home),
            |policy, home| policy.read(home.parent().expect("has one")),
        ] {
            let policy = policy(|policy| change(policy, &place.path().join("home")));
            let result = sh_under(
                &policy,
                "cat ~/notes; find ~ -type f | xargs grep -l very-secret; true",
            );
            assert_eq!(stdout(&result), "readable");
        }
        assert_eq!(listing(place.path()), before, "masks leave nothing behind");
    });
}

#[test]
fn denied_paths_are_hidden_beneath_a_grant_and_nothing_is_left_on_the_host() {
    needs_namespaces!();
    let place = Place::new();
    place.file("tree/shown", "shown\n");
    place.file("tree/hidden-file", "secret");
    place.file("tree/hidden-dir/inner/file", "secret");
    let before = listing(place.path());
    for access in [Access::Read, Access::Write] {
        let tree = place.path().join("tree");
        let policy = policy(|policy| {
            let policy = match access {
                Access::Read => policy.read(&tree),
                Access::Write => policy.write(&tree),
            };
            policy
                .deny(tree.join("hidden-file"))
                .deny(tree.join("hidden-dir"))
                .deny(tree.join("not-there"))
        });
        let script = "cd \"$0\"; cat shown; cat hidden-file hidden-dir/inner/file 2>/dev/null; ls -A hidden-dir; \
                      echo x 2>/dev/null > hidden-file; echo x 2>/dev/null > hidden-dir/new; \
                      rm -rf hidden-dir hidden-file 2>/dev/null; mv hidden-dir moved 2>/dev/null; true";
        let result = Sandbox::command(&policy, "sh")
            .args(["-c", script])
            .arg(&tree)
            .output()
            .expect("runs");
        assert_eq!(stdout(&result), "shown\n", "{}", both(&result));
        assert_eq!(listing(place.path()), before);
    }
}

#[test]
fn a_denied_path_that_is_reached_through_a_link_is_denied() {
    needs_namespaces!();
    let place = Place::new();
    place.file("tree/real/secret", "secret");
    symlink("real", place.path().join("tree/link")).expect("own directory");
    let tree = place.path().join("tree");
    let policy = policy(|policy| policy.read(&tree).deny(tree.join("link")));
    let script = format!(
        "cat {0}/link/secret {0}/real/secret 2>/dev/null; true",
        tree.display()
    );
    assert_eq!(stdout(&sh_under(&policy, &script)), "");
}

#[test]
fn a_granted_path_that_became_a_link_is_refused_at_the_start() {
    needs_namespaces!();
    let place = Place::new();
    let (granted, secret) = (place.dir("granted"), place.dir("secret"));
    place.file("secret/file", "secret");
    let prepared = Sandbox::prepare(&policy(|policy| policy.read(&granted))).expect("plans");
    assert!(prepared.command("true").output().expect("runs").outcome.success());
    std::fs::remove_dir(&granted).expect("empty");
    symlink(&secret, &granted).expect("own directory");
    let error = prepared
        .command("cat")
        .arg(granted.join("file"))
        .output()
        .expect_err("replaced");
    let RunError::Start(StartError::SetUp { step, .. }) = &error else {
        panic!("{error:?}")
    };
    assert!(step.contains(&granted.display().to_string()), "{step}");
    // And that was no reason to believe that there are no namespaces.
    crate::harness::namespaces().expect("as before");
    namespaces_are_used();
}

#[test]
fn a_directory_above_a_grant_that_became_a_link_is_refused_too() {
    needs_namespaces!();
    let place = Place::new();
    place.file("a/granted/file", "shown");
    place.file("b/granted/file", "secret");
    let granted = place.path().join("a/granted");
    let prepared = Sandbox::prepare(&policy(|policy| policy.read(&granted))).expect("plans");
    std::fs::rename(place.path().join("a"), place.path().join("c")).expect("own directory");
    symlink("b", place.path().join("a")).expect("own directory");
    let result = prepared.command("cat").arg(granted.join("file")).output();
    assert!(
        matches!(result, Err(RunError::Start(StartError::SetUp { .. }))),
        "{result:?}"
    );
}

#[test]
fn a_link_is_granted_as_what_it_points_to() {
    let place = Place::new();
    place.file("real/file", "through\n");
    let link = place.path().join("link");
    symlink("real", &link).expect("own directory");
    let policy = policy(|policy| policy.read(&link));
    let real = place.path().join("real/file");
    assert_eq!(
        stdout(&sh_under(&policy, &format!("cat {}", real.display()))),
        "through\n"
    );
}

#[test]
fn a_path_that_does_not_exist_is_an_error_that_names_it() {
    let missing = "/no/such/path/anywhere";
    for asked in [
        policy(|policy| policy.read(missing)),
        policy(|policy| policy.write(missing)),
        policy(|policy| policy.bind(missing, "/data", Access::Read)),
    ] {
        let error = Sandbox::prepare(&asked).expect_err("missing");
        assert!(matches!(error, PrepareError::Path { .. }), "{error:?}");
        assert!(error.to_string().contains(missing), "{error}");
        let error = Sandbox::command(&asked, "true").output().expect_err("missing");
        assert!(error.to_string().contains(missing), "{error}");
    }
}

#[test]
fn a_mount_point_is_never_made_in_the_caller_s_files() {
    needs_namespaces!();
    let place = Place::new();
    let (tree, other) = (place.dir("tree"), place.dir("other"));
    let before = listing(place.path());
    for access in [Access::Read, Access::Write] {
        let mut asked = Policy::default();
        match access {
            Access::Read => asked.filesystem.read.push(tree.clone()),
            Access::Write => asked.filesystem.write.push(tree.clone()),
        }
        asked.filesystem.mounts.push(Mount {
            at: tree.join("missing/deep"),
            source: MountSource::Bind(other.clone()),
            access: Access::Write,
        });
        let error = Sandbox::command(&asked, "true")
            .output()
            .expect_err("would have to be made");
        assert!(
            matches!(
                &error,
                RunError::Start(StartError::Prepare(PrepareError::MountPoint { .. }))
            ),
            "{error:?}"
        );
        assert_eq!(listing(place.path()), before);
    }
}

#[test]
fn grants_nest_either_way() {
    let place = Place::new();
    place.file("outer/file", "outer");
    place.file("outer/inner/file", "inner");
    let (outer, inner) = (place.path().join("outer"), place.path().join("outer/inner"));
    let script = format!(
        "echo x 2>/dev/null > {0}/new && echo outer; echo x 2>/dev/null > {0}/inner/new && echo inner; true",
        outer.display()
    );
    let reads = policy(|policy| policy.read(&outer).write(&inner));
    assert_eq!(stdout(&sh_under(&reads, &script)), "inner\n");
    assert!(inner.join("new").exists() && !outer.join("new").exists());
    needs_namespaces!();
    std::fs::remove_file(inner.join("new")).expect("just made");
    let writes = policy(|policy| policy.write(&outer).read(&inner));
    assert_eq!(stdout(&sh_under(&writes, &script)), "outer\n");
    assert!(!inner.join("new").exists() && outer.join("new").exists());
}

#[test]
fn a_single_file_can_be_granted_and_its_neighbors_stay_hidden() {
    let place = Place::new();
    let (shown, written) = (place.file("shown", "shown\n"), place.file("written", "old\n"));
    let hidden = place.file("hidden", "hidden\n");
    let policy = policy(|policy| policy.read(&shown).write(&written));
    let script = format!(
        "cat {}; echo new > {}; cat {} 2>/dev/null; echo x 2>/dev/null > {}; true",
        shown.display(),
        written.display(),
        hidden.display(),
        shown.display()
    );
    assert_eq!(stdout(&sh_under(&policy, &script)), "shown\n");
    assert_eq!(std::fs::read_to_string(written).expect("there"), "new\n");
    assert_eq!(std::fs::read_to_string(shown).expect("there"), "shown\n");
}

#[test]
fn a_bind_appears_elsewhere_and_only_there() {
    needs_namespaces!();
    let place = Place::new();
    let source = place.file("source/file", "content\n");
    let directory = place.path().join("source");
    let asked = policy(|policy| {
        policy
            .bind(&directory, "/data/in", Access::Read)
            .bind(&directory, "/data/out", Access::Write)
    });
    let script = format!(
        "cat /data/in/file; echo x 2>/dev/null > /data/in/no; echo y > /data/out/made; cat {} 2>/dev/null; true",
        source.display()
    );
    assert_eq!(stdout(&sh_under(&asked, &script)), "content\n");
    assert!(directory.join("made").exists() && !directory.join("no").exists());
}

#[test]
fn a_file_system_in_memory_holds_what_it_says_and_no_more() {
    needs_namespaces!();
    let asked = policy(|policy| {
        let tmpfs = |at: &str, access| Mount {
            at: at.into(),
            source: MountSource::Tmpfs { size: 1.mib() },
            access,
        };
        policy
            .mount(tmpfs("/data", Access::Write))
            .mount(tmpfs("/empty", Access::Read))
    });
    let script = "head -c 1048576 /dev/zero > /data/a && echo fits; \
                  head -c 1 /dev/zero 2>/dev/null > /data/b && cat /data/b | wc -c; touch /empty/x 2>/dev/null; \
                  rm /data/a && head -c 4096 /dev/zero > /data/c && echo again";
    let result = sh_under(&asked, script);
    assert!(
        both(&result).contains("No space left") || !both(&result).contains("\n1\n"),
        "{}",
        both(&result)
    );
    assert_eq!(
        stdout(&result)
            .lines()
            .filter(|line| *line == "fits" || *line == "again")
            .count(),
        2
    );
}

#[test]
fn home_tmp_and_shm_share_the_scratch_size() {
    needs_namespaces!();
    let asked = policy(|policy| policy.scratch(2.mib()));
    let script = "head -c 1000000 /dev/zero > ~/a && head -c 900000 /dev/zero > /dev/shm/b && echo fits; \
                  head -c 1000000 /dev/zero > /tmp/c || echo full";
    let result = sh_under(&asked, script);
    assert!(
        both(&result).contains("fits\n") && both(&result).contains("full"),
        "{}",
        both(&result)
    );
}

#[test]
fn a_scratch_too_small_for_the_root_is_an_error_and_not_a_weaker_sandbox() {
    needs_namespaces!();
    in_own_process(name_of_test!(), || {
        let asked = policy(|policy| policy.scratch(ByteSize::from_bytes(4096)));
        let result = Sandbox::command(&asked, "true").output();
        assert!(
            matches!(result, Err(RunError::Start(StartError::SetUp { .. }))),
            "{result:?}"
        );
        namespaces_are_used();
    });
}

#[test]
fn granting_the_root_shows_the_host_read_only_behind_a_proc_and_dev_of_its_own() {
    needs_namespaces!();
    in_own_process(name_of_test!(), || {
        let place = Place::new();
        place.file("home/.ssh/id_ed25519", "very-secret");
        sys::set_variable("HOME", place.path().join("home"));
        let asked = policy(|policy| policy.read("/"));
        let script = "test -d /usr/bin && test -d /etc && echo sees; touch /etc/x /usr/x /x 2>/dev/null; \
                      ls /dev | tr '\\n' ' '; echo; ls /proc | grep -c '^[0-9]'; \
                      cat ~/.ssh/id_ed25519 2>/dev/null; echo end";
        let text = stdout(&sh_under(&asked, script));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.first(), Some(&"sees"), "{text}");
        assert!(
            lines
                .get(1)
                .is_some_and(|dev| dev.split_whitespace().count() <= 16),
            "{text}"
        );
        assert!(
            lines
                .get(2)
                .is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count < 10)),
            "{text}"
        );
        assert_eq!(lines.get(3), Some(&"end"), "{text}");
    });
}

#[test]
fn proc_shows_only_the_sandbox_s_own_processes() {
    needs_namespaces!();
    let text = stdout(&sh(
        "ls /proc | grep '^[0-9]' | wc -l; readlink /proc/self; ls /proc/$$/root/ | wc -l",
    ));
    let count: u32 = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .expect("a number");
    assert!(count <= 6, "{text}");
}

#[test]
fn dev_holds_harmless_devices_only_and_they_work() {
    needs_namespaces!();
    let text = stdout(&sh("ls /dev | tr '\\n' ' '"));
    assert_eq!(
        text,
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "
    );
    let script = "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \
                  (echo x > /dev/full) 2>/dev/null || echo full; echo a > /dev/stdout; echo b | cat /dev/stdin; \
                  echo c > /dev/fd/1; touch /dev/shm/x && echo shm";
    assert_eq!(
        stdout(&sh(script)).split_whitespace().collect::<Vec<_>>(),
        ["3", "3", "full", "a", "b", "c", "shm"]
    );
}

#[test]
fn everything_but_the_private_places_is_read_only() {
    let script = "for d in / /usr /usr/bin /etc /bin /lib /dev /proc /var /run /home /opt /root /sys /srv /mnt; do \
                  touch $d/probe 2>/dev/null && echo $d; mkdir $d/probe-dir 2>/dev/null && echo $d; done; \
                  chmod 777 /usr/bin 2>/dev/null && echo chmod; echo x 2>/dev/null >> /etc/passwd && echo append; true";
    if crate::harness::namespaces().is_ok() && !crate::harness::is_root() {
        assert_eq!(stdout(&sh(script)), "");
        return;
    }
    // Root's home may be /root, which is then private.
    let text = stdout(&sh(script));
    assert!(text.lines().all(|line| line == "/root"), "{text}");
}

#[test]
fn what_is_not_granted_is_not_there() {
    needs_namespaces!();
    let place = Place::new();
    let secret = place.file("secret", "secret");
    let script = format!(
        "cat {0} /proc/self/root{0} /proc/1/root{0} ../../../../{0} 2>/dev/null; ls -A /var /run /home /root 2>/dev/null; true",
        secret.display()
    );
    let home = std::env::var("HOME").unwrap_or_default();
    let text = stdout(&sh(&script));
    assert!(!text.contains("secret"), "{text}");
    let unexpected: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.ends_with(':') && *line != "tmp" && !home.ends_with(line))
        .filter(|line| !line.starts_with('.'))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn a_setuid_program_gains_nothing() {
    needs_namespaces!();
    let script = "find /usr/bin -perm -4000 -name su | head -1; grep NoNewPrivs /proc/self/status | cut -f2; \
                  awk '$2==\"/usr\"{print $4}' /proc/self/mounts | grep -o nosuid";
    let text = stdout(&sh(script));
    assert!(text.contains("1\n"), "{text}");
    assert!(text.contains("nosuid") || !text.contains("/usr "), "{text}");
}

//! A clone has no right that the policy does not give.
#![expect(clippy::print_stdout, reason = "clones print")]

use sandbox_confine::{Policy, Sandbox};

use super::{alone, results, template};
use crate::harness::{Place, stdout};

/// What a clone prints that does `work`.
fn printed(policy: &Policy, work: impl Fn() -> String + Send + Sync) -> String {
    let mut template = Sandbox::new_with_fns(policy, || {}, |_| print!("{}", work())).expect("a template");
    stdout(&results(template.fork(1).expect("a clone"))[0])
}

/// Fields of a process's status.
fn status(fields: &[&str]) -> String {
    let text = std::fs::read_to_string("/proc/self/status").expect("its own");
    let wanted = text
        .lines()
        .filter(|line| fields.iter().any(|field| line.starts_with(field)));
    wanted.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn a_clone_has_no_capability_and_cannot_get_one() {
    alone!(|| {
        let text = printed(&Policy::default(), || status(&["Cap", "NoNewPrivs", "Seccomp:"]));
        let zero = "0000000000000000";
        assert_eq!(
            text,
            format!(
                "CapInh:\t{zero}\nCapPrm:\t{zero}\nCapEff:\t{zero}\nCapBnd:\t{zero}\nCapAmb:\t{zero}\nNoNewPrivs:\t1\n\
                 Seccomp:\t2\n"
            )
        );
    });
}

#[test]
fn a_clone_cannot_join_or_make_namespaces() {
    alone!(|| {
        let work = || {
            let own = std::fs::File::open("/proc/self/ns/pid").expect("its own");
            let kinds = rustix::thread::LinkNameSpaceType::ProcessID;
            let joined =
                rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&own), Some(kinds));
            let made = std::process::Command::new("unshare")
                .args(["-r", "true"])
                .output()
                .expect("runs");
            format!("{joined:?} {}", made.status.success())
        };
        assert_eq!(
            printed(&Policy::default(), work),
            "Err(Os { code: 1, kind: PermissionDenied, message: \"Operation not permitted\" }) false"
        );
    });
}

#[test]
fn files_and_environment_of_the_caller_that_are_not_granted_are_not_there() {
    alone!(|| {
        let place = Place::new();
        let secret = place.file("secret", "outside");
        let open = std::fs::File::open(&secret).expect("ours");
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        let work = move || {
            let by_name = std::fs::read_to_string(&secret).is_ok();
            let by_number =
                std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|link| link == secret);
            let home = std::env::var("HOME").unwrap_or_default();
            let inherited = std::env::var("CARGO_MANIFEST_DIR").is_ok()
                || std::env::var("CONFINE_IT_OWN_PROCESS").is_ok();
            let written = std::fs::write("/usr/x", "").is_ok();
            format!("{by_name} {by_number} {inherited} {written} {}", home.is_empty())
        };
        assert_eq!(printed(&Policy::default(), work), "false false false false false");
        drop(open);
    });
}

#[test]
fn there_is_no_network_in_a_clone() {
    alone!(|| {
        let work = || {
            let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
            interfaces
                .lines()
                .skip(2)
                .map(|line| line.split(':').next().unwrap_or("").trim().to_owned())
                .collect()
        };
        assert_eq!(printed(&Policy::default(), work), "lo");
    });
}

#[test]
fn clones_do_not_see_signal_or_read_one_another_nor_the_template() {
    alone!(|| {
        let mut template = template(|id| {
            if id == 0 {
                std::thread::sleep(std::time::Duration::from_secs(1000));
            }
            let own = rustix::process::getpid().as_raw_nonzero().get();
            // /proc is that of the template: it has the sibling in it, by another number.
            let others = std::fs::read_dir("/proc")
                .expect("there")
                .flatten()
                .filter_map(|entry| {
                    let name = entry.file_name().into_string().ok()?;
                    let is_self =
                        std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == name.as_str());
                    (name.parse::<u32>().is_ok() && !is_self).then_some(name)
                });
            let readable: Vec<_> = others
                .filter(|name| {
                    // One that has just ended can be opened, and has nothing in it.
                    ["environ", "maps", "auxv"].iter().any(|file| {
                        std::fs::read(format!("/proc/{name}/{file}")).is_ok_and(|content| !content.is_empty())
                    })
                })
                .collect();
            let all =
                rustix::process::test_kill_process(rustix::process::Pid::from_raw(3).expect("a number"))
                    .is_ok();
            print!("{own} {readable:?} {all}");
        });
        let mut clones = template.fork(2).expect("clones");
        assert_eq!(stdout(&clones[1].wait().expect("ends")), "2 [] false");
    });
}

#[test]
fn clones_have_pid_namespaces_of_their_own_and_a_template_one_of_the_sandbox() {
    alone!(|| {
        let mut template = template(|_| {
            print!(
                "{}",
                std::fs::read_link("/proc/self/ns/pid")
                    .expect("its own")
                    .display()
            );
        });
        let clones = results(template.fork(2).expect("clones"));
        assert_ne!(stdout(&clones[0]), stdout(&clones[1]));
    });
}

#[test]
fn a_narrow_profile_stays_as_narrow_in_a_clone() {
    alone!(|| {
        let policy = Policy::builder()
            .syscalls(sandbox_types::policy::SyscallProfile::Minimal)
            .build()
            .expect("valid");
        let work = || {
            let landlock = std::fs::create_dir("/tmp/x").is_ok();
            let pair = std::os::unix::net::UnixStream::pair().is_ok();
            format!("{landlock} {pair}")
        };
        assert_eq!(printed(&policy, work), "false false");
    });
}

#[test]
fn the_reports_of_a_template_and_a_clone_are_that_of_a_command() {
    alone!(|| {
        let mut template = template(|_| {});
        let command = sandbox_confine::Command::new("true");
        let of_command = template
            .spawn(command)
            .expect("starts")
            .wait()
            .expect("ends")
            .report;
        let of_clone = results(template.fork(1).expect("a clone")).remove(0).report;
        assert_eq!(of_command, of_clone);
        assert_eq!(template.report(), of_clone);
    });
}

#[test]
fn a_clone_moves_files_from_one_directory_to_another() {
    alone!(|| {
        let work = || {
            let moved = std::fs::create_dir_all("/tmp/a")
                .and_then(|()| std::fs::create_dir_all("/tmp/b"))
                .and_then(|()| std::fs::write("/tmp/a/x", ""))
                .and_then(|()| std::fs::rename("/tmp/a/x", "/tmp/b/x"));
            format!("{:?}", moved.map_err(|error| error.kind()))
        };
        assert_eq!(printed(&Policy::default(), work), "Ok(())");
    });
}

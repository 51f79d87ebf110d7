//! Clones with branches of their own have no more rights than others.

use std::fs::{read_to_string, write};

use sandbox::{Access, Mount, MountSource};

use crate::scene::{fork, printed, scenarios, scene};

scenarios! {
    a_clone_with_a_branch_keeps_nothing_of_what_let_it_have_one
    a_clone_with_a_branch_cannot_join_make_or_change_mounts
    a_clone_with_a_branch_sees_nothing_of_where_branches_are_kept
    what_is_denied_in_the_workspace_is_denied_in_each_view_and_in_the_template_s
    what_else_is_mounted_in_the_workspace_is_there_in_each_view
    landlock_gives_a_clone_with_a_branch_nothing_beside_the_workspace
}

fn a_clone_with_a_branch_keeps_nothing_of_what_let_it_have_one() {
    let scene = scene!();
    let work = |_| {
        let text = read_to_string("/proc/self/status").expect("its own");
        let wanted = text
            .lines()
            .filter(|line| line.starts_with("Cap") || line.starts_with("NoNewPrivs"));
        let numbers = wanted.map(|line| {
            line.split_whitespace()
                .last()
                .unwrap_or_default()
                .trim_start_matches('0')
                .to_owned()
        });
        let open = std::fs::read_dir("/proc/self/fd").expect("its own").count();
        print!("{:?} {}", numbers.collect::<Vec<_>>(), open - 1);
    };
    let mut template = scene.template(|| {}, work);
    let text = printed(&mut fork(&mut template, 1)[0]);
    assert_eq!(text, r#"["", "", "", "", "", "1"] 3"#);
}

fn a_clone_with_a_branch_cannot_join_make_or_change_mounts() {
    let scene = scene!();
    let work = |_| {
        let own = std::fs::File::open("/proc/self/ns/mnt").expect("its own");
        let kind = rustix::thread::LinkNameSpaceType::Mount;
        let joined = rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&own), Some(kind));
        let mounted = rustix::mount::mount("none", "/tmp", "tmpfs", rustix::mount::MountFlags::empty(), None);
        let detached = rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH);
        let changed = rustix::process::chroot("/tmp");
        print!("{:?}", [joined, mounted, detached, changed].map(Result::err));
    };
    let mut template = scene.template(|| {}, work);
    let text = printed(&mut fork(&mut template, 1)[0]);
    assert_eq!(text.matches("PermissionDenied").count(), 4, "{text}");
}

fn a_clone_with_a_branch_sees_nothing_of_where_branches_are_kept() {
    let scene = scene!();
    let storage = scene.workspace.storage().to_owned();
    let base = scene.base().to_owned();
    let work = move |_| {
        let mounts = read_to_string("/proc/self/mountinfo").expect("its own");
        let names = ["/layers", "/upper", storage.to_str().expect("text")];
        // Overlayfs names its layers: as a process sees them that is nobody's.
        let shown = mounts.lines().filter(|line| !line.contains("overlay"));
        let is_shown = shown
            .clone()
            .any(|line| names.iter().any(|name| line.contains(name)));
        let overlay = mounts
            .lines()
            .rfind(|line| line.contains(" overlay "))
            .unwrap_or_default();
        let is_named = overlay.contains(storage.to_str().expect("text"))
            || overlay.contains(&format!("={}", base.display()));
        print!("{} {is_shown} {is_named}", storage.exists());
    };
    let mut template = scene.template(|| {}, work);
    assert_eq!(printed(&mut fork(&mut template, 1)[0]), "false false false");
}

fn what_is_denied_in_the_workspace_is_denied_in_each_view_and_in_the_template_s() {
    let scene = scene!();
    std::fs::create_dir(scene.base().join("private")).expect("ours");
    write(scene.base().join("private/key"), "secret").expect("ours");
    write(scene.base().join("token"), "secret").expect("ours");
    let denied = [scene.base().join("private"), scene.base().join("token")];
    let policy = scene.policy(|builder| denied.iter().fold(builder, sandbox::PolicyBuilder::deny));
    let look = || {
        let key = std::fs::read("private/key").map_or(0, |bytes| bytes.len());
        let token = std::fs::read("token").map_or(0, |bytes| bytes.len());
        let renamed = std::fs::rename("private", "public").is_ok();
        format!("{key} {token} {renamed}")
    };
    let mut template = scene.template_under(&policy, || {}, |_| print!("{}", look()));
    for mut clone in fork(&mut template, 2) {
        assert_eq!(printed(&mut clone), "0 0 false");
    }
    let command = sandbox::Command::new("sh").args(["-c", "cat private/key token 2>/dev/null; ls"]);
    let command = command
        .stdin(sandbox::Stdio::Null)
        .stdout(sandbox::Stdio::capture());
    let result = template.spawn(command).expect("starts").wait().expect("ends");
    assert_eq!(String::from_utf8_lossy(&result.stdout), "old\nprivate\ntoken\n");
}

fn what_else_is_mounted_in_the_workspace_is_there_in_each_view() {
    let scene = scene!();
    std::fs::create_dir(scene.base().join("data")).expect("ours");
    let data = scene.beside("data");
    write(data.join("table"), "rows").expect("ours");
    let mount = Mount {
        at: scene.base().join("data"),
        source: MountSource::Bind(data.clone()),
        access: Access::Write,
    };
    let policy = scene.policy(|builder| builder.mount(mount));
    let work = |id: u32| {
        let read = read_to_string("data/table").unwrap_or_default();
        let written = write(format!("data/by-{id}"), "").is_ok();
        print!("{read} {written}");
    };
    let mut template = scene.template_under(&policy, || {}, work);
    for mut clone in fork(&mut template, 2) {
        assert_eq!(printed(&mut clone), "rows true");
    }
    assert!(data.join("by-1").exists(), "it is no part of the branch");
}

fn landlock_gives_a_clone_with_a_branch_nothing_beside_the_workspace() {
    let scene = scene!();
    let beside = scene.beside("beside");
    write(beside.join("file"), "").expect("ours");
    let policy = scene.policy(|builder| builder.read(&beside));
    let file = beside.join("file");
    let work = move |_| {
        let appended = std::fs::File::options().append(true).open(&file).is_ok();
        let moved = std::fs::create_dir_all("a")
            .and_then(|()| std::fs::create_dir_all("b"))
            .and_then(|()| {
                write("a/x", "")?;
                std::fs::rename("a/x", "b/x")
            });
        print!("{appended} {:?}", moved.map_err(|error| error.kind()));
    };
    let mut template = scene.template_under(&policy, || {}, work);
    assert_eq!(printed(&mut fork(&mut template, 1)[0]), "false Ok(())");
}

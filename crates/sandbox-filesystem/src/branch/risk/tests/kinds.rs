//! Rules that are about what an entry is, whatever it is called.

use super::*;

#[test]
fn an_executable_is_held_when_it_has_become_one() {
    let fixture = Fixture::new();
    fixture.in_base("run.sh", "#!/bin/sh\n", 0o755);
    fixture.in_branch("run.sh", "#!/bin/sh\necho\n", 0o755);
    assert_eq!(fixture.rule(modified("run.sh", true, &[Attribute::Time])), None);

    fixture.in_base("data", "x", 0o644);
    fixture.in_branch("data", "x", 0o755);
    let now_executable = modified("data", false, &[Attribute::Mode]);
    assert_eq!(fixture.rule(now_executable).as_deref(), Some("new-executable"));

    fixture.in_branch("new.sh", "#!/bin/sh\n", 0o755);
    assert_eq!(fixture.rule(added("new.sh")).as_deref(), Some("new-executable"));
    fixture.in_branch("new.txt", "no program", 0o710);
    assert_eq!(fixture.rule(added("new.txt")).as_deref(), Some("new-executable"));

    let renamed = ChangeKind::Renamed {
        from: RelPath::new("run.sh").unwrap(),
        content: false,
    };
    fixture.in_branch("moved.sh", "#!/bin/sh\n", 0o755);
    assert_eq!(
        fixture.rule(change("moved.sh", NodeKind::File, renamed.clone())),
        None
    );
    fixture.in_branch(".git/hooks/pre-commit", "#!/bin/sh\n", 0o755);
    let hook = change(".git/hooks/pre-commit", NodeKind::File, renamed);
    assert_eq!(fixture.rule(hook).as_deref(), Some("git-hooks"));
}

#[test]
fn a_binary_in_the_place_of_a_script_is_held() {
    let fixture = Fixture::new();
    fixture.in_base("tool", "#!/bin/sh\n", 0o755);
    fixture.in_branch("tool", "\x7fELF and so on", 0o755);
    assert_eq!(
        fixture.rule(modified("tool", true, &[])).as_deref(),
        Some("program")
    );
    let touched = modified("tool", false, &[Attribute::Time]);
    assert_eq!(fixture.rule(touched), None);
}

#[test]
fn setuid_is_held_whatever_the_name() {
    let fixture = Fixture::new();
    fixture.in_branch("a", "", 0o4644);
    assert_eq!(fixture.rule(added("a")).as_deref(), Some("set-id"));
    fixture.in_branch("b", "", 0o2755);
    assert_eq!(fixture.rule(added("b")).as_deref(), Some("set-id"));
    fs::create_dir(fixture.upper.join("d")).unwrap();
    fs::set_permissions(fixture.upper.join("d"), fs::Permissions::from_mode(0o2775)).unwrap();
    let directory = change("d", NodeKind::Directory, ChangeKind::Added);
    assert_eq!(fixture.rule(directory), None);
}

#[test]
fn file_capabilities_are_held() {
    let fixture = Fixture::new();
    fixture.in_branch("a", "", 0o644);
    // cap_net_raw=ep, revision 2.
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    match rustix::fs::setxattr(fixture.upper.join("a"), c"security.capability", &value, flags) {
        Ok(()) => assert_eq!(fixture.rule(added("a")).as_deref(), Some("capabilities")),
        // Only root may; as a plain user the question itself is what is tested.
        Err(rustix::io::Errno::PERM) => assert_eq!(fixture.rule(added("a")), None),
        Err(errno) => panic!("{errno}"),
    }
}

#[test]
fn links_are_held_when_they_leave() {
    let fixture = Fixture::new();
    fixture.in_branch("d/file", "", 0o644);
    let root = fixture.base.to_str().unwrap().to_owned();
    for (path, target, rule) in [
        ("in", "d/file", None),
        ("d/up", "../in", None),
        ("abs", &*format!("{root}/d/file"), None),
        ("out", "/etc/passwd", Some("link-outside")),
        ("d/out", "../../x", Some("link-outside")),
        ("through", "out/x", Some("link-outside")),
        (".vscode", "d", Some("editor")),
        ("lib/.git/hooks", "../../d", Some("git-hooks")),
        ("tools", "d", None),
        (".git/hooks/pre-commit", "../../d/file", Some("git-hooks")),
        ("x/.gitattributes", "../d/file", Some("git-attributes")),
    ] {
        fixture.link(path, target);
        let link = change(path, NodeKind::Symlink, ChangeKind::Added);
        assert_eq!(fixture.rule(link).as_deref(), rule, "{path} -> {target}");
    }
    // `..` of a link is not the directory that the link is in.
    fixture.link("self", ".");
    fixture.link("sneaky", "self/..");
    let sneaky = change("sneaky", NodeKind::Symlink, ChangeKind::Added);
    assert_eq!(fixture.rule(sneaky).as_deref(), Some("link-outside"));
}

#[test]
fn what_is_neither_file_nor_directory_nor_link_is_held() {
    let fixture = Fixture::new();
    for (node, rule) in [
        (NodeKind::CharDevice, "device"),
        (NodeKind::BlockDevice, "device"),
        (NodeKind::Fifo, "special-file"),
        (NodeKind::Socket, "special-file"),
    ] {
        let change = change("a", node, ChangeKind::Added);
        assert_eq!(fixture.rule(change).as_deref(), Some(rule));
    }
}

#[test]
fn deletions_are_never_held() {
    let fixture = Fixture::new();
    for path in [".git/hooks/pre-commit", ".bashrc", "a.pyc"] {
        let deleted = change(path, NodeKind::File, ChangeKind::Deleted);
        assert_eq!(fixture.rule(deleted), None);
    }
}

#[test]
fn a_change_that_is_gone_again_is_not_held() {
    let fixture = Fixture::new();
    assert_eq!(fixture.rule(added("vanished")), None);
}

//! What git would run or obey.

use super::*;

#[test]
fn git_configuration_is_held_for_what_it_gains() {
    let cloned = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
        [remote \"origin\"]\n\turl = https://example.test/a/b.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\
        [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n";
    for (gained, is_held) in [
        ("", false),
        ("[user]\n\tname = A. O'Neil\n\temail = a@example.test\n", false),
        ("[remote \"x\"]\n\turl = git@example.test:a/b.git\n", false),
        ("\tfsmonitor = ./evil\n", true),
        ("\tbare = false \\\n", true),
        ("[alias] x = !evil\n", true),
        ("[remote \"x\"] uploadpack = \"evil\"]\n", true),
        ("\turl = ext::sh -c evil\n", true),
        ("\turl = ssh://-oProxyCommand=evil/x\n", true),
        ("[include]\n\tpath = ../evil\n", true),
        ("\tbare = false\r\tfsmonitor = evil\n", true),
    ] {
        let fixture = Fixture::new();
        fixture.in_branch("dep/.git/config", &format!("{cloned}{gained}"), 0o644);
        let rule = fixture.rule(added("dep/.git/config"));
        assert_eq!(
            rule.as_deref(),
            is_held.then_some("git-config"),
            "new: {gained:?}"
        );

        let fixture = Fixture::new();
        fixture.in_base(".git/config", &format!("{cloned}[core]\n\tpager = less\n"), 0o644);
        fixture.in_branch(
            ".git/config",
            &format!("{cloned}[core]\n\tpager = less\n{gained}"),
            0o644,
        );
        let rule = fixture.rule(modified(".git/config", true, &[]));
        assert_eq!(
            rule.as_deref(),
            is_held.then_some("git-config"),
            "old: {gained:?}"
        );
    }
}

#[test]
fn a_bare_repository_in_the_tree_is_held() {
    let fixture = Fixture::new();
    for path in [
        "x/HEAD",
        "x/objects/a",
        "x/refs/heads/main",
        "x/config",
        "x/hooks/post-checkout",
    ] {
        fixture.in_branch(path, "", 0o644);
    }
    assert_eq!(fixture.rule(added("x/config")).as_deref(), Some("git-bare"));
    assert_eq!(
        fixture.rule(added("x/hooks/post-checkout")).as_deref(),
        Some("git-bare-hooks")
    );
    assert_eq!(fixture.rule(added("x/HEAD")), None);
}

#[test]
fn what_makes_a_repository_of_a_directory_is_held_when_a_config_or_hooks_are_there_already() {
    for (before, rule) in [
        ("x/config", "git-bare-made"),
        ("x/hooks/post-checkout", "git-bare-made-hooks"),
    ] {
        let fixture = Fixture::new();
        fixture.in_base(before, "[core]\n\tfsmonitor = evil\n", 0o644);
        fixture.in_branch("x/HEAD", "ref: refs/heads/main\n", 0o644);
        fixture.in_branch("x/objects/a", "", 0o644);
        assert_eq!(fixture.rule(added("x/HEAD")), None, "{before}: no refs");
        fs::create_dir(fixture.upper.join("x/refs")).unwrap();
        assert_eq!(fixture.rule(added("x/HEAD")).as_deref(), Some(rule));
        let refs = change("x/refs", NodeKind::Directory, ChangeKind::Added);
        assert_eq!(fixture.rule(refs).as_deref(), Some(rule));
        assert_eq!(fixture.rule(added("x/objects/a")), None);
    }
}

#[test]
fn a_directory_whose_repository_is_elsewhere_in_the_tree_is_held() {
    let fixture = Fixture::new();
    fixture.in_branch("x/HEAD", "ref: refs/heads/main\n", 0o644);
    fixture.in_branch("x/commondir", "../real\n", 0o644);
    fixture.in_branch("real/config", "[core]\n\tpager = evil\n", 0o644);
    assert_eq!(
        fixture.rule(added("x/commondir")).as_deref(),
        Some("git-bare-elsewhere")
    );
    // What it says by itself is nothing.
    fixture.in_branch("y/commondir", "../real\n", 0o644);
    assert_eq!(fixture.rule(added("y/commondir")), None);

    let fixture = Fixture::new();
    fixture.in_base("x/commondir", "../real\n", 0o644);
    fixture.in_branch("x/HEAD", "ref: refs/heads/main\n", 0o644);
    assert_eq!(
        fixture.rule(added("x/HEAD")).as_deref(),
        Some("git-bare-made-elsewhere")
    );
}

#[test]
fn what_git_init_puts_among_the_hooks_is_held_in_no_repository() {
    for path in [
        ".git/hooks/update.sample",
        ".git/modules/dep/hooks/update.sample",
        "x.git/hooks/update.sample",
    ] {
        let fixture = Fixture::new();
        for beside in ["HEAD", "objects/a", "refs/a"] {
            fixture.in_branch(&format!("x.git/{beside}"), "", 0o644);
        }
        fixture.in_branch(path, "#!/bin/sh\n", 0o755);
        assert_eq!(fixture.rule(added(path)), None, "{path}");
    }
}

#[test]
fn what_the_bases_configuration_and_hooks_lead_to_is_held() {
    let fixture = Fixture::new();
    for directory in [".git/objects", ".git/refs", ".git/hooks", "scripts"] {
        fs::create_dir_all(fixture.base.join(directory)).unwrap();
    }
    fixture.in_base(".git/HEAD", "ref: refs/heads/main\n", 0o644);
    let config = "[core]\n\thooksPath = my/hooks\n[include]\n\tpath = ../conf/shared\n";
    fixture.in_base(".git/config", config, 0o644);
    fixture.in_base(
        "conf/shared",
        "[includeIf \"onbranch:x\"]\n\tpath = more\n",
        0o644,
    );
    fixture.in_base("scripts/hook", "#!/bin/sh\n", 0o755);
    symlink("../../scripts/hook", fixture.base.join(".git/hooks/post-commit")).unwrap();
    fs::create_dir(fixture.base.join("my")).unwrap();
    symlink("../other", fixture.base.join("my/hooks")).unwrap();
    for (path, content) in [
        ("my/hooks", ""),
        ("other/pre-commit", "x"),
        ("other/pre-commit.sample", "x"),
        ("OTHER/pre-commit", "x"),
        ("scripts/hook", "x"),
        ("scripts/hooks", "x"),
        ("conf/shared", "[core]\n\tfsmonitor = evil\n"),
        ("conf/more", "[user]\n\tname = a\n"),
        ("conf/evil", "[core]\n\tfsmonitor = evil\n"),
    ] {
        fixture.in_branch(path, content, 0o644);
    }
    let base = fixture.base.canonicalize().unwrap();
    let rules = Rules::builtin()
        .unwrap()
        .with(Reached::from_base(&base, std::iter::empty()));
    for (change, rule) in [
        (added("other/pre-commit"), Some("git-hooks")),
        (added("OTHER/pre-commit"), Some("git-hooks")),
        (added("other/pre-commit.sample"), None),
        (modified("scripts/hook", true, &[]), Some("git-hooks")),
        (added("scripts/hooks"), None),
        (modified("conf/shared", true, &[]), Some("git-config")),
        (added("conf/more"), None),
        (added("conf/evil"), None),
        (
            change("my/hooks", NodeKind::Symlink, ChangeKind::Added),
            Some("git-hooks"),
        ),
        (
            change("conf", NodeKind::Symlink, ChangeKind::Added),
            Some("git-config"),
        ),
    ] {
        let path = change.path.clone();
        assert_eq!(fixture.rule_by(&rules, change).as_deref(), rule, "{path}");
    }
    fixture.in_branch("conf/more", "[core]\n\tsshCommand = evil\n", 0o644);
    assert_eq!(
        fixture.rule_by(&rules, added("conf/more")).as_deref(),
        Some("git-config")
    );
}

/// A repository at `at` in the base, with this configuration.
fn repository(fixture: &Fixture, at: &str, config: &str) {
    for directory in ["objects", "refs", "hooks"] {
        fs::create_dir_all(fixture.base.join(at).join(directory)).unwrap();
    }
    fixture.in_base(&format!("{at}/HEAD"), "ref: refs/heads/main\n", 0o644);
    fixture.in_base(&format!("{at}/config"), config, 0o644);
}

#[track_caller]
fn holds_in(fixture: &Fixture, expected: &[(&str, Option<&str>)]) {
    let changes: Vec<_> = expected.iter().map(|(path, _)| added(path)).collect();
    let base = fixture.base.canonicalize().unwrap();
    let reached = Reached::from_base(&base, changes.iter().map(|change| &change.path));
    let rules = Rules::builtin().unwrap().with(reached);
    for (change, (path, rule)) in changes.into_iter().zip(expected) {
        fixture.in_branch(path, "x", 0o644);
        assert_eq!(fixture.rule_by(&rules, change).as_deref(), *rule, "{path}");
    }
}

#[test]
fn a_program_that_the_bases_configuration_names_is_held() {
    let fixture = Fixture::new();
    let config = "[core]\n\tfsmonitor = tools/watch\n\tworktree = ..\n\
        [filter \"x\"]\n\tclean = \"python3 'tools/clean.py' --all\"\n\
        [alias]\n\tx = \"!cd src && ./build.sh\"\n[remote \"o\"]\n\turl = tools/repo\n";
    repository(&fixture, ".git", config);
    fs::create_dir_all(fixture.base.join("src")).unwrap();
    holds_in(
        &fixture,
        &[
            ("tools/watch", Some("git-hooks")),
            ("tools/clean.py", Some("git-hooks")),
            ("build.sh", Some("git-hooks")),
            ("TOOLS/watch", Some("git-hooks")),
            ("tools/other", None),
            ("tools/repo", None),
            ("src/main.rs", None),
        ],
    );
}

#[test]
fn what_a_repository_within_the_workspace_and_a_submodule_lead_to_is_held() {
    let fixture = Fixture::new();
    repository(&fixture, ".git", "");
    repository(
        &fixture,
        "vendor/lib/.git",
        "[core]\n\thooksPath = my-hooks\n\tfsmonitor = ./watch\n",
    );
    let submodule = "[core]\n\tworktree = ../../../dep\n\thooksPath = ../shared\n";
    repository(&fixture, ".git/modules/dep", submodule);
    fixture.in_base("dep/.git", "gitdir: ../.git/modules/dep\n", 0o644);
    holds_in(
        &fixture,
        &[
            ("vendor/lib/my-hooks/pre-commit", Some("git-hooks")),
            ("vendor/lib/watch", Some("git-hooks")),
            ("vendor/lib/src", None),
            ("my-hooks/pre-commit", None),
            ("shared/post-checkout", Some("git-hooks")),
            ("other/post-checkout", None),
        ],
    );
}

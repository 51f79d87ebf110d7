use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sandbox_types::{Attribute, RuleSpec};

use super::*;
use crate::branch::stack::LayerFormat;

/// A base and one layer over it, made by hand.
struct Fixture {
    _place: tempfile::TempDir,
    base: PathBuf,
    upper: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let [base, upper] = ["base", "upper"].map(|name| place.path().join(name));
        fs::create_dir(&base).unwrap();
        fs::create_dir(&upper).unwrap();
        Self {
            _place: place,
            base,
            upper,
        }
    }

    fn write(root: &Path, path: impl AsRef<OsStr>, content: &[u8], mode: u32) {
        let path = root.join(Path::new(&path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn in_base(&self, path: &str, content: &str, mode: u32) {
        Self::write(&self.base, path, content.as_bytes(), mode);
    }

    fn in_branch(&self, path: &str, content: &str, mode: u32) {
        Self::write(&self.upper, path, content.as_bytes(), mode);
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.upper.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn stack(&self) -> Stack {
        Stack::open(&[(self.upper.clone(), LayerFormat::Overlay)], &self.base).unwrap()
    }

    fn rule_by(&self, rules: &Rules, change: Change) -> Option<String> {
        let mut changes = [change];
        rules.mark(&self.stack(), &mut changes).unwrap();
        changes[0].hold.take().map(|hold| hold.rule)
    }

    fn rule(&self, change: Change) -> Option<String> {
        static BUILTIN: LazyLock<Rules> = LazyLock::new(|| Rules::builtin().unwrap());
        self.rule_by(&BUILTIN, change)
    }
}

fn change(path: impl AsRef<OsStr>, node: NodeKind, change: ChangeKind) -> Change {
    Change {
        path: RelPath::new(Path::new(&path)).unwrap(),
        node,
        change,
        size: 0,
        hold: None,
        conflict: None,
    }
}

fn added(path: impl AsRef<OsStr>) -> Change {
    change(path, NodeKind::File, ChangeKind::Added)
}

fn modified(path: &str, content: bool, attributes: &[Attribute]) -> Change {
    let attributes = attributes.to_vec();
    change(path, NodeKind::File, ChangeKind::Modified { content, attributes })
}

/// The rule that holds a new file with that name and some text in it.
fn rule_of_new_file(path: impl AsRef<OsStr>) -> Option<String> {
    let fixture = Fixture::new();
    Fixture::write(&fixture.upper, &path, b"some text\n", 0o644);
    fixture.rule(added(path))
}

#[test]
fn what_runs_without_being_asked_for_is_held() {
    for (path, rule) in [
        (".git/hooks/pre-commit", "git-hooks"),
        ("vendor/lib/.git/hooks/post-checkout", "git-hooks"),
        (".git/modules/dep/hooks/post-merge", "git-hooks"),
        (".githooks/pre-push", "git-hooks"),
        (".git/config", "git-config"),
        ("a/b/.git/config.worktree", "git-config"),
        (".git", "git-elsewhere"),
        ("a/.git", "git-elsewhere"),
        (".git/commondir", "git-elsewhere"),
        (".git/rebase-merge/git-rebase-todo", "git-rebase"),
        (".hg/hgrc", "vcs-config"),
        (".husky/pre-commit", "hook-manager"),
        ("lefthook.yml", "hook-manager"),
        (".lefthook-local.yml", "hook-manager"),
        (".pre-commit-config.yaml", "hook-manager"),
        (".envrc", "directory-environment"),
        ("sub/mise.toml", "directory-environment"),
        (".mise.local.toml", "directory-environment"),
        ("mise/config.toml", "directory-environment"),
        (".bashrc", "shell-startup"),
        ("home/user/.zshenv", "shell-startup"),
        (".zshrc.zwc", "shell-startup"),
        (".config/fish/config.fish", "shell-startup"),
        (".Rprofile", "program-startup"),
        (".ssh/config", "program-startup"),
        (".config/systemd/user/x.service", "system-startup"),
        ("rootfs/etc/cron.d/job", "system-startup"),
        ("data/app.desktop", "launcher"),
        ("AUTORUN.INF", "launcher"),
        (".vscode/tasks.json", "editor"),
        ("pkg/.vscode/settings.json", "editor"),
        ("app.code-workspace", "editor"),
        (".idea/workspace.xml", "editor"),
        (".devcontainer/devcontainer.json", "editor"),
        (".dir-locals.el", "editor"),
        (".claude/settings.local.json", "agent"),
        (".mcp.json", "agent"),
        (".cursor/mcp.json", "agent"),
        (".github/workflows/ci.yml", "ci"),
        (".gitlab-ci.yml", "ci"),
        ("Jenkinsfile", "ci"),
        ("sitecustomize.py", "python-startup"),
        ("pkg/__pycache__/m.cpython-312.pyc", "bytecode"),
        (".npmrc", "package-manager"),
        (".cargo/config.toml", "package-manager"),
        (".yarn/releases/yarn.cjs", "package-manager"),
        (".gradle/init.d/x.gradle", "package-manager"),
        ("mod.cpython-312-x86_64-linux-gnu.so", "native-library"),
        ("libx.so.1.2", "native-library"),
    ] {
        assert_eq!(rule_of_new_file(path).as_deref(), Some(rule), "{path}");
    }
}

#[test]
fn what_agents_write_every_day_is_not_held() {
    for path in [
        "src/main.rs",
        "build.rs",
        "Makefile",
        "package.json",
        "pyproject.toml",
        "conftest.py",
        "tests/test_x.py",
        "docs/git/hooks/pre-commit.md",
        "src/hooks/use-state.ts",
        "src/config",
        "config/settings.json",
        "vscode/tasks.json",
        ".env",
        ".tool-versions",
        ".gitignore",
        ".editorconfig",
        ".github/CODEOWNERS",
        ".github/dependabot.yml",
        ".vscode/extensions.json",
        "CLAUDE.md",
        "AGENTS.md",
        ".claude/CLAUDE.md",
        ".cursor/rules/style.mdc",
        ".git/hooks/pre-commit.sample",
        "models/weights.pth",
        "Main.class",
        "deploy/app.service",
        "rust-toolchain.toml",
        "Dockerfile",
        "mise",
        ".prettierrc",
    ] {
        assert_eq!(rule_of_new_file(path), None, "{path}");
    }
}

#[test]
fn another_spelling_of_a_path_is_held_as_well() {
    for path in [
        ".GIT/hooks/pre-commit",
        ".git\u{200c}/hooks/pre-commit",
        ".Git/HOOKS/pre-commit",
        "git~1/hooks/pre-commit",
        ".git. /hooks./pre-commit",
        ".git::$INDEX_ALLOCATION/hooks/pre-commit",
        ".git/hooks/pre-commit.sample/x",
        "x/.g\u{2064}it/hoo\u{212a}s/a",
    ] {
        assert_eq!(rule_of_new_file(path).as_deref(), Some("git-hooks"), "{path:?}");
    }
    let raw = OsStr::from_bytes(b"\xff\xfe/.git/hooks/\xff");
    assert_eq!(rule_of_new_file(raw).as_deref(), Some("git-hooks"));
    // An exception must hold for every spelling, or `.sample` would only have to be invisible.
    assert_eq!(
        rule_of_new_file(".git/hooks/pre-commit.sam\u{ad}ple").as_deref(),
        Some("git-hooks")
    );
}

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
fn files_that_only_sometimes_run_something_are_held_for_the_lines_they_gain() {
    for (path, content, rule) in [
        (
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = x\n\turl = https://x.test\n",
            None,
        ),
        (
            ".gitmodules",
            "[submodule \"x\"]\n\tupdate = !evil\n",
            Some("git-modules"),
        ),
        (".gitmodules", "\turl = -u./evil\n", Some("git-modules")),
        (
            ".gitattributes",
            "* text=auto eol=lf\n*.png binary\n*.py diff=python\n",
            None,
        ),
        (
            ".gitattributes",
            "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            None,
        ),
        (".gitattributes", "*.c filter=evil\n", Some("git-attributes")),
        (
            ".gitattributes",
            "*.c diff=python filter=evil\n",
            Some("git-attributes"),
        ),
        (".gitattributes", "*.lock merge=ours\n", Some("git-attributes")),
        ("venv/lib/site-packages/x.pth", "/some/path\n", None),
        (
            "venv/lib/site-packages/x.pth",
            "a\rimport os\n",
            Some("python-path"),
        ),
        ("sub/.git", "gitdir: ../.git/modules/sub\n", None),
        ("sub/.git", "gitdir: ../evil\n", Some("git-elsewhere")),
        (
            "sub/.git",
            "gitdir: ../.git/modules/../../evil\n",
            Some("git-elsewhere"),
        ),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95\"\n", None),
        (
            "rust-toolchain.toml",
            "[toolchain]\npath = \"x\"\n",
            Some("toolchain"),
        ),
    ] {
        let fixture = Fixture::new();
        fixture.in_branch(path, content, 0o644);
        assert_eq!(fixture.rule(added(path)).as_deref(), rule, "{path}: {content:?}");
    }
}

#[test]
fn a_file_that_is_too_long_to_be_looked_through_is_held() {
    let fixture = Fixture::new();
    fixture.in_branch(".gitattributes", &"* text\n".repeat(1 << 20), 0o644);
    assert_eq!(
        fixture.rule(added(".gitattributes")).as_deref(),
        Some("git-attributes")
    );
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
    let rules = Rules::builtin().unwrap().with(Reached::from_base(&base));
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

#[test]
fn rules_are_extended_replaced_and_switched_off() {
    let fixture = Fixture::new();
    for path in ["Makefile", ".envrc", ".npmrc", "deploy/run", "tools/x"] {
        fixture.in_branch(path, "", 0o644);
    }
    fixture.in_branch("tools/x", "", 0o755);
    let more = RiskRules {
        enable: vec!["build-scripts".to_owned()],
        disable: vec!["package-manager".to_owned()],
        allow: vec!["tools/".to_owned()],
        hold: vec![
            RuleSpec {
                name: "deploy".to_owned(),
                why: "it is deployed".to_owned(),
                paths: vec!["Deploy/**".to_owned()],
                ..RuleSpec::default()
            },
            RuleSpec {
                name: "directory-environment".to_owned(),
                paths: vec!["other".to_owned()],
                ..RuleSpec::default()
            },
        ],
    };
    let rules = Rules::extended(&more).unwrap();
    let rule = |path| fixture.rule_by(&rules, added(path));
    assert_eq!(rule("Makefile").as_deref(), Some("build-scripts"));
    assert_eq!(rule("deploy/run").as_deref(), Some("deploy"));
    assert_eq!(rule(".envrc"), None);
    assert_eq!(rule(".npmrc"), None);
    assert_eq!(rule("tools/x"), None);
}

#[test]
fn rules_that_make_no_sense_are_refused_with_their_name() {
    let with = |spec: RuleSpec| RiskRules {
        hold: vec![spec],
        ..RiskRules::default()
    };
    let named = RuleSpec {
        name: "x".to_owned(),
        ..RuleSpec::default()
    };
    let bad_glob = RuleSpec {
        paths: vec!["a[".to_owned()],
        ..named.clone()
    };
    let bad_expression = RuleSpec {
        gains: vec!["(".to_owned()],
        ..named.clone()
    };
    for (rules, message) in [
        (
            with(named),
            "rule \"x\" has no condition: it would hold everything",
        ),
        (with(bad_glob), "rule \"x\""),
        (
            with(bad_expression),
            "rule \"x\": gains and harmless are regular expressions",
        ),
        (
            RiskRules {
                enable: vec!["build-script".to_owned()],
                ..RiskRules::default()
            },
            "enable: no rule is of the group \"build-script\"",
        ),
        (
            RiskRules {
                disable: vec!["bytecod".to_owned()],
                ..RiskRules::default()
            },
            "disable: no rule is called \"bytecod\"",
        ),
    ] {
        let error = Rules::extended(&rules).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let unknown = RiskRules {
        enable: vec!["x".to_owned()],
        ..RiskRules::default()
    };
    let hint = Rules::extended(&unknown).unwrap_err().hint().unwrap();
    assert_eq!(hint, "there are: build-scripts");
}

#[test]
fn held_changes_are_accepted_by_path_by_rule_or_all() {
    let mut held = added(".git/hooks/pre-commit");
    held.hold = Some(Hold {
        rule: "git-hooks".to_owned(),
        why: String::new(),
    });
    for (texts, is_accepted) in [
        (&[][..], false),
        (&[".git/hooks/*"], true),
        (&[".GIT/hooks/*"], false),
        (&["hooks/*"], false),
        (&["other", "rule:git-hooks"], true),
        (&["rule:bytecode"], false),
        (&["pre-commit"], true),
    ] {
        assert_eq!(
            Acceptance::of(texts).unwrap().accepts(&held),
            is_accepted,
            "{texts:?}"
        );
    }
    assert!(Acceptance::All.accepts(&held));
    assert!(!Acceptance::none().accepts(&held));
    assert!(Acceptance::none().accepts(&added("a")));
}

proptest::proptest! {
    #[test]
    fn letter_case_makes_no_difference_to_any_path(bytes in proptest::collection::vec(1_u8.., 1..40)) {
        let upper = bytes.to_ascii_uppercase();
        if let (Ok(path), Ok(upper)) = (RelPath::new(OsStr::from_bytes(&bytes)), RelPath::new(OsStr::from_bytes(&upper))) {
            let fixture = Fixture::new();
            let [lower, upper] = [path, upper].map(|path| fixture.rule(Change { path, ..added("x") }));
            proptest::prop_assert_eq!(lower, upper);
        }
    }
}

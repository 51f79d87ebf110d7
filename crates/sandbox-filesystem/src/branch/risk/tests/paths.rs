//! Rules that are about names and lines.

use super::*;

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

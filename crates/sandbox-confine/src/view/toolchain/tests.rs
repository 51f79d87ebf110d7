use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    /// A home with these files; a name that ends in `/` is a directory.
    fn new(files: &[&str]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for file in files {
            let path = home.at(file);
            fs::create_dir_all(if file.ends_with('/') {
                &path
            } else {
                path.parent().unwrap()
            })
            .unwrap();
            if !file.ends_with('/') {
                fs::write(&path, "x").unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        home
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("home")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn link(self, name: &str, target: impl AsRef<Path>) -> Self {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        symlink(target, self.at(name)).unwrap();
        self
    }

    fn detect(&self, path: &[&str], env: &[(&str, &Path)]) -> Toolchains {
        let path = std::env::join_paths(path.iter().map(|name| self.at(name))).unwrap();
        let env: Vec<_> = env
            .iter()
            .map(|(name, value)| ((*name).into(), value.as_os_str().into()))
            .collect();
        Toolchains::detect(&path, &self.path(), &env)
    }

    /// The paths granted, relative to the home; links with ` -> target`.
    fn granted(&self, path: &[&str]) -> Vec<String> {
        let found = self.detect(path, &[]);
        assert_eq!(found.skipped, []);
        self.names(&found)
    }

    fn names(&self, found: &Toolchains) -> Vec<String> {
        let name = |path: &Path| {
            path.strip_prefix(self.path())
                .unwrap_or(path)
                .display()
                .to_string()
        };
        let show = |grant: &Grant| match &grant.kind {
            GrantKind::Link { target } => format!("{} -> {}", name(&grant.path), name(target)),
            _ => name(&grant.path),
        };
        found.grants.iter().map(show).collect()
    }
}

fn reasons(found: &Toolchains) -> Vec<SkipReason> {
    found.skipped.iter().map(|skipped| skipped.reason).collect()
}

#[test]
fn cargo_is_granted_in_parts_and_rustup_whole() {
    let home = Home::new(&[
        ".cargo/bin/rustup",
        ".cargo/registry/cache/",
        ".cargo/config.toml",
        ".cargo/credentials.toml",
        ".rustup/toolchains/",
    ])
    .link(".cargo/bin/cargo", "rustup");
    let found = home.detect(&[".cargo/bin", ".cargo/bin"], &[]);
    assert_eq!(
        home.names(&found),
        [".cargo/bin", ".cargo/config.toml", ".cargo/registry", ".rustup"]
    );
    assert_eq!(found.skipped, []);
    let expected = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];
    assert_eq!(
        found.env,
        expected.map(|(name, dir)| (name.into(), home.at(dir).into_os_string()))
    );
}

#[test]
fn a_cargo_configuration_with_a_token_is_left_out() {
    let home = Home::new(&[".cargo/bin/", ".cargo/config.toml"]);
    fs::write(home.at(".cargo/config.toml"), "[registries.x]\ntoken = \"abc\"\n").unwrap();
    let found = home.detect(&[".cargo/bin"], &[]);
    assert_eq!(home.names(&found), [".cargo/bin"]);
    assert_eq!(reasons(&found), [SkipReason::Secret]);
}

#[test]
fn managers_bring_their_store() {
    for (files, path, expected) in [
        (
            &[".pyenv/shims/python3", ".pyenv/versions/3.11/bin/"][..],
            ".pyenv/shims",
            &[".pyenv"][..],
        ),
        (
            &[".nvm/versions/node/v20/bin/node"],
            ".nvm/versions/node/v20/bin",
            &[".nvm"],
        ),
        (
            &[".sdkman/candidates/java/21/bin/java"],
            ".sdkman/candidates/java/21/bin",
            &[".sdkman/candidates"],
        ),
        (
            &["go/bin/gopls", "go/pkg/mod/", "go/src/"],
            "go/bin",
            &["go/bin", "go/pkg/mod"],
        ),
        (&["sdk/go1.25/bin/go"], "sdk/go1.25/bin", &["sdk"]),
        (
            &["miniconda3/condabin/conda", "miniconda3/lib/"],
            "miniconda3/condabin",
            &["miniconda3"],
        ),
        (
            &[".local/bin/x", ".local/lib/python3.11/"],
            ".local/bin",
            &[".local/bin", ".local/lib"],
        ),
        (&["opt/jdk/bin/java", "opt/jdk/lib/"], "opt/jdk/bin", &["opt/jdk"]),
        (&["tools/bin/x", "tools/notes"], "tools/bin", &["tools/bin"]),
        (&["app/bin/x", "app/lib/", "app/.git/"], "app/bin", &["app/bin"]),
        (&["bin/x", "lib/"], "bin", &["bin"]),
        (&[".cache/bin/x", ".cache/lib/"], ".cache/bin", &[".cache/bin"]),
        (
            &[".asdf/shims/x", ".tool-versions"],
            ".asdf/shims",
            &[".asdf", ".tool-versions"],
        ),
    ] {
        assert_eq!(Home::new(files).granted(&[path]), expected, "{path}");
    }
}

#[test]
fn a_manager_moved_by_its_variable_is_found_there() {
    let home = Home::new(&["elsewhere/py/shims/python", "elsewhere/py/versions/"]);
    let root = home.at("elsewhere/py");
    let found = home.detect(&["elsewhere/py/shims"], &[("PYENV_ROOT", &root)]);
    assert_eq!(home.names(&found), ["elsewhere/py"]);
    assert_eq!(found.env, [("PYENV_ROOT".into(), root.into_os_string())]);
}

#[test]
fn a_linked_program_brings_its_installation_and_the_links_on_the_way() {
    let home = Home::new(&[
        "store/tool-2/bin/tool",
        "store/tool-2/lib/",
        "store/tool-1/bin/tool",
        "single/prog",
    ])
    .link("store/current", "tool-2")
    .link(".local/bin/tool", "../../store/current/bin/tool")
    .link(".local/bin/prog", "../../single/prog");
    assert_eq!(
        home.granted(&[".local/bin"]),
        [
            ".local/bin",
            "single/prog",
            "store/current -> tool-2",
            "store/tool-2"
        ]
    );
}

#[test]
fn a_linked_node_program_brings_its_modules() {
    let home = Home::new(&[
        "js/lib/node_modules/a/node_modules/b/cli.js",
        "js/lib/node_modules/a/package.json",
    ])
    .link("bin/b", "../js/lib/node_modules/a/node_modules/b/cli.js");
    assert_eq!(home.granted(&["bin"]), ["bin", "js/lib/node_modules"]);
}

#[test]
fn an_environment_whose_interpreter_is_elsewhere_brings_that_as_well() {
    let home = Home::new(&[
        "py/3.12/bin/python3.12",
        "py/3.12/lib/",
        "work/.venv/lib/",
        "work/secret.txt",
    ]);
    let home = home.link("work/.venv/bin/python", "../../../py/3.12/bin/python3.12");
    let venv = home.at("work/.venv");
    let found = home.detect(
        &["work/.venv/bin"],
        &[("VIRTUAL_ENV", &venv), ("JAVA_HOME", &home.at("work"))],
    );
    assert_eq!(home.names(&found), ["py/3.12", "work/.venv"]);
    assert_eq!(found.env, [("VIRTUAL_ENV".into(), venv.into_os_string())]);
}

#[test]
fn a_linked_profile_is_recreated_link_by_link() {
    let home = Home::new(&["store/abc/bin/x"])
        .link(".profile-1-link", "store/abc")
        .link(".profile", ".profile-1-link");
    assert_eq!(
        home.granted(&[".profile/bin"]),
        [
            ".profile -> .profile-1-link",
            ".profile-1-link -> store/abc",
            "store/abc/bin"
        ]
    );
}

#[test]
fn neither_home_nor_credentials_nor_public_directories_are_granted() {
    let home = Home::new(&[".aws/bin/x", "public/x", "fine/x"]);
    fs::set_permissions(home.at("public"), fs::Permissions::from_mode(0o777)).unwrap();
    for (path, reason) in [
        ("", SkipReason::Home),
        ("..", SkipReason::Home),
        (".aws/bin", SkipReason::Credentials("AWS credentials")),
        ("public", SkipReason::WorldWritable),
        ("/var/lib", SkipReason::Hidden),
        ("/proc/self/fd", SkipReason::Hidden),
    ] {
        let found = home.detect(&[path, "fine"], &[]);
        assert_eq!(reasons(&found), [reason], "{path}");
        assert_eq!(
            home.names(&found).last().map(String::as_str),
            Some("fine"),
            "{path}"
        );
    }
}

#[test]
fn a_link_in_a_granted_directory_cannot_pull_in_more_than_programs() {
    let home = Home::new(&[".ssh/id", "private/notes", "private/diary.txt", "bin/ok"])
        .link("bin/key", "../.ssh/id")
        .link("bin/all", "..")
        .link("bin/private", "../private")
        .link("bin/diary", "../private/diary.txt")
        .link("bin/etc", "/etc/shadow")
        .link("bin/loop", "../bin/loop")
        .link("bin/gone", "../nowhere/x");
    fs::set_permissions(home.at("private/diary.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = home.detect(&["bin"], &[]);
    assert_eq!(home.names(&found), ["bin"]);
    assert_eq!(reasons(&found), [SkipReason::Credentials("SSH keys")]);
}

#[test]
fn elements_that_are_empty_relative_missing_or_files_are_no_trouble() {
    let home = Home::new(&["bin/x", "file"]).link("loop", "loop");
    let path = format!(
        ":.:bin::{0}/none:{0}/file:{0}/file/bin:{0}/loop:{0}/bin:/usr/bin:{0}/bin/",
        home.path().display()
    );
    let found = Toolchains::detect(OsStr::new(&path), &home.path(), &[]);
    assert_eq!(home.names(&found), ["bin"]);
    let relative = found
        .skipped
        .iter()
        .filter(|skipped| skipped.reason == SkipReason::Relative)
        .count();
    assert_eq!(relative, 3);
    assert_eq!(found.skipped.len(), 4, "{:?}", found.skipped);
}

#[test]
fn names_that_are_not_utf8_are_kept() {
    let home = Home::new(&["bin/x"]);
    let odd = home.path().join(OsStr::from_bytes(b"t\xffol"));
    fs::create_dir(&odd).unwrap();
    symlink(&odd, home.path().join(OsString::from_vec(b"bin/\xfe".to_vec()))).unwrap();
    let found = Toolchains::detect(odd.as_os_str(), &home.path(), &[]);
    assert_eq!(found.grants.len(), 1);
    assert_eq!(found.grants[0].path, odd);
}

#[test]
fn a_huge_directory_and_a_huge_path_are_bounded() {
    let home = Home::new(&["bin/"]);
    for n in 0..4097 {
        fs::File::create(home.at(&format!("bin/{n}"))).unwrap();
    }
    let found = home.detect(&["bin"], &[]);
    assert_eq!(home.names(&found), ["bin"]);
    assert_eq!(reasons(&found), [SkipReason::TooLarge]);
    let many = (0..100_000)
        .map(|n| format!("/x{n}"))
        .collect::<Vec<_>>()
        .join(":");
    assert_eq!(
        reasons(&Toolchains::detect(OsStr::new(&many), &home.path(), &[])),
        [SkipReason::TooLarge]
    );
}

#[test]
fn a_home_behind_a_link_is_resolved_and_the_link_granted() {
    let home = Home::new(&[".pyenv/shims/python"]);
    let alias = home.path().with_file_name("alias");
    symlink("home", &alias).unwrap();
    let found = Toolchains::detect(alias.join(".pyenv/shims").as_os_str(), &alias, &[]);
    assert_eq!(found.grants.len(), 2);
    assert_eq!(
        (&found.grants[0].path, &found.grants[0].why),
        (&alias, &Why::Home)
    );
    assert_eq!(found.grants[1].path, home.at(".pyenv"));
}

#[test]
fn a_directory_that_cannot_be_read_is_reported() {
    let home = Home::new(&["locked/bin/"]);
    fs::set_permissions(home.at("locked/bin"), fs::Permissions::from_mode(0o111)).unwrap();
    if fs::read_dir(home.at("locked/bin")).is_ok() {
        eprintln!("skipped: this user reads everything");
        return;
    }
    let found = home.detect(&["locked/bin"], &[]);
    assert_eq!(
        reasons(&found),
        [SkipReason::Unreadable(io::ErrorKind::PermissionDenied)]
    );
    assert_eq!(home.names(&found), ["locked/bin"]);
}

#[test]
fn no_grant_lies_within_another_or_above_the_home_on_this_host() {
    let env: Vec<_> = std::env::vars_os().collect();
    let Some((path, home)) = std::env::var_os("PATH").zip(std::env::home_dir()) else {
        return;
    };
    let found = Toolchains::detect(&path, &home, &env);
    for grant in &found.grants {
        assert!(
            grant.kind != GrantKind::Dir || !home.starts_with(&grant.path),
            "{grant:?}"
        );
        let outer = |other: &&Grant| other.path != grant.path && grant.path.starts_with(&other.path);
        assert_eq!(found.grants.iter().find(outer), None);
    }
}

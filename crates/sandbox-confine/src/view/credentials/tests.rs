use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new(files: &[&str]) -> Self {
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for file in files {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "secret").unwrap();
        }
        home
    }

    fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// The masks beneath `root`, relative to the home.
    fn masks(&self, root: &Path) -> Vec<(String, MaskedKind)> {
        masked_under(root, &self.path())
            .into_iter()
            .map(|mask| {
                (
                    mask.path.strip_prefix(root).unwrap().display().to_string(),
                    mask.kind,
                )
            })
            .collect()
    }
}

fn dir(path: &str) -> (String, MaskedKind) {
    (path.to_owned(), MaskedKind::Dir)
}

fn file(path: &str) -> (String, MaskedKind) {
    (path.to_owned(), MaskedKind::File)
}

#[test]
fn a_granted_home_hides_its_credentials_and_nothing_else() {
    let home = Home::new(&[
        ".ssh/id_ed25519",
        ".netrc",
        ".cargo/credentials.toml",
        ".cargo/config.toml",
        "a.c",
    ]);
    assert_eq!(
        home.masks(&home.path()),
        [file(".cargo/credentials.toml"), file(".netrc"), dir(".ssh")]
    );
}

#[test]
fn a_grant_that_names_a_credential_shows_it() {
    let home = Home::new(&[".ssh/id_ed25519", ".aws/credentials"]);
    assert_eq!(home.masks(&home.path().join(".ssh")), []);
    assert_eq!(home.masks(&home.path().join(".aws/credentials")), []);
}

#[test]
fn a_grant_of_a_parent_of_home_hides_them_as_well() {
    let home = Home::new(&[".kube/config"]);
    let parent = home.path().parent().unwrap().to_owned();
    let masks = masked_under(&parent, &home.path());
    assert_eq!(
        masks,
        [Masked {
            path: home.path().join(".kube"),
            kind: MaskedKind::Dir
        }]
    );
}

#[test]
fn a_link_is_hidden_where_it_leads() {
    let home = Home::new(&[
        "dotfiles/ssh/id_ed25519",
        "dotfiles/gh.yml",
        ".config/gh/state.yml",
    ]);
    symlink("dotfiles/ssh", home.path().join(".ssh")).unwrap();
    symlink("../../dotfiles/gh.yml", home.path().join(".config/gh/hosts.yml")).unwrap();
    let expected = [dir(".config/gh"), file("dotfiles/gh.yml"), dir("dotfiles/ssh")];
    assert_eq!(home.masks(&home.path()), expected);
    assert_eq!(
        home.masks(&home.path().join("dotfiles")),
        [file("gh.yml"), dir("ssh")]
    );
}

#[test]
fn a_link_out_of_the_tree_and_loops_mask_nothing() {
    let home = Home::new(&["src/main.c"]);
    symlink("/usr", home.path().join(".aws")).unwrap();
    symlink(".netrc", home.path().join(".netrc")).unwrap();
    symlink("nowhere", home.path().join(".gnupg")).unwrap();
    assert_eq!(home.masks(&home.path()), []);
}

#[test]
fn the_root_may_be_spelled_through_a_link() {
    let home = Home::new(&[".ssh/id"]);
    let outside = tempfile::tempdir().unwrap();
    let alias = outside.path().join("home");
    symlink(home.path(), &alias).unwrap();
    let masks = masked_under(&alias, &home.path());
    assert_eq!(
        masks,
        [Masked {
            path: alias.join(".ssh"),
            kind: MaskedKind::Dir
        }]
    );
    assert_eq!(masked_under(&home.path(), &alias).len(), 1);
}

#[test]
fn names_that_are_not_utf8_survive() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join(OsStr::from_bytes(b"h\xff"));
    fs::create_dir_all(home.join(".ssh")).unwrap();
    assert_eq!(
        masked_under(&home, &home),
        [Masked {
            path: home.join(".ssh"),
            kind: MaskedKind::Dir
        }]
    );
}

#[test]
fn a_root_that_does_not_exist_masks_nothing() {
    assert_eq!(
        masked_under(Path::new("/nonexistent/x"), Path::new("/nonexistent")),
        []
    );
}

#[test]
fn the_password_hashes_are_hidden_beneath_etc() {
    if Path::new("/etc/shadow").exists() {
        let masks = masked_under(Path::new("/etc"), Path::new("/nonexistent"));
        assert!(masks.contains(&Masked {
            path: "/etc/shadow".into(),
            kind: MaskedKind::File
        }));
    }
}

#[test]
fn no_place_in_the_tables_is_listed_twice_or_absolute_by_mistake() {
    let mut seen = BTreeSet::new();
    for (path, what) in table::IN_HOME {
        assert!(seen.insert(path), "{path} is listed twice");
        assert!(
            !path.starts_with('/') && !path.ends_with('/') && !what.is_empty(),
            "{path}"
        );
    }
    assert!(table::IN_SYSTEM.iter().all(|(path, _)| path.starts_with('/')));
    assert!(table::SOCKETS.iter().all(|path| path.starts_with('/')));
}

#[test]
fn holding_credentials_means_being_in_one_or_containing_one() {
    let home = Home::new(&[".cargo/credentials.toml", ".cargo/bin/cargo", ".aws/config"]);
    let check = |path: &str| holds_credentials(&home.path().join(path), &home.path());
    assert_eq!(check(".aws"), Some("AWS credentials"));
    assert_eq!(check(".aws/sso/cache"), Some("AWS credentials"));
    assert_eq!(check(".cargo"), Some("crates.io token"));
    assert_eq!(check(".cargo/bin"), None);
    assert_eq!(check(".awsome"), None);
    assert!(check("").is_some());
}

#[test]
fn sockets_are_found_by_place_and_by_variable() {
    let home = Home::new(&[".docker/run/x"]);
    let agent = home.path().join("agent.1");
    let _listener = UnixListener::bind(&agent).unwrap();
    fs::create_dir_all(home.path().join("rt/gnupg")).unwrap();
    let env = vec![
        ("SSH_AUTH_SOCK".into(), agent.clone().into_os_string()),
        ("XDG_RUNTIME_DIR".into(), home.path().join("rt").into_os_string()),
    ];
    let masks = sockets_under(&home.path(), &home.path(), &env);
    let expected = [
        (".docker/run", MaskedKind::Dir),
        ("agent.1", MaskedKind::File),
        ("rt/gnupg", MaskedKind::Dir),
    ]
    .map(|(path, kind)| Masked {
        path: home.path().join(path),
        kind,
    });
    assert_eq!(masks, expected);
}

#[test]
fn a_socket_variable_may_carry_a_scheme() {
    for (value, path) in [
        ("/run/x", Some("/run/x")),
        ("unix:///run/x", Some("/run/x")),
        ("unix:path=/run/x,guid=1", Some("/run/x")),
        ("/tmp/tmux-0/default,12,0", Some("/tmp/tmux-0/default")),
        ("tcp://10.0.0.1:2375", None),
        ("relative", None),
        ("", None),
    ] {
        assert_eq!(socket_path(value.as_bytes()), path.map(PathBuf::from), "{value}");
    }
}

#[test]
fn a_secret_in_a_configuration_file_is_noticed() {
    for (text, expected) in [
        ("[build]\njobs = 2\n", false),
        ("# token = none\n[net]\nretry = 2", false),
        ("[registries.x]\ntoken = \"abc\"", true),
        ("[http]\nproxy = \"http://me:pw@proxy:8080\"", true),
        ("[url \"https://abc@github.com/\"]\n insteadOf = x", true),
        ("[url \"ssh://git@github.com/\"]\n insteadOf = x", false),
        ("[http]\n extraHeader = AUTHORIZATION: basic eA==", true),
    ] {
        assert_eq!(text_holds_secret(text.as_bytes()), expected, "{text}");
    }
}

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Etc(tempfile::TempDir);

impl Etc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn file(self, name: &str, content: &str, mode: u32) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        self.chmod(name, mode)
    }

    fn chmod(self, name: &str, mode: u32) -> Self {
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(self, name: &str, target: &str) -> Self {
        symlink(target, self.path().join(name)).unwrap();
        self
    }

    /// The view without the `nsswitch.conf` that is always there.
    fn view(&self) -> EtcView {
        let mut view = EtcView::detect_in(&self.path());
        view.entries
            .retain(|entry| entry.name() != Path::new("nsswitch.conf"));
        view
    }
}

fn file(name: &str, content: &str) -> EtcEntry {
    EtcEntry::File {
        name: name.into(),
        content: content.into(),
        mode: 0o644,
    }
}

#[test]
fn listed_files_are_copied_and_others_are_not() {
    let etc = Etc::new()
        .file("services", "ssh 22/tcp\n", 0o644)
        .file("shadow", "root:hash", 0o644)
        .file("machine-id", "0123", 0o644)
        .file("npmrc", "token", 0o644);
    assert_eq!(etc.view().entries, [file("services", "ssh 22/tcp\n")]);
}

#[test]
fn what_others_may_not_read_is_left_out_even_for_root() {
    let etc = Etc::new()
        .file("profile", "secret", 0o600)
        .file("perl/x", "", 0o644)
        .chmod("perl", 0o700);
    assert_eq!(etc.view(), EtcView::default());
}

#[test]
fn private_parts_of_a_bound_directory_are_masked() {
    let etc = Etc::new()
        .file("ssl/certs/ca.pem", "cert", 0o644)
        .file("ssl/private/key.pem", "key", 0o600)
        .file("ssl/server.key", "key", 0o640)
        .file("pki/tls/private/key.pem", "key", 0o600)
        .chmod("ssl/private", 0o755);
    let view = etc.view();
    let dir = |name: &str| EtcEntry::Dir {
        name: name.into(),
        source: etc.path().join(name),
    };
    assert_eq!(view.entries, [dir("pki"), dir("ssl")]);
    let expected = [
        ("/etc/pki/tls/private", MaskedKind::Dir),
        ("/etc/ssl/private", MaskedKind::Dir),
        ("/etc/ssl/server.key", MaskedKind::File),
    ]
    .map(|(path, kind)| Masked {
        path: path.into(),
        kind,
    });
    assert_eq!(view.masked, expected);
}

#[test]
fn a_link_into_usr_stays_and_another_is_followed() {
    let etc = Etc::new()
        .link("localtime", "/usr/share/zoneinfo/Etc/UTC")
        .link("os-release", "../usr/lib/os-release")
        .link("mtab", "../proc/self/mounts")
        .file("elsewhere", "a\n", 0o644)
        .link("timezone", "elsewhere");
    let link = |name: &str, target: &str| EtcEntry::Link {
        name: name.into(),
        target: target.into(),
    };
    assert_eq!(
        etc.view().entries,
        [
            link("localtime", "/usr/share/zoneinfo/Etc/UTC"),
            link("mtab", "../proc/self/mounts"),
            link("os-release", "../usr/lib/os-release"),
            file("timezone", "a\n"),
        ]
    );
}

#[test]
fn a_link_cannot_pull_in_a_secret_or_a_hidden_directory() {
    let etc = Etc::new()
        .file("shadow", "hash", 0o644)
        .link("profile", "shadow")
        .link("perl", "/var")
        .link("fonts", "/")
        .link("inputrc", "inputrc");
    assert_eq!(etc.view(), EtcView::default());
}

#[test]
fn odd_files_are_skipped_without_waiting() {
    let etc = Etc::new()
        .file("magic", &"x".repeat(2 << 20), 0o644)
        .file("services/x", "", 0o644);
    let fifo = etc.path().join("profile");
    let made = std::process::Command::new("mkfifo")
        .arg("-m644")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(etc.view(), EtcView::default());
}

#[test]
fn a_git_configuration_with_a_token_is_left_out() {
    let plain = Etc::new().file("gitconfig", "[core]\n editor = vi\n", 0o644);
    assert_eq!(plain.view().entries.len(), 1);
    let token = Etc::new().file(
        "gitconfig",
        "[url \"https://tok@host/\"]\n insteadOf = x\n",
        0o644,
    );
    assert_eq!(token.view().entries.len(), 0);
}

#[test]
fn an_etc_that_is_missing_still_gets_a_name_service_switch() {
    let view = EtcView::detect_in(Path::new("/nonexistent"));
    assert_eq!(view.entries.len(), 1);
}

#[test]
fn this_host_shows_certificates_and_no_secret() {
    let view = EtcView::detect();
    for entry in &view.entries {
        let name = entry.name().to_string_lossy().into_owned();
        assert!(
            !["shadow", "gshadow", "ssh", "sudoers", "machine-id"].contains(&name.as_str()),
            "{name}"
        );
    }
    if Path::new("/etc/ssl/private").exists() {
        assert!(
            view.masked
                .iter()
                .any(|mask| mask.path == Path::new("/etc/ssl/private"))
        );
    }
}

//! Files of `/etc` that are made for the sandbox. Pure functions from values to the file's content.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The files that are made for the sandbox, whatever the host has.
pub const NAMES: [&str; 5] = ["passwd", "group", "hosts", "hostname", "resolv.conf"];

/// The user inside, as `passwd(5)` tells programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user id inside.
    pub uid: u32,
    /// The group id inside.
    pub gid: u32,
    /// The login name.
    pub name: String,
    /// The home directory inside.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
}

/// The overflow id, which is also what ids of the host without a mapping appear as.
const NOBODY: u32 = 65534;

impl Account {
    /// The account of `uid` in the text of the host's `passwd`. A user without an entry is called `user`, has
    /// the home `/` and the shell `/bin/sh`.
    pub fn from_passwd(passwd: &str, uid: u32, gid: u32) -> Self {
        let entry = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [name, _, id, _, _, home, shell, ..] if id.parse() == Ok(uid) => Some((*name, *home, *shell)),
                _ => None,
            }
        });
        let (name, home, shell) = entry.unwrap_or(("user", "/", "/bin/sh"));
        let or = |value: &str, default: &str| PathBuf::from(if value.is_empty() { default } else { value });
        Self {
            uid,
            gid,
            name: login_name(name).to_owned(),
            home: or(home, "/"),
            shell: or(shell, "/bin/sh"),
        }
    }

    /// The account of `uid` on this host.
    pub fn detect(uid: u32, gid: u32) -> Self {
        let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
        Self::from_passwd(&String::from_utf8_lossy(&passwd), uid, gid)
    }
}

/// `passwd(5)`: root, the account, nobody.
pub fn passwd(account: &Account) -> Vec<u8> {
    let mut out = Vec::new();
    if account.uid != 0 {
        out.extend_from_slice(b"root:x:0:0:root:/root:/usr/sbin/nologin\n");
    }
    let name = login_name(&account.name);
    out.extend_from_slice(format!("{name}:x:{}:{}:{name}:", account.uid, account.gid).as_bytes());
    out.extend_from_slice(field(&account.home, "/"));
    out.push(b':');
    out.extend_from_slice(field(&account.shell, "/bin/sh"));
    out.push(b'\n');
    if account.uid != NOBODY {
        out.extend_from_slice(b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    }
    out
}

/// `group(5)`: root, tty (the group of terminals), the account's own group, nogroup.
pub fn group(account: &Account) -> Vec<u8> {
    let own = (login_name(&account.name), account.gid);
    let others = [("root", 0), ("tty", 5), ("nogroup", NOBODY)];
    let mut out = Vec::new();
    for (name, gid) in std::iter::once(own).chain(others.into_iter().filter(|&(_, gid)| gid != account.gid)) {
        out.extend_from_slice(format!("{name}:x:{gid}:\n").as_bytes());
    }
    out
}

/// `hosts(5)`: the loopback addresses, which `hostname` also resolves to.
pub fn hosts(hostname: &str) -> Vec<u8> {
    let own = if hostname == "localhost" {
        String::new()
    } else {
        format!(" {}", one_line(hostname))
    };
    format!("127.0.0.1 localhost{own}\n::1 localhost ip6-localhost ip6-loopback{own}\n").into_bytes()
}

/// `hostname(5)`.
pub fn hostname(hostname: &str) -> Vec<u8> {
    format!("{}\n", one_line(hostname)).into_bytes()
}

/// `resolv.conf(5)` for a sandbox without a network: one that makes a look-up fail at once, where an empty
/// file would mean a server on `lo` and a wait for its answer.
pub fn resolv_conf_offline() -> Vec<u8> {
    b"# no network\noptions timeout:1 attempts:1\n".to_vec()
}

/// A name that `passwd` can hold and that no program takes for a number or an option.
fn login_name(name: &str) -> &str {
    let fine = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte));
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if fine && first { name } else { "user" }
}

/// A path as a field of `passwd`, which cannot hold colons or line breaks.
fn field<'a>(path: &'a Path, default: &'a str) -> &'a [u8] {
    let bytes = path.as_os_str().as_bytes();
    let fine = path.is_absolute() && !bytes.iter().any(|byte| b":\n\r\0".contains(byte));
    if fine { bytes } else { default.as_bytes() }
}

fn one_line(name: &str) -> &str {
    name.split(|c: char| c.is_whitespace() || c.is_control())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn account(uid: u32, name: &str, home: &[u8]) -> Account {
        Account {
            uid,
            gid: uid,
            name: name.to_owned(),
            home: PathBuf::from(OsStr::from_bytes(home)),
            shell: "/bin/bash".into(),
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn passwd_names_root_the_user_and_nobody() {
        assert_eq!(
            text(passwd(&account(1000, "ann", b"/home/ann"))),
            "root:x:0:0:root:/root:/usr/sbin/nologin\n\
             ann:x:1000:1000:ann:/home/ann:/bin/bash\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        );
        assert_eq!(
            text(passwd(&account(0, "root", b"/root")))
                .matches(":0:0:")
                .count(),
            1
        );
        assert_eq!(
            text(passwd(&account(NOBODY, "nobody", b"/")))
                .matches(":65534:65534:")
                .count(),
            1
        );
    }

    #[test]
    fn a_hostile_account_adds_no_line_and_no_field() {
        let text = text(passwd(&account(7, "x:0:0\nroot", b"/a:b\nroot:x:0")));
        assert_eq!(text.lines().nth(1), Some("user:x:7:7:user:/:/bin/bash"));
        assert_eq!(text.lines().count(), 3);
        for name in ["", "1000", "-rf", "zo\u{eb}"] {
            assert_eq!(login_name(name), "user");
        }
    }

    #[test]
    fn a_home_that_is_not_utf8_is_kept_as_it_is() {
        let passwd = passwd(&account(7, "x", b"/home/\xff"));
        assert!(passwd.windows(8).any(|bytes| bytes == b":/home/\xff"));
    }

    #[test]
    fn an_account_is_found_by_its_id_and_made_up_without_one() {
        let host = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:100:Ann,,,:/home/ann:\n";
        let ann = Account::from_passwd(host, 1000, 100);
        assert_eq!(
            (ann.name.as_str(), ann.home.as_path()),
            ("ann", Path::new("/home/ann"))
        );
        assert_eq!(ann.shell, Path::new("/bin/sh"));
        let none = Account::from_passwd(host, 4711, 4711);
        assert_eq!(
            (none.name.as_str(), none.home.as_path()),
            ("user", Path::new("/"))
        );
    }

    #[test]
    fn group_names_each_id_once() {
        assert_eq!(
            text(group(&account(1000, "ann", b"/"))),
            "ann:x:1000:\nroot:x:0:\ntty:x:5:\nnogroup:x:65534:\n"
        );
        assert_eq!(
            text(group(&account(0, "root", b"/"))),
            "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"
        );
    }

    #[test]
    fn the_hostname_resolves_to_the_loopback() {
        assert_eq!(text(hosts("box")).lines().next(), Some("127.0.0.1 localhost box"));
        assert_eq!(
            text(hosts("localhost")).lines().next(),
            Some("127.0.0.1 localhost")
        );
        assert_eq!(text(hosts("a\n6.6.6.6 bank")).lines().count(), 2);
        assert_eq!(text(hostname("box\n")), "box\n");
    }

    #[test]
    fn offline_no_server_is_named() {
        assert!(!text(resolv_conf_offline()).contains("nameserver"));
    }
}

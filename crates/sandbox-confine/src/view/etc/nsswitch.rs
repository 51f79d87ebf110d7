//! `nsswitch.conf(5)` without the sources that need a daemon, which no sandbox reaches.

/// Sources that are answered from files and by DNS alone.
const KEPT: &[&str] = &["files", "dns", "altfiles", "usrfiles"];

/// Databases of password hashes; there are none inside.
const DROPPED: &[&str] = &[
    "shadow",
    "gshadow",
    "initgroups",
    "sudoers",
    "automount",
    "publickey",
];

/// What `nsswitch.conf` says on a host that has none.
const DEFAULT: &str = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\n\
                       services: files\nethers: files\nrpc: files\nnetgroup: files\n";

/// The host's `nsswitch.conf` with only the sources that work inside, in their order.
///
/// Actions such as `[NOTFOUND=return]` go with the sources that they judged.
pub(super) fn filtered(host: &str) -> String {
    let mut out = String::new();
    for line in host.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((database, sources)) = line.split_once(':') else {
            continue;
        };
        let database = database.trim();
        if database.is_empty() || DROPPED.contains(&database) {
            continue;
        }
        let kept: Vec<&str> = sources
            .split_whitespace()
            .filter(|source| KEPT.contains(source))
            .collect();
        let sources = match (kept.is_empty(), database) {
            (false, _) => kept.join(" "),
            (true, "hosts") => "files dns".to_owned(),
            (true, _) => "files".to_owned(),
        };
        out.push_str(database);
        out.push_str(": ");
        out.push_str(&sources);
        out.push('\n');
    }
    if out.is_empty() { DEFAULT.to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_and_dns_stay() {
        for (host, expected) in [
            ("passwd: files systemd\n", "passwd: files\n"),
            ("passwd:\tcompat sss\n", "passwd: files\n"),
            (
                "hosts: files mdns4_minimal [NOTFOUND=return] dns\n",
                "hosts: files dns\n",
            ),
            (
                "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns",
                "hosts: files dns\n",
            ),
            ("hosts: resolve", "hosts: files dns\n"),
            ("shadow: files\nnetgroup: nis # old\n", "netgroup: files\n"),
            ("protocols: db files", "protocols: files\n"),
        ] {
            assert_eq!(filtered(host), expected, "{host}");
        }
    }

    #[test]
    fn garbage_and_nothing_become_the_default() {
        for host in ["", "# only a comment", "no colon here", ": files", "\0\0"] {
            assert_eq!(filtered(host), DEFAULT);
        }
    }
}

//! As whom to measure.

use std::{fs, os::unix::fs::MetadataExt};

use crate::{
    bench::BenchError,
    error::{Error, Result},
    workspace,
};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    /// Programs have to be started as that user: it is not the one who runs this.
    pub(super) is_other: bool,
}

impl Account {
    /// The user `name`, or the current one.
    pub(super) fn find(name: Option<&str>) -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("/etc/passwd"))?;
        // The owner of /proc/self is the effective user; std has no geteuid.
        let me = fs::metadata("/proc/self").map_err(Error::io("/proc/self"))?;
        let Some(name) = name else {
            let account = Self::among(&passwd, |account| account.uid == me.uid());
            return Ok(account.unwrap_or(Self {
                name: me.uid().to_string(),
                uid: me.uid(),
                gid: me.gid(),
                home: "/".to_owned(),
                is_other: false,
            }));
        };
        let account =
            Self::among(&passwd, |account| account.name == name).ok_or_else(|| BenchError::NoUser {
                name: name.to_owned(),
            })?;
        let is_other = account.uid != me.uid();
        if is_other && !workspace::is_root() {
            return Err(BenchError::NotRoot.into());
        }
        Ok(Self { is_other, ..account })
    }

    fn among(passwd: &str, wanted: impl Fn(&Self) -> bool) -> Option<Self> {
        passwd.lines().filter_map(Self::parse).find(wanted)
    }

    /// `name:password:uid:gid:comment:home:shell`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        Some(Self {
            name: fields.next()?.to_owned(),
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
            home: fields.nth(1)?.to_owned(),
            is_other: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1001:,,,:/home/me:/bin/sh\n";
        let account = Account::among(passwd, |account| account.name == "me").unwrap();
        assert_eq!(
            (account.uid, account.gid, account.home.as_str()),
            (1000, 1001, "/home/me")
        );
        assert!(Account::among(passwd, |account| account.name == "you").is_none());
    }
}

//! The plain user the tests run as.

use std::fs;

use crate::{
    cmd::Cmd,
    error::{Error, Result},
    workspace,
};

pub(super) const USER: &str = "sandbox-test";

/// A user of this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

impl Account {
    /// The user; made, with a home directory, when it is not there.
    pub(super) fn find_or_create() -> Result<Self> {
        if let Some(account) = Self::find()? {
            return Ok(account);
        }
        if workspace::has_program("useradd") {
            Cmd::new("useradd")
                .args(["--system", "--create-home", USER])
                .run()?;
        } else {
            // busybox
            Cmd::new("adduser").args(["-S", "-D", USER]).run()?;
        }
        Self::find()?.ok_or(Error::NoUser { name: USER })
    }

    fn find() -> Result<Option<Self>> {
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("/etc/passwd"))?;
        Ok(passwd.lines().find_map(Self::parse))
    }

    /// `name:password:uid:gid:comment:home:shell`, when it is the one.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next() != Some(USER) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?.to_owned();
        Some(Self { uid, gid, home })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_test_user_is_taken_from_passwd() {
        assert_eq!(Account::parse("root:x:0:0:root:/root:/bin/bash"), None);
        assert_eq!(
            Account::parse("sandbox-test:x:998:997::/home/sandbox-test:/bin/sh"),
            Some(Account {
                uid: 998,
                gid: 997,
                home: "/home/sandbox-test".to_owned()
            })
        );
    }
}

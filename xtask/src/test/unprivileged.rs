//! The integration tests a second time, as a plain user.
//!
//! The user can read neither root's toolchain nor, perhaps, the build directory, so the test programs
//! that are already built are copied to where it can. They find things by:
//!
//! - the working directory: the copy of their package, with its `tests` directory in it, just as
//!   cargo runs them in the package itself;
//! - `SANDBOX_TEST_BIN`: the `sandbox` program; the workspace's other programs lie beside it;
//! - `HOME` and `TMPDIR`: directories of the user's own.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use crate::{
    artifact::{Artifact, Kind},
    cmd::Cmd,
    error::{Error, Result},
    scratch::{Scratch, copy_tree},
    steps::Outcome,
    workspace,
};

use super::{RUN_LIMIT, Tally, observe::Observed, skips::SkipList, watch};

const USER: &str = "sandbox-test";

/// As the system's own login sets it, and where the administrator's programs are (mke2fs).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn run(built: &[Artifact], skip_list: &SkipList, seen: &mut Observed) -> Result<Outcome> {
    if !workspace::is_root() {
        return Ok(Outcome::Skipped {
            why: "not root: the tests ran unprivileged already".to_owned(),
        });
    }
    let user = Account::find_or_create()?;
    let scratch = Scratch::new(Path::new("/tmp"), "sandbox-test")?;
    let place = Place::prepare(scratch.path(), built, &user)?;
    let mut tally = Tally::default();
    for test in built
        .iter()
        .filter(|artifact| artifact.kind == Kind::IntegrationTest)
    {
        let (program, package_dir) = place.install(test)?;
        let tests = Cmd::new(&program)
            .arg("--show-output")
            .dir(&package_dir)
            .clear_env()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("USER", USER)
            .env("LOGNAME", USER)
            .env("HOME", &user.home)
            .env("TMPDIR", place.root.join("tmp"))
            .env("CARGO_MANIFEST_DIR", &package_dir)
            .env("RUST_BACKTRACE", "1")
            .env("SANDBOX_TEST_BIN", place.root.join("bin/sandbox"))
            .user(user.uid, user.gid);
        tally = tally + watch(skip_list.tell(tests), RUN_LIMIT, seen)?;
    }
    Ok(Outcome::Tested(tally))
}

/// The directory the user can read.
struct Place<'a> {
    root: &'a Path,
}

impl<'a> Place<'a> {
    fn prepare(root: &'a Path, built: &[Artifact], user: &Account) -> Result<Self> {
        for dir in ["bin", "tmp"] {
            fs::create_dir(root.join(dir)).map_err(Error::io(root.join(dir)))?;
        }
        let tmp = root.join("tmp");
        chown(&tmp, Some(user.uid), Some(user.gid)).map_err(Error::io(&tmp))?;
        for program in built.iter().filter(|artifact| artifact.kind == Kind::Program) {
            copy_program(&program.executable, &root.join("bin").join(&program.name))?;
        }
        Ok(Self { root })
    }

    /// Copies a test program and its package's `tests`; the program and the package's copy.
    fn install(&self, test: &Artifact) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
        let package = test.package_dir.file_name().unwrap_or_default();
        let copy = self.root.join(package);
        let fixtures = test.package_dir.join("tests");
        if fixtures.is_dir() && !copy.exists() {
            copy_tree(&fixtures, &copy.join("tests"))?;
        }
        fs::create_dir_all(&copy).map_err(Error::io(&copy))?;
        let program = copy.join(&test.name);
        copy_program(&test.executable, &program)?;
        Ok((program, copy))
    }
}

fn copy_program(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(Error::io(from))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(Error::io(to))
}

/// A user of this machine.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
    home: String,
}

impl Account {
    fn find_or_create() -> Result<Self> {
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

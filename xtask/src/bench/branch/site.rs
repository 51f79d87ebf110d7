//! Where it is measured: the programs, the user, the directories.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    bench::{
        BenchError,
        account::Account,
        output::output_of,
        peer::{SYSTEM_PATH, command_as},
        tools::{Tools, compile, give, sources},
    },
    cmd::Cmd,
    error::{Error, Result},
    scratch::Scratch,
};

/// Programs and scripts of this benchmark beside those of every one.
const C_PROGRAMS: &[&str] = &["stopwatch", "files"];
const SCRIPTS: &[&str] = &["wheels.py", "crate.sh"];

/// Removed with everything in it when dropped.
pub(super) struct Site {
    tools: Tools,
    account: Account,
    scratch: Scratch,
    file_system: String,
    /// A directory with bin/cargo that the user can run.
    toolchain: Option<PathBuf>,
}

impl Site {
    pub(super) fn new(user: Option<&str>, parent: &Path) -> Result<Self> {
        let account = Account::find(user)?;
        let tools = Tools::build()?;
        for name in C_PROGRAMS {
            compile(name, tools.dir())?;
        }
        for name in SCRIPTS {
            let source = sources().join(name);
            fs::copy(&source, tools.dir().join(name)).map_err(Error::io(&source))?;
        }
        let parent = parent.canonicalize().map_err(Error::io(parent))?;
        let scratch = Scratch::new(&parent, "sandbox-bench-branch")?;
        let stat = Cmd::new("stat").args(["-f", "-c", "%T"]).arg(&parent).silent();
        let site = Self {
            toolchain: toolchain(&tools, &account),
            file_system: format!("{} ({})", parent.display(), stat.read()?.trim()),
            tools,
            account,
            scratch,
        };
        for dir in [site.home(), site.state()] {
            site.make_dir(&dir)?;
        }
        Ok(site)
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn tools(&self) -> &Tools {
        &self.tools
    }

    pub(super) fn file_system(&self) -> &str {
        &self.file_system
    }

    /// Where branches are kept: on the file system of the trees, as a user's are as a rule.
    pub(super) fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// What has to be visible in a sandbox beside the system.
    pub(super) fn granted(&self) -> impl Iterator<Item = &Path> {
        [self.tools.dir()].into_iter().chain(self.toolchain.as_deref())
    }

    fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// A new directory that belongs to the user.
    pub(super) fn make_dir(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).map_err(Error::io(dir))?;
        give(dir, &self.account)
    }

    /// A program, as the user, with the same small environment for all.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = command_as(&self.account, program);
        let toolchain = self.toolchain.iter().map(|dir| format!("{}/bin:", dir.display()));
        let path = format!(
            "{}{}:{SYSTEM_PATH}",
            toolchain.collect::<String>(),
            self.tools.dir().display()
        );
        command.env_clear().env("PATH", path).env("LANG", "C.UTF-8");
        // As empty as the home inside: settings of the user's own would be measured on one side only.
        command.env("HOME", self.home()).env("SANDBOX_HOME", self.state());
        command.env("TOOLS", self.tools.dir());
        command.stdin(Stdio::null());
        command
    }

    pub(super) fn sandbox(&self) -> Command {
        self.command(&self.tools.sandbox())
    }

    /// Runs a shell script in `dir`, which stops at its first failure.
    pub(super) fn script(&self, dir: &Path, script: &str) -> Result<String, BenchError> {
        let mut shell = self.command(Path::new("sh"));
        shell.args(["-ec", script]).current_dir(dir);
        output_of(&mut shell)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What is left for the scratch directory's own removal is empty, or the warning says what is not.
        if let Ok(entries) = fs::read_dir(self.scratch.path()) {
            for entry in entries.flatten() {
                if let Err(error) = remove(&entry.path()) {
                    eprintln!("warning: {error}");
                }
            }
        }
    }
}

/// Removes a tree, whoever made it. Work directories of overlays are left with mode 0.
pub(super) fn remove(dir: &Path) -> Result<()> {
    let script = "find \"$1\" -type d ! -perm -700 -exec chmod 700 {} + ; rm -rf \"$1\"";
    Cmd::new("sh").args(["-c", script, "sh"]).arg(dir).silent().run()
}

/// Cargo and rustc. Under the home of root nobody else could run them; a tree of links costs nothing. Where none
/// can be made, what needs cargo is left out for others, and says so.
fn toolchain(tools: &Tools, account: &Account) -> Option<PathBuf> {
    let sysroot = Cmd::new("rustc")
        .args(["--print", "sysroot"])
        .silent()
        .read()
        .ok()?;
    let sysroot = PathBuf::from(sysroot.trim());
    let links = tools.dir().join("toolchain");
    let script =
        "cd \"$1\" && mkdir -p \"$2/bin\" && cp -al lib \"$2\" && cp -l bin/cargo bin/rustc \"$2/bin\"";
    let link = Cmd::new("sh")
        .args(["-c", script, "sh"])
        .arg(&sysroot)
        .arg(&links);
    if link.silent().succeeds() {
        return Some(links);
    }
    (!account.is_other).then_some(sysroot)
}

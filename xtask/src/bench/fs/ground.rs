//! Where it is measured: two file systems in memory, each with the same files, and the programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Scale,
    contestants::Place,
    steps::{self, Sizes},
};
use crate::{
    bench::{BenchError, output::output_of, peer::SYSTEM_PATH, tools::compile},
    cmd::Cmd,
    error::{Error, Result},
    installed,
    scratch::Scratch,
};

const PROGRAMS: &[&str] = &["fsload", "files", "stopwatch"];

/// Enough for the files, their journal, and a copy of what is written.
const IMAGE: &str = "4G";

/// What hangs for so long is not measured.
const LIMIT_SECONDS: &str = "300";

/// Unmounted and removed when dropped; the mounts also end with the namespace that they are in.
pub(super) struct Ground {
    pub(super) sizes: Sizes,
    server: PathBuf,
    scratch: Scratch,
}

impl Ground {
    /// Makes both file systems and fills them.
    pub(super) fn new(scale: Scale, server: &Path) -> Result<Self> {
        let ground = Self {
            sizes: Sizes::of(scale),
            server: server.canonicalize().map_err(Error::io(server))?,
            scratch: Scratch::new(&std::env::temp_dir(), "sandbox-bench-fs")?,
        };
        for name in ["bin", "ext4", "tmpfs", "home"] {
            make_dir(&ground.path(name))?;
        }
        for program in PROGRAMS {
            compile(program, &ground.path("bin"))?;
        }
        ground.mount_ext4()?;
        let tmpfs = Cmd::new("mount").args(["-t", "tmpfs", "-o", "size=8G,nr_inodes=0", "tmpfs"]);
        tmpfs.arg(ground.path("tmpfs")).silent().run()?;
        for place in [Place::Ext4, Place::Tmpfs] {
            let root = ground.root(place);
            make_dir(&root)?;
            println!("filling {}", root.display());
            ground.script(&root, &steps::setup(&ground.sizes))?;
        }
        Ok(ground)
    }

    /// The image has no name once it is mounted, so that nothing of it is left, whatever happens.
    fn mount_ext4(&self) -> Result<()> {
        let image = Path::new("/dev/shm").join(format!("sandbox-bench-fs-{}", std::process::id()));
        let make = "truncate -s $2 $1 && mke2fs -q -F -t ext4 -I 256 $1 && mount -o loop $1 $3; status=$?; rm -f $1; exit $status";
        let made = Cmd::new("sh").args(["-c", make, "sh"]).arg(image).arg(IMAGE);
        made.arg(self.path("ext4")).silent().run()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The file system of a place; what has none of its own may use tmpfs for what it needs besides.
    pub(super) fn file_system(&self, place: Place) -> PathBuf {
        self.path(match place {
            Place::Ext4 => "ext4",
            Place::Tmpfs | Place::Own => "tmpfs",
        })
    }

    /// The directory that is served.
    pub(super) fn root(&self, place: Place) -> PathBuf {
        self.file_system(place).join("root")
    }

    /// A shell in `dir` that stops at its first failure.
    fn shell(&self, dir: &Path, script: &str) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["-k", "5", LIMIT_SECONDS, "sh", "-ec", script])
            .current_dir(dir);
        self.environment(&mut command);
        command.stdin(Stdio::null());
        command
    }

    /// The same small one for everything that is started.
    pub(super) fn environment(&self, command: &mut Command) {
        let path = format!(
            "{}:{}:{SYSTEM_PATH}:/usr/sbin:/sbin",
            self.path("bin").display(),
            installed::bin().display()
        );
        command.env_clear().env("PATH", path).env("LANG", "C.UTF-8");
        command.env("HOME", self.path("home")).env("SERVE", &self.server);
        // What is read only is not to write the index.
        command.env("GIT_OPTIONAL_LOCKS", "0");
    }

    pub(super) fn script(&self, dir: &Path, script: &str) -> Result<String, BenchError> {
        output_of(&mut self.shell(dir, script))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for name in ["ext4", "tmpfs"] {
            let umount = Cmd::new("umount").arg(self.path(name)).silent();
            if let Err(error) = umount.run() {
                eprintln!("warning: {error}");
            }
        }
    }
}

pub(super) fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir(dir).map_err(Error::io(dir))
}

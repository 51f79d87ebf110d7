//! The ways a workload is run: in which directory, behind which mount and which walls.

use std::path::{Path, PathBuf};

use super::site::{Site, remove};
use crate::{
    bench::{BenchError, output::output_of},
    error::Result,
    workspace,
};

/// The only branch there is at a time.
const BRANCH: &str = "bench";

/// In the order of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The directory itself, no walls.
    Bare,
    /// The directory itself, behind the walls of `sandbox run`.
    Confined,
    /// A branch in mode `kernel`, behind the same walls.
    Branch,
    /// The same in mode `exact`: an overlay of ours, served inside.
    Exact,
    /// The kernel's overlayfs, mounted by hand, no walls: the floor.
    Overlay,
    /// The same through FUSE.
    Fuse,
}

impl Way {
    pub(super) fn installed() -> Vec<Self> {
        let by_hand = workspace::has_program("unshare");
        let fuse = by_hand && workspace::has_program("fuse-overlayfs");
        [
            (Self::Bare, true),
            (Self::Confined, true),
            (Self::Branch, true),
            (Self::Exact, true),
            (Self::Overlay, by_hand),
            (Self::Fuse, fuse),
        ]
        .into_iter()
        .filter_map(|(way, is_there)| is_there.then_some(way))
        .collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Confined => "sandbox run -w",
            Self::Branch => "sandbox run --branch",
            Self::Exact => "--branch-mode=exact",
            Self::Overlay => "overlay by hand",
            Self::Fuse => "fuse-overlayfs",
        }
    }

    /// The same work on the directory itself, behind the same walls.
    pub(super) fn native(self) -> Self {
        match self {
            Self::Confined | Self::Branch | Self::Exact => Self::Confined,
            Self::Bare | Self::Overlay | Self::Fuse => Self::Bare,
        }
    }

    /// It takes several times as long as the others: once has to do.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::Exact | Self::Fuse)
    }
}

/// A workload's two trees of the same content: `base` is never written, `plain` is and has to be reset.
pub(super) struct Ground<'a> {
    pub(super) site: &'a Site,
    pub(super) dir: PathBuf,
}

impl Ground<'_> {
    pub(super) fn base(&self) -> PathBuf {
        self.dir.join("base")
    }

    pub(super) fn plain(&self) -> PathBuf {
        self.dir.join("plain")
    }

    /// What the script prints; the trees are as before afterwards, but for what it does to `plain`.
    pub(super) fn run(&self, way: Way, script: &str) -> Result<String> {
        Ok(match way {
            Way::Bare => self.site.script(&self.plain(), script)?,
            Way::Confined => self.sandbox(&self.plain(), &["-w", "."], script)?,
            Way::Branch => self.on_branch("--branch-mode=kernel", script)?,
            Way::Exact => self.on_branch("--branch-mode=exact", script)?,
            Way::Overlay => self.mounted(
                "mount -t overlay overlay \
                 -o lowerdir=base,upperdir=upper,workdir=work,userxattr,volatile merged",
                script,
            )?,
            Way::Fuse => self.mounted(
                "fuse-overlayfs -o lowerdir=base,upperdir=upper,workdir=work merged 2>fuse.log \
                 || { tail -n 1 fuse.log >&2; exit 1; }",
                script,
            )?,
        })
    }

    fn sandbox(&self, dir: &Path, flags: &[&str], script: &str) -> Result<String, BenchError> {
        let mut run = self.site.sandbox();
        run.args(["run", "--quiet"]).args(flags);
        for dir in self.site.granted() {
            run.arg("-r").arg(dir);
        }
        run.args(["--", "sh", "-ec", script]).current_dir(dir);
        output_of(&mut run)
    }

    fn on_branch(&self, mode: &str, script: &str) -> Result<String, BenchError> {
        let name = format!("--branch={BRANCH}");
        let flags = [&name, mode, "--workspace=."];
        let printed = self.sandbox(&self.base(), &flags, script);
        let mut discard = self.site.sandbox();
        discard.args(["branch", "discard", BRANCH, "--workspace=."]);
        let discarded = output_of(discard.current_dir(self.base()));
        let printed = printed?;
        discarded.map(|_| printed)
    }

    /// In namespaces of its own, whose end ends the mount and its server. Mounting takes user 0 of a namespace;
    /// the work is done by the user again, in a second one: git and tar look at who they are.
    fn mounted(&self, mount: &str, script: &str) -> Result<String> {
        let made = ["upper", "work", "merged"].map(|name| self.dir.join(name));
        for dir in &made {
            self.site.make_dir(dir)?;
        }
        let account = self.site.account();
        let (uid, gid) = (account.uid, account.gid);
        let whole =
            format!("{mount}\ncd merged\nunshare --user --map-user={uid} --map-group={gid} sh -ec \"$1\"");
        let mut unshare = self.site.command(Path::new("unshare"));
        unshare
            .args(["-Urmpf", "--kill-child", "sh", "-ec", &whole, "sh", script])
            .current_dir(&self.dir);
        let printed = output_of(&mut unshare);
        for dir in &made {
            remove(dir)?;
        }
        Ok(printed?)
    }
}

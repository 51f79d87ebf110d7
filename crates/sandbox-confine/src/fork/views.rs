//! Views of clones, as the supervisor has them: where they are, what they are made of, and how far they have come.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;
use sandbox_types::{BranchName, CloneBranch, CloneBranches, CloneLayer, FrozenView};

use super::error::ForkError;
use super::writers;
use crate::error::StartError;
use crate::exec::text;
use crate::init::Init;
use crate::messages;
use crate::plan::{Plan, Step};
use crate::wire::{self, MAX_TREES, MAX_VIEWS, View, Writer};

/// Places in the sandbox of a template at which a branch is mounted.
#[derive(Debug)]
pub(super) struct Views {
    places: Vec<Place>,
    state: State,
    /// Who keeps the branches of clones, where the template was made for that.
    own: Option<Own>,
}

/// Where a branch is mounted, and what else is mounted beneath.
#[derive(Debug, Clone)]
struct Place {
    at: PathBuf,
    beneath: Vec<PathBuf>,
}

#[derive(Debug)]
struct Own {
    branches: Box<dyn CloneBranches>,
    trees: Vec<PathBuf>,
}

/// What may be done to what the template shows.
#[derive(Debug)]
enum State {
    Writable,
    ReadOnly,
    /// For good: it is a layer of others.
    Frozen(Vec<FrozenView>),
}

/// A blob, and the branches of the clones in it.
pub(super) struct Made {
    pub(super) blob: OwnedFd,
    pub(super) clones: Vec<CloneBranch>,
}

impl Views {
    pub(super) fn new(plan: &Plan, branches: Option<Box<dyn CloneBranches>>) -> Result<Self, ForkError> {
        let places = overlays(plan);
        let own = branches.map(|branches| Own {
            trees: branches.trees(),
            branches,
        });
        let own = own.map(|own| own.check(&places)).transpose()?;
        let wanted = own.as_ref().map(|own| own.branches.places());
        let places = wanted.unwrap_or_else(|| places.clone());
        Ok(Self {
            places: places.iter().map(|at| Place::of(plan, at, &places)).collect(),
            state: State::Writable,
            own,
        })
    }

    /// Places that each clone shows a view of its own at.
    pub(super) fn own_places(&self) -> Option<Vec<PathBuf>> {
        let places = self.places.iter().map(|place| place.at.clone());
        self.own.as_ref().map(|_| places.collect())
    }

    /// Lets clones write to what the template shows, if that is not a layer of others.
    pub(super) fn share(&mut self, init: &Init) -> Result<(), ForkError> {
        match self.state {
            State::Writable => {}
            State::ReadOnly => self.set_writable(init, true)?,
            State::Frozen(_) => return Err(ForkError::Frozen),
        }
        self.state = State::Writable;
        Ok(())
    }

    /// Lets nobody write to it.
    pub(super) fn make_read_only(&mut self, init: &Init) -> Result<(), ForkError> {
        if self.places.is_empty() {
            return Err(ForkError::NoBranch);
        }
        if matches!(self.state, State::Writable) {
            self.set_writable(init, false)?;
            self.state = State::ReadOnly;
        }
        Ok(())
    }

    /// Branches for clones, over what the template shows, to which nobody writes from now on.
    pub(super) fn make(&mut self, count: u32, init: &Init, keeper: &OwnedFd) -> Result<Made, ForkError> {
        self.freeze(init, keeper)?;
        let (State::Frozen(views), Some(own)) = (&self.state, &mut self.own) else {
            return Err(ForkError::NoBranches);
        };
        let of_branches = |source| ForkError::Branches { source };
        let clones = own.branches.make(count).map_err(of_branches)?;
        match encode(&self.places, &own.trees, views, &clones) {
            Ok(blob) => Ok(Made { blob, clones }),
            Err(error) => {
                self.discard(clones.into_iter().map(|clone| clone.name).collect());
                Err(error)
            }
        }
    }

    /// Removes the branches of clones that did not come about.
    pub(super) fn discard(&mut self, branches: Vec<BranchName>) {
        if let (Some(own), false) = (&mut self.own, branches.is_empty()) {
            own.branches.discard(branches);
        }
    }

    fn freeze(&mut self, init: &Init, keeper: &OwnedFd) -> Result<(), ForkError> {
        if self.own.is_none() {
            return Err(ForkError::NoBranches);
        }
        if matches!(self.state, State::Frozen(_)) {
            return Ok(());
        }
        self.make_read_only(init)?;
        let Some(own) = &mut self.own else {
            return Err(ForkError::NoBranches);
        };
        let views = own
            .branches
            .freeze()
            .map_err(|source| ForkError::Branches { source })?;
        // What is mounted is a layer of others from now on, whatever becomes of the rest.
        let nothing = CloneBranch {
            // None has an upper or a lock, which an empty path stands for.
            name: "none"
                .parse()
                .map_err(crate::error::PrepareError::from)
                .map_err(StartError::from)?,
            lock: PathBuf::new(),
            layers: vec![
                CloneLayer {
                    upper: PathBuf::new(),
                    work: PathBuf::new(),
                };
                views.len()
            ],
        };
        let blob = encode(&self.places, &own.trees, &views, &[nothing]);
        self.state = State::Frozen(views);
        let blob = blob?;
        let overlays = show(keeper, &blob)?;
        replace(init, &blob, &overlays)
    }

    fn set_writable(&self, init: &Init, writable: bool) -> Result<(), ForkError> {
        let mut places = Vec::new();
        for place in &self.places {
            places.extend_from_slice(text(place.at.as_os_str())?.as_bytes_with_nul());
        }
        let blob = messages::sealed("sandbox-views", &places, MemfdFlags::NOEXEC_SEAL)?;
        let asked = ask(init.control(), wire::FREEZE, u64::from(writable), &[&blob])?;
        match asked {
            Ok(_) => Ok(()),
            Err(source) if source.raw_os_error() == Some(libc::EBUSY) => {
                let places: Vec<_> = self.places.iter().map(|place| place.at.as_path()).collect();
                Err(ForkError::OpenForWriting {
                    files: writers::beneath(init.pid(), &places),
                })
            }
            Err(source) => Err(ForkError::Views {
                what: "make the template's branch read-only",
                source,
            }),
        }
    }
}

impl Own {
    fn check(self, mounted: &[PathBuf]) -> Result<Self, ForkError> {
        let places = self.branches.places();
        if let Some(at) = places.iter().find(|at| !mounted.contains(at)) {
            return Err(ForkError::NotMounted { at: at.clone() });
        }
        if places.is_empty() || places.len() > MAX_VIEWS || self.trees.len() > MAX_TREES {
            return Err(ForkError::TooManyViews {
                places: places.len(),
                most: MAX_VIEWS,
            });
        }
        Ok(self)
    }
}

impl Place {
    fn of(plan: &Plan, at: &Path, places: &[PathBuf]) -> Self {
        let mut beneath: Vec<&Path> = plan
            .steps
            .iter()
            .filter_map(mounted_at)
            .filter(|path| *path != at && path.starts_with(at))
            // What has a view of its own is not carried over.
            .filter(|path| !places.iter().any(|place| place != at && place.starts_with(at) && path.starts_with(place)))
            .collect();
        beneath.sort_unstable();
        // What is mounted in another one comes along with it.
        beneath.dedup_by(|path, above| path.starts_with(above));
        Self {
            at: at.to_owned(),
            beneath: beneath.into_iter().map(Path::to_owned).collect(),
        }
    }
}

/// Where a step mounts something.
fn mounted_at(step: &Step) -> Option<&Path> {
    match step {
        Step::Attach { path, .. }
        | Step::Own { path, .. }
        | Step::Cover { path, .. }
        | Step::Mount { path, .. } => Some(path),
        _ => None,
    }
}

/// Where a plan mounts branches.
fn overlays(plan: &Plan) -> Vec<PathBuf> {
    let sources = plan.steps.iter().filter(|step| {
        matches!(
            step,
            Step::Source { .. } | Step::Overlay { .. } | Step::Served { .. }
        )
    });
    let is_overlay: Vec<_> = sources.map(|step| matches!(step, Step::Overlay { .. })).collect();
    let place = |step: &Step| match step {
        Step::Attach { source, path } => {
            let source = usize::try_from(*source).ok()?;
            is_overlay.get(source)?.then(|| path.clone())
        }
        _ => None,
    };
    plan.steps.iter().filter_map(place).collect()
}

/// Views and clones, as the keeper reads them.
fn encode(
    places: &[Place],
    trees: &[PathBuf],
    views: &[FrozenView],
    clones: &[CloneBranch],
) -> Result<OwnedFd, ForkError> {
    let mut writer = Writer::default();
    let mut parts = Vec::new();
    for (place, view) in places.iter().zip(views) {
        let mut beneath = Vec::new();
        for path in &place.beneath {
            beneath.extend_from_slice(text(path.as_os_str())?.as_bytes_with_nul());
        }
        let mut lowers = Vec::new();
        for lower in &view.lowers {
            lowers.extend_from_slice(in_trees(trees, lower)?.as_bytes_with_nul());
        }
        parts.push((text(place.at.as_os_str())?, beneath, lowers));
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|(at, beneath, lowers)| View { at, beneath, lowers })
        .collect();
    writer.views(&parts);
    for clone in clones {
        writer.text(&in_trees(trees, &clone.lock)?);
        for layer in &clone.layers {
            writer
                .text(&in_trees(trees, &layer.upper)?)
                .text(&in_trees(trees, &layer.work)?);
        }
    }
    Ok(messages::sealed(
        "sandbox-views",
        &writer.finish(),
        MemfdFlags::NOEXEC_SEAL,
    )?)
}

/// What the keeper calls a path of the host: `/` and the number of the tree that it is beneath, then the rest. Nothing is
/// nothing.
fn in_trees(trees: &[PathBuf], path: &Path) -> Result<CString, ForkError> {
    if path.as_os_str().is_empty() {
        return Ok(CString::default());
    }
    let beneath = trees.iter().enumerate().filter_map(|(number, tree)| {
        let rest = path.strip_prefix(tree).ok()?;
        Some((tree.as_os_str().len(), number, rest))
    });
    // One may lie in another: the nearest counts.
    let Some((_, number, rest)) = beneath.max() else {
        return Err(ForkError::OutsideTrees {
            path: path.to_owned(),
        });
    };
    let mut name = format!("/{number}").into_bytes();
    if !rest.as_os_str().is_empty() {
        name.push(b'/');
        name.extend_from_slice(rest.as_os_str().as_bytes());
    }
    Ok(CString::new(name).map_err(|_| StartError::Nul { word: path.into() })?)
}

/// Has the keeper make overlays that are only read.
fn show(keeper: &OwnedFd, blob: &OwnedFd) -> Result<Vec<OwnedFd>, ForkError> {
    let (ours, theirs) = messages::socket_pair()?;
    let fds = [theirs.as_fd(), blob.as_fd()];
    messages::send(keeper.as_fd(), &[wire::SHOW, 0, 0, 0, 0, 0, 0, 0], &fds)?;
    drop(theirs);
    match messages::receive_all(ours.as_fd())? {
        Some(([wire::DONE, ..], overlays)) => Ok(overlays),
        Some(([_, _, errno, ..], _)) => Err(ForkError::Views {
            what: "make an overlay of what the template has written",
            source: std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0)),
        }),
        None => Err(StartError::Ended.into()),
    }
}

/// Has init show them in the place of the template's branch.
fn replace(init: &Init, blob: &OwnedFd, overlays: &[OwnedFd]) -> Result<(), ForkError> {
    let fds: Vec<_> = std::iter::once(blob).chain(overlays).collect();
    match ask(init.control(), wire::REPLACE, 0, &fds)? {
        Ok(1) => Ok(()),
        Ok(_) => {
            tracing::debug!("the template's own mount stays: the kernel warns of it for each clone");
            Ok(())
        }
        Err(source) => Err(ForkError::Views {
            what: "show what the template has written",
            source,
        }),
    }
}

/// A request that carries files, and the value of its answer, or its errno.
fn ask(
    to: std::os::fd::BorrowedFd<'_>,
    request: u64,
    value: u64,
    files: &[&OwnedFd],
) -> Result<std::io::Result<u64>, StartError> {
    let (ours, theirs) = messages::socket_pair()?;
    let mut fds = vec![theirs.as_fd()];
    fds.extend(files.iter().map(|file| file.as_fd()));
    messages::send(to, &[request, value, 0, 0, 0, 0, 0, 0], &fds)?;
    drop(theirs);
    match messages::receive(ours.as_fd(), RecvFlags::empty())? {
        Some(([wire::DONE, value, ..], _)) => Ok(Ok(value)),
        Some(([_, _, errno, ..], _)) => {
            let errno = i32::try_from(errno).unwrap_or(0);
            Ok(Err(std::io::Error::from_raw_os_error(errno)))
        }
        None => Err(StartError::Ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_by_the_nearest_tree_that_it_is_beneath() {
        let trees = ["/state", "/home/me/app", "/home/me/app/.git/worktrees"].map(PathBuf::from);
        let name = |path: &str| in_trees(&trees, Path::new(path)).map(|name| name.into_string().unwrap());
        assert_eq!(name("/state/layers/1/upper").unwrap(), "/0/layers/1/upper");
        assert_eq!(name("/home/me/app").unwrap(), "/1");
        assert_eq!(name("/home/me/app/.git/worktrees/x").unwrap(), "/2/x");
        assert_eq!(name("").unwrap(), "");
        assert!(matches!(
            name("/home/me/application"),
            Err(ForkError::OutsideTrees { .. })
        ));
    }
}

//! Mode `exact`: the layers of a branch as an [`OverlayFs`], which whoever starts a sandbox serves there.
//!
//! The format of the layers is that of mode `kernel`, so a branch can be opened in either mode, one run after the other.
//! What that format cannot say is which names of a changed file of the base are one file: the overlay keeps it in an index
//! in its work directory while it runs. It is settled at the end of each run: the other names are linked in the layer
//! too, and the index goes. So a layer stands for itself, whoever reads it. After a crash the index is still there, and
//! is settled by whoever takes the branch next.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox_types::{RelPath, ServedName};

use super::error::BranchError;
use super::handle::{Branch, Use};
use super::layer::Part;
use super::lock::{self, Asked};
use super::manifest::{self, Durability as Kept, Mode};
use super::submounts;
use super::suitable::{self, Unsuitable};
use super::workspace::Workspace;
use crate::backend::overlay::{Durability, LayerFormat, OverlayBuilder, OverlayError, OverlayProblem};
use crate::backend::passthrough::IdentityMap;
use crate::backend::{OverlayFs, overlay};
use crate::fs::{Context, Errno};
use crate::tree::Tree;

/// One of the directories that a branch shows, to be served in a sandbox.
#[derive(Debug, Clone)]
pub struct View {
    /// The name that [`Branch::mounts`] has for it.
    pub name: ServedName,
    /// What is served. Nothing else may write to the branch while it is there.
    pub fs: Arc<OverlayFs>,
    /// The file that the sandbox has to lock for as long as anything in it lives; for one of a branch's views.
    pub lock: Option<PathBuf>,
}

impl Branch {
    /// What has to be served for [`Branch::mounts`], which is to be asked for before; nothing but in mode `exact`.
    /// `identity` says who is who inside.
    ///
    /// # Errors
    /// [`BranchError::InUse`]; [`BranchError::View`].
    pub fn views(&self, identity: &IdentityMap) -> Result<Vec<View>, BranchError> {
        if self.mode() != Mode::Exact {
            return Ok(Vec::new());
        }
        // Nobody else makes it ready meanwhile.
        let _held = self.hold()?;
        let view = |part: Option<usize>| {
            let fs = self
                .overlay(part)
                .identity_map(identity.clone())
                .build()
                .map_err(|error| self.no_view(error))?;
            Ok(View {
                name: self.served_name(part)?,
                fs: Arc::new(fs),
                // One lock for all parts.
                lock: part.is_none().then(|| self.lock_file()),
            })
        };
        self.parts().map(view).collect()
    }

    /// Whether somebody serves it, or is about to, whose sandbox does not hold its lock yet, or not any more.
    pub(crate) fn server(&self) -> Result<Use, BranchError> {
        if self.mode() != Mode::Exact {
            return Ok(Use::Free);
        }
        for part in self.parts() {
            let upper = self.top().part(part).upper();
            match lock::try_hold_directory(&upper) {
                Ok(Asked::By(holder)) => return Ok(Use::By(holder)),
                Ok(Asked::Held(_)) => {}
                // It is damaged, which whoever uses it will say.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(BranchError::io("lock", &upper)(error)),
            }
        }
        Ok(Use::Free)
    }

    /// Has it in the other one of the modes `kernel` and `exact` from now on. Asked for the one that it has, does nothing.
    ///
    /// # Errors
    /// [`BranchError::Inseparable`] for a copy, or to make one; [`BranchError::Mode`] where the mode is not to be had;
    /// [`BranchError::InUse`].
    pub fn change_mode(&mut self, mode: Mode) -> Result<(), BranchError> {
        if self.mode() == mode {
            return Ok(());
        }
        if !(self.mode().has_layers() && mode.has_layers()) {
            return Err(BranchError::Inseparable {
                name: self.name().clone(),
                mode: self.mode(),
                asked: mode,
            });
        }
        self.workspace().check_mode(mode)?;
        let _held = self.hold()?;
        *self = self.current()?;
        self.complete_links()?;
        let mut manifest = self.manifest().clone();
        manifest.mode = mode;
        manifest::store(&self.file(), &manifest, Kept::Machine)?;
        *self = self.current()?;
        Ok(())
    }

    /// What mode `exact` knows of names that are one file becomes a part of the layer. With the lock held.
    pub(crate) fn complete_links(&self) -> Result<(), BranchError> {
        for part in self.parts().filter(|part| self.top().part(*part).has_index()) {
            let fs = self.overlay(part).build().map_err(|error| self.no_view(error))?;
            fs.settle_names().map_err(|errno: Errno| {
                BranchError::io("link names in", &self.top().part(part).upper())(errno.into())
            })?;
        }
        Ok(())
    }

    /// Shows an empty directory where something is mounted over one in the workspace, as mode `copy` does. With the lock
    /// held.
    pub(crate) fn make_places(&self) -> Result<(), BranchError> {
        let is_needed = self.mode() == Mode::Exact && self.manifest().snapshot.is_none();
        let mounted = self.workspace().mounted().into_iter();
        let is_dir = |path: &RelPath| self.workspace().base().join(path.as_path()).is_dir();
        let places: Vec<_> = mounted.filter(|path| is_needed && is_dir(path)).collect();
        if places.is_empty() {
            return Ok(());
        }
        let fs = self.overlay(None).build().map_err(|error| self.no_view(error))?;
        let ids = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let tree = Tree::new(&fs, Context::new(ids.0, ids.1));
        for place in places {
            match tree.mkdir(place.as_path(), 0o755) {
                // It is there from before, or the branch has removed what it was in.
                Ok(()) | Err(Errno::EEXIST | Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => {
                    let path = self.top().part(None).upper().join(place.as_path());
                    return Err(BranchError::io("make", &path)(errno.into()));
                }
            }
        }
        Ok(())
    }

    /// [`complete_links`](Self::complete_links) for who does not hold the lock; whether it is done, which it is not while somebody else has the branch.
    pub(crate) fn complete_links_if_free(&self) -> Result<bool, BranchError> {
        if !self.parts().any(|part| self.top().part(part).has_index()) {
            return Ok(true);
        }
        match self.hold() {
            Ok(_held) => self.current()?.complete_links().map(|()| true),
            Err(BranchError::InUse { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The name under which a part is served.
    pub(crate) fn served_name(&self, part: Option<usize>) -> Result<ServedName, BranchError> {
        let of = |text: &str| match part {
            None => format!("branch.{text}").parse(),
            Some(index) => format!("branch.{text}.{index}").parse(),
        };
        // A branch's own name may be too long to have anything before it.
        let layer = self.manifest().layers.first().map_or("", String::as_str);
        Ok(of(self.name().as_str()).or_else(|_| of(layer))?)
    }

    fn overlay(&self, part: Option<usize>) -> OverlayBuilder {
        let (top, lowers) = (self.top().part(part), self.lowers_of(part));
        let bottom_up = lowers.into_iter().rev();
        let builder = bottom_up.fold(OverlayFs::builder(), |builder, lower| {
            builder.layer_in(lower, LayerFormat::Overlay)
        });
        let builder = builder.writable(top.upper()).staging(top.work());
        self.workspace()
            .outside(builder)
            .durability(Durability::Volatile)
            .without_fsync()
            .any_name()
            .attribute_whiteouts()
    }

    fn no_view(&self, error: OverlayError) -> BranchError {
        let in_use = error.problems().iter().find_map(|problem| match problem {
            OverlayProblem::InUse { holder, .. } => Some(holder.clone()),
            _ => None,
        });
        match in_use {
            Some(holder) => BranchError::InUse {
                name: self.name().clone(),
                holder,
            },
            None => BranchError::View {
                name: self.name().clone(),
                source: error,
            },
        }
    }
}

impl Workspace {
    /// Why its branches cannot be in mode `exact`, as far as that can be found out without a sandbox.
    pub fn why_no_exact(&self) -> Option<Unsuitable> {
        suitable::check_device().and_then(|()| self.try_exact()).err()
    }

    /// Tries it where the layers will be.
    fn try_exact(&self) -> Result<(), Unsuitable> {
        let layers = self.places().layers();
        let failed = |error: &dyn std::fmt::Display| Unsuitable::Served(error.to_string());
        if !layers.is_dir() {
            return Ok(());
        }
        let place = tempfile::Builder::new()
            .prefix("probe-")
            .tempdir_in(&layers)
            .map_err(|error| failed(&error))?;
        let [upper, work] = ["upper", "work"].map(|name| place.path().join(name));
        for directory in [&upper, &work] {
            fs::create_dir(directory).map_err(|error| failed(&error))?;
        }
        let builder = OverlayFs::builder().layer_in(self.base(), LayerFormat::Overlay);
        let builder = self
            .outside(builder.writable(upper).staging(work))
            .attribute_whiteouts();
        builder.build().map(drop).map_err(|error| failed(&error))
    }

    /// Leaves out what is no part of a view of it.
    fn outside(&self, builder: overlay::OverlayBuilder) -> OverlayBuilder {
        let mounted = submounts::beneath(self.base()).into_iter();
        let kept = [self.storage().to_owned()].into_iter();
        mounted
            .chain(kept)
            .fold(builder.without_mounts(), OverlayBuilder::leave_out)
    }
}

impl Part {
    /// Whether mode `exact` has left word which names are one file.
    pub(crate) fn has_index(&self) -> bool {
        has_entries(&self.work().join("sandbox/index"))
    }
}

fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

//! What a name in a directory leads to, by what is in its parts.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, RawDir, Statx};
use rustix::io::Errno as HostErrno;

use super::attributes::mark;
use super::lend::with_mode;
use super::staging::Whiteouts;
use super::{LayerFormat, OverlayFs, parts};
use crate::backend::passthrough::dir::CHUNK;
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::{Identity, Inode, Layer, Part};
use crate::backend::passthrough::resolve::{BENEATH, STAND_IN};
use crate::backend::union::plan::Upper;
use crate::backend::union::{Found, Marks, More, Sight, marks};
use crate::fs::{Errno, FsResult};

/// Something in one layer.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) layer: Layer,
    pub(super) stat: Statx,
    /// From the root of the layer, where it does not have the name that was asked for.
    pub(super) at: Option<Box<OsStr>>,
}

/// What a name leads to.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) found: Found<Spot>,
    /// What the upper itself has under the name.
    pub(super) upper: Upper,
}

/// One directory of a stack that is asked.
struct Asked<'a> {
    layer: Layer,
    /// None of the directory's own.
    part: Option<&'a Arc<Part>>,
    /// Whether nothing is beneath it.
    is_last: bool,
}

impl Spot {
    pub(super) fn identity(&self) -> Identity {
        Identity::of(&self.stat).in_layer(self.layer)
    }
}

impl OverlayFs {
    /// What the name leads to. The directory's names are locked.
    pub(super) fn look(&self, dir: &Arc<Inode>, name: &OsStr) -> FsResult<Seen> {
        self.look_until(dir, name, |_| false)
    }

    /// As [`look`](Self::look), but no further than to a topmost directory of which that `is_enough`.
    pub(super) fn look_until(
        &self,
        dir: &Arc<Inode>,
        name: &OsStr,
        is_enough: impl Fn(&Spot) -> bool,
    ) -> FsResult<Seen> {
        let below = parts(dir).below();
        let own = Asked {
            layer: dir.layer(),
            part: None,
            is_last: below.is_empty(),
        };
        let (mut found, mut upper) = (Found::new(), Upper::Nothing);
        let mut detour = None;
        let sight = self.sight(dir, &own, name, &mut detour)?;
        if own.layer == 0 {
            upper = upper_has(&sight);
        }
        if found.see(sight) == More::Needed && !found.is_directory_of(&is_enough) {
            self.ask(dir, &below, name, &mut detour, &mut found, is_enough)?;
        }
        Ok(Seen { found, upper })
    }

    /// Whether layers beneath the upper have something under the name. The directory's names are locked.
    pub(super) fn is_beneath(&self, dir: &Arc<Inode>, name: &OsStr) -> FsResult<bool> {
        let below = parts(dir).below();
        let mut found = Found::new();
        self.ask(dir, &below, name, &mut None, &mut found, |_| false)?;
        Ok(!matches!(found, Found::Nothing))
    }

    fn ask(
        &self,
        dir: &Arc<Inode>,
        below: &[Arc<Part>],
        name: &OsStr,
        detour: &mut Option<PathBuf>,
        found: &mut Found<Spot>,
        is_enough: impl Fn(&Spot) -> bool,
    ) -> FsResult<()> {
        for (left, part) in (0..below.len()).rev().zip(below) {
            let asked = Asked {
                layer: part.layer(),
                part: Some(part),
                is_last: left == 0,
            };
            let sight = self.sight(dir, &asked, name, detour)?;
            if found.see(sight) == More::Known || found.is_directory_of(&is_enough) {
                break;
            }
        }
        Ok(())
    }

    /// What one part has. A redirect that is found there says where the layers beneath are asked.
    fn sight(
        &self,
        dir: &Arc<Inode>,
        asked: &Asked<'_>,
        name: &OsStr,
        detour: &mut Option<PathBuf>,
    ) -> FsResult<Sight<Spot>> {
        let layer = asked.layer;
        if let Some(path) = detour.clone() {
            return self.sight_elsewhere(dir, asked, path, detour);
        }
        let fd = self.host.part_descriptor(dir, layer)?;
        let marks = self.marks(dir, asked, fd.as_fd())?;
        let bytes = name.as_bytes();
        let hides = marks.is_some_and(|marks| marks.hide(bytes));
        let stat = match host::stat_in(fd.as_fd(), name) {
            Ok(_) if layer != 0 && self.keeps_name(layer, bytes) => None,
            Ok(stat) if self.is_hidden(dir, asked, name, &stat) => None,
            Ok(stat) => Some(stat),
            Err(HostErrno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(stat) = stat else {
            return Ok(if hides { Sight::Whiteout } else { Sight::Nothing });
        };
        let attributes = marks.map_or_else(|| self.writes_attributes(), |marks| marks.attributes);
        if is_whiteout(&stat) || attributes && is_attribute_whiteout(fd.as_fd(), name, &stat)? {
            return Ok(Sight::Whiteout);
        }
        let spot = Spot {
            layer,
            stat,
            at: None,
        };
        if !is_directory(&stat) {
            check_metacopy(fd.as_fd(), layer, name, &stat)?;
            return Ok(Sight::Other(spot));
        }
        let hides = hides || !asked.is_last && is_opaque(fd.as_fd(), layer, name)?;
        if hides {
            return Ok(Sight::Opaque(spot));
        }
        if layer == 0 || !asked.is_last {
            *detour = self.redirect(dir, layer, fd.as_fd(), name)?;
        }
        Ok(Sight::Directory(spot))
    }

    /// Whether what a layer has under a name is left out.
    fn is_hidden(&self, dir: &Inode, asked: &Asked<'_>, name: &OsStr, stat: &Statx) -> bool {
        if asked.layer == 0 {
            return false;
        }
        let part = || asked.part.map_or_else(|| dir.identity(), |part| part.identity);
        self.hidden.is_mount(stat) || self.hidden.has_any() && self.hidden.hides(part(), name)
    }

    /// As `sight`, where a redirect leads.
    fn sight_elsewhere(
        &self,
        dir: &Arc<Inode>,
        asked: &Asked<'_>,
        path: PathBuf,
        detour: &mut Option<PathBuf>,
    ) -> FsResult<Sight<Spot>> {
        let layer = asked.layer;
        let root = self.host.part_descriptor(self.host.table.root(), layer)?;
        let opened = self
            .host
            .with_descriptors(|| rustix::fs::openat2(&*root, &path, STAND_IN, Mode::empty(), BENEATH));
        let opened = match opened {
            Ok(opened) => opened,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Sight::Nothing),
            Err(error) => return Err(error),
        };
        let stat = host::stat(opened.as_fd())?;
        if is_whiteout(&stat) || !is_directory(&stat) {
            return Ok(Sight::Whiteout);
        }
        let at = Some(path.into_os_string().into_boxed_os_str());
        let spot = Spot { layer, stat, at };
        if asked.is_last {
            return Ok(Sight::Directory(spot));
        }
        if xattr(opened.as_fd(), layer, marks::OPAQUE)?.as_deref() == Some(b"y") {
            return Ok(Sight::Opaque(spot));
        }
        if let Some(value) = xattr(opened.as_fd(), layer, marks::REDIRECT)? {
            *detour = Some(self.target(dir, layer, &value)?);
        }
        Ok(Sight::Directory(spot))
    }

    /// Whether whiteouts in the upper are attributes.
    pub(super) fn writes_attributes(&self) -> bool {
        let whiteouts = self.upper.as_ref().map(|upper| upper.staging.means().whiteouts);
        whiteouts == Some(Whiteouts::Attributes)
    }

    /// Says that there may be whiteouts in a directory of the upper, where they are attributes. Its names are locked.
    pub(super) fn mark_whiteouts(&self, dir: BorrowedFd<'_>) -> FsResult<()> {
        if self.writes_attributes() && xattr(dir, 0, marks::OPAQUE)?.is_none() {
            mark(dir, marks::OPAQUE, b"x")?;
        }
        Ok(())
    }

    /// Whether a name is one by which the layer says something.
    pub(super) fn keeps_name(&self, layer: Layer, name: &[u8]) -> bool {
        self.format(layer) == LayerFormat::Detect && marks::is_oci(name)
    }

    pub(super) fn format(&self, layer: Layer) -> LayerFormat {
        let format = self.formats.get(usize::from(layer));
        format.copied().unwrap_or(LayerFormat::Overlay)
    }

    /// What a part in a read-only layer says of what is beneath it, read once.
    fn marks<'a>(
        &self,
        dir: &'a Inode,
        asked: &Asked<'a>,
        fd: BorrowedFd<'_>,
    ) -> FsResult<Option<&'a Marks>> {
        if asked.layer == 0 {
            return Ok(None);
        }
        let cell: &OnceLock<Box<Marks>> = match asked.part {
            None => &parts(dir).marks,
            Some(part) => &part.marks,
        };
        if let Some(marks) = cell.get() {
            return Ok(Some(marks));
        }
        let marks = self.read_marks(asked.layer, asked.is_last, fd)?;
        Ok(Some(cell.get_or_init(|| Box::new(marks))))
    }

    pub(super) fn read_marks(&self, layer: Layer, is_last: bool, fd: BorrowedFd<'_>) -> FsResult<Marks> {
        let mut marks = Marks {
            attributes: xattr(fd, layer, marks::OPAQUE)?.as_deref() == Some(b"x"),
            ..Marks::default()
        };
        if self.format(layer) == LayerFormat::Detect && !is_last {
            let dir = self.host.with_descriptors(|| host::reopen_dir(fd))?;
            let mut buffer = Vec::<u8>::with_capacity(CHUNK);
            let mut raw = RawDir::new(&dir, buffer.spare_capacity_mut());
            while let Some(entry) = raw.next() {
                marks.note(entry?.file_name().to_bytes());
            }
        }
        Ok(marks)
    }

    /// Where the layers beneath have the directory, if they do not have it under its name.
    fn redirect(
        &self,
        dir: &Arc<Inode>,
        layer: Layer,
        fd: BorrowedFd<'_>,
        name: &OsStr,
    ) -> FsResult<Option<PathBuf>> {
        match xattr_in(fd, layer, name, marks::REDIRECT)? {
            None => Ok(None),
            // As the kernel has it under `userxattr`.
            Some(_) if layer == 0 => Err(Errno::EPERM),
            Some(value) => self.target(dir, layer, &value).map(Some),
        }
    }

    /// The path from the root of the next layer that a redirect means. `EIO` for one that is none.
    fn target(&self, dir: &Arc<Inode>, layer: Layer, value: &[u8]) -> FsResult<PathBuf> {
        let value = value.strip_suffix(b"\0").unwrap_or(value);
        let (mut path, names) = match value.strip_prefix(b"/") {
            Some(rest) => (PathBuf::new(), rest),
            None => (self.path_in(dir, layer)?, value),
        };
        let names: Vec<&[u8]> = names.split(|byte| *byte == b'/').collect();
        let is_sane = |name: &&[u8]| !matches!(*name, b"" | b"." | b"..") && !name.contains(&0);
        if !names.iter().all(is_sane) {
            return Err(Errno::EIO);
        }
        path.extend(names.into_iter().map(OsStr::from_bytes));
        Ok(path)
    }

    /// Where a directory is in a layer.
    fn path_in(&self, dir: &Arc<Inode>, layer: Layer) -> FsResult<PathBuf> {
        let mut names: Vec<OsString> = Vec::new();
        let mut at = Arc::clone(dir);
        while !Arc::ptr_eq(&at, self.host.table.root()) {
            let part = at.parts.get().and_then(|parts| parts.in_layer(layer));
            if let Some(path) = part.and_then(|part| part.at.clone()) {
                names.push(path.into_os_string());
                break;
            }
            let place = at.place().ok_or(Errno::ESTALE)?;
            names.push(place.name.into_os_string());
            at = place.parent;
        }
        Ok(names.iter().rev().collect())
    }
}

fn upper_has(sight: &Sight<Spot>) -> Upper {
    match sight {
        Sight::Nothing => Upper::Nothing,
        Sight::Whiteout => Upper::Whiteout,
        Sight::Other(_) => Upper::Other,
        Sight::Directory(_) | Sight::Opaque(_) => Upper::Directory,
    }
}

pub(super) fn is_directory(stat: &Statx) -> bool {
    u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFDIR
}

/// The device 0/0.
pub(super) fn is_whiteout(stat: &Statx) -> bool {
    let device = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFCHR;
    device && (stat.stx_rdev_major, stat.stx_rdev_minor) == (0, 0)
}

/// Whether an entry is one; nothing is none.
pub(super) fn is_whiteout_at(dir: BorrowedFd<'_>, name: &OsStr, whiteouts: Whiteouts) -> FsResult<bool> {
    match host::stat_in(dir, name) {
        Ok(stat) if whiteouts == Whiteouts::Attributes => {
            Ok(is_whiteout(&stat) || is_attribute_whiteout(dir, name, &stat)?)
        }
        Ok(stat) => Ok(is_whiteout(&stat)),
        Err(HostErrno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// An empty file that says it is one.
pub(super) fn is_attribute_whiteout(dir: BorrowedFd<'_>, name: &OsStr, stat: &Statx) -> FsResult<bool> {
    let empty = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFREG && stat.stx_size == 0;
    Ok(empty && xattr_in(dir, Layer::MAX, name, marks::WHITEOUT)?.is_some())
}

fn is_opaque(dir: BorrowedFd<'_>, layer: Layer, name: &OsStr) -> FsResult<bool> {
    Ok(xattr_in(dir, layer, name, marks::OPAQUE)?.as_deref() == Some(b"y"))
}

/// `EPERM` for a file whose data is elsewhere, which under `userxattr` nobody can tell where. Such a file has no blocks.
fn check_metacopy(dir: BorrowedFd<'_>, layer: Layer, name: &OsStr, stat: &Statx) -> FsResult<()> {
    let regular = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFREG;
    let without_data = regular && stat.stx_size > 0 && stat.stx_blocks == 0;
    if without_data && xattr_in(dir, layer, name, marks::METACOPY)?.is_some() {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// No value of overlayfs' is longer.
const LONGEST: usize = 4096;

/// An attribute of what a descriptor stands for, in a layer; none where there is none, can be none, or a layer does not let
/// it be read.
pub(super) fn xattr(file: BorrowedFd<'_>, layer: Layer, name: &str) -> FsResult<Option<Vec<u8>>> {
    let path = host::proc_path(file);
    let get = || read(|value| rustix::fs::getxattr(path.as_c_str(), name, value));
    match get() {
        Err(Errno::EACCES) if layer != 0 => Ok(None),
        Err(Errno::EACCES) => with_mode(file, 0o400, get),
        other => other,
    }
}

/// The same of an entry of a directory, a link not followed.
pub(super) fn xattr_in(
    dir: BorrowedFd<'_>,
    layer: Layer,
    entry: &OsStr,
    name: &str,
) -> FsResult<Option<Vec<u8>>> {
    let prefix = host::proc_path(dir);
    let prefix: &CStr = prefix.as_c_str();
    let path = OsString::from_vec([prefix.to_bytes(), b"/", entry.as_bytes()].concat());
    match read(|value| rustix::fs::lgetxattr(path.as_os_str(), name, value)) {
        Err(Errno::EACCES) => {
            let file = rustix::fs::openat(dir, entry, STAND_IN, Mode::empty())?;
            xattr(file.as_fd(), layer, name)
        }
        other => other,
    }
}

fn read(get: impl Fn(&mut [u8]) -> Result<usize, HostErrno>) -> FsResult<Option<Vec<u8>>> {
    let mut value = [0; 64];
    match get(&mut value) {
        Ok(length) => return Ok(value.get(..length).map(<[u8]>::to_vec)),
        Err(HostErrno::RANGE) => {}
        Err(error) => return none_or(error),
    }
    let mut value = vec![0; LONGEST];
    match get(&mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(HostErrno::RANGE) => Err(Errno::EIO),
        Err(error) => none_or(error),
    }
}

fn none_or<T>(error: HostErrno) -> FsResult<Option<T>> {
    match error {
        HostErrno::NODATA | HostErrno::OPNOTSUPP | HostErrno::PERM => Ok(None),
        error => Err(error.into()),
    }
}

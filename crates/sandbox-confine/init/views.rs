//! Views of clones at the places of mounts: made read-only, replaced, laid over.
//!
//! What else is mounted beneath such a place, the covers of denied paths among it, is always there too: it is attached
//! to the new view before that can be seen, or where nobody is yet.

use crate::sys::files::{self, At};
use crate::sys::mounts::{self, Reach};
use crate::sys::{self, EINVAL, ENOENT, ENOMEM, ENOTDIR, Fd};
use crate::wire::{Text, View, texts};

/// The most places beneath one view where something else is mounted.
const MAX_BENEATH: usize = 64;

/// Something that is mounted beneath a view, as a detached copy.
type Kept<'a> = [Option<(&'a Text, Fd)>; MAX_BENEATH];

/// Makes the mounts at `places` read-only, or writable again: all of them or none.
pub fn freeze(places: &[u8], writable: bool) -> sys::Result<()> {
    for (done, place) in texts(places).enumerate() {
        if let Err(errno) = set_writable(place, writable) {
            // What this has done can be undone: nothing else changes those mounts.
            for place in texts(places).take(done) {
                let _ = set_writable(place, !writable);
            }
            return Err(errno);
        }
    }
    Ok(())
}

fn set_writable(place: &Text, writable: bool) -> sys::Result<()> {
    let mount = files::open_place(At::Here, place)?;
    if !files::is_mount_root(&mount)? {
        return Err(EINVAL);
    }
    mounts::set_writable(&mount, writable)
}

/// Puts `overlay` in the place of what is mounted there; false where this kernel cannot, and nothing has changed.
pub fn replace(view: &View<'_>, overlay: &Fd) -> sys::Result<bool> {
    let place = files::open_place(At::Here, view.at)?;
    let kept = keep(view)?;
    // Beneath the old one, which is seen until all is there.
    match mounts::attach_beneath(overlay, &place) {
        Ok(()) => {}
        // Before Linux 6.5.
        Err(EINVAL) => return Ok(false),
        Err(errno) => return Err(errno),
    }
    for (path, tree) in kept.iter().flatten() {
        let rest = path.to_bytes_with_nul().get(view.at.count_bytes() + 1..);
        let rest = Text::from_bytes_with_nul(rest.unwrap_or_default()).map_err(|_| EINVAL)?;
        attach(tree, At::Dir(overlay), rest)?;
    }
    drop(place);
    sys::detach(view.at)?;
    Ok(true)
}

/// Attaches `overlay` on top of what is mounted there, in a mount namespace in which nobody else is yet.
pub fn lay_over(view: &View<'_>, overlay: &Fd) -> sys::Result<()> {
    let kept = keep(view)?;
    let place = files::open_place(At::Here, view.at)?;
    mounts::attach(overlay, &place)?;
    kept.iter()
        .flatten()
        .try_for_each(|(path, tree)| attach(tree, At::Here, path))
}

/// Copies of what is mounted beneath a view.
fn keep<'a>(view: &View<'a>) -> sys::Result<Kept<'a>> {
    let mut kept = [const { None }; MAX_BENEATH];
    let mut count = 0;
    for path in texts(view.beneath) {
        let place = match files::open_place(At::Here, path) {
            Ok(place) => place,
            // It was not there to be covered.
            Err(ENOENT | ENOTDIR) => continue,
            Err(errno) => return Err(errno),
        };
        if files::is_mount_root(&place)? {
            *kept.get_mut(count).ok_or(ENOMEM)? = Some((path, mounts::copy_tree(&place, Reach::Tree)?));
            count += 1;
        }
    }
    Ok(kept)
}

fn attach(tree: &Fd, at: At<'_>, path: &Text) -> sys::Result<()> {
    match files::open_place(at, path) {
        Ok(place) => mounts::attach(tree, &place),
        // It has been removed, so there is nothing to be covered.
        Err(ENOENT | ENOTDIR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

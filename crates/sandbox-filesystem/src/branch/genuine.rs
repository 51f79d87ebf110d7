//! What branches are kept in is made of directories and files, never of links: one would lead a mount or a write
//! elsewhere.

use std::io;
use std::path::Path;

use sandbox_types::BranchName;

use super::error::BranchError;
use super::layer::LayerDir;
use super::manifest::Manifest;
use super::place::Places;

/// Looks at every name that is used on the way to what a branch holds.
pub(crate) fn check(places: &Places, name: &BranchName, manifest: &Manifest) -> Result<(), BranchError> {
    without_links(places.root())?;
    without_links(&places.branch(name))?;
    for id in manifest.layers.iter().chain(&manifest.snapshot) {
        let layer = LayerDir::new(&places.layers(), id);
        without_links(layer.path())?;
        for index in 0..manifest.extras.len() {
            without_links(layer.part(Some(index)).path())?;
        }
    }
    Ok(())
}

/// An error if it is no directory, or a link is directly in it. What is not there leads nowhere.
pub(crate) fn without_links(directory: &Path) -> Result<(), BranchError> {
    let problem = |source| BranchError::io("look into", directory)(source);
    let linked = |path: &Path| {
        Err(BranchError::Linked {
            path: path.to_owned(),
        })
    };
    match directory.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(found) if found.is_dir() => {}
        Ok(_) => return linked(directory),
        Err(error) => return Err(problem(error)),
    }
    for entry in std::fs::read_dir(directory).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        if entry.file_type().map_err(problem)?.is_symlink() {
            return linked(&entry.path());
        }
    }
    Ok(())
}

//! Several files and directories, put on the disk.

use std::fs::File;
use std::path::Path;
use std::thread;

use crate::error::VolumeError;

/// A thread that only waits.
const STACK: usize = 64 << 10;

/// Returns when all of them are on the disk, in whatever order they come there. They are asked for at the same time: a file
/// system with a journal then waits for the disk once, where one after the other would have it wait for each.
pub(crate) fn together(all: &[(&Path, File)]) -> Result<(), VolumeError> {
    let Some(((path, file), others)) = all.split_first() else {
        return Ok(());
    };
    thread::scope(|scope| {
        let waiting: Vec<_> = others
            .iter()
            .map(|(path, file)| {
                let thread = thread::Builder::new().name("sync".into()).stack_size(STACK);
                (path, file, thread.spawn_scoped(scope, || file.sync_all()))
            })
            .collect();
        let mut result = file.sync_all().map_err(VolumeError::io(path));
        for (path, file, thread) in waiting {
            let synced = match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(synced)) => synced,
                // No thread was to be had.
                Ok(Err(_)) | Err(_) => file.sync_all(),
            };
            result = result.and(synced.map_err(VolumeError::io(path)));
        }
        result
    })
}

/// A directory, to be put on the disk with the names that are in it.
pub(crate) fn directory(path: &Path) -> Result<(&Path, File), VolumeError> {
    let file = File::open(path).map_err(VolumeError::io(path))?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_synced_and_what_cannot_be_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let file = File::create(&path).unwrap();
        together(&[(&path, file), directory(place.path()).unwrap()]).unwrap();
        together(&[]).unwrap();
        let gone = place.path().join("gone");
        let error = directory(&gone).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
        // Nothing behind it can be synced.
        let pipe = Path::new("/proc/self/status");
        let error = together(&[
            directory(place.path()).unwrap(),
            (pipe, File::open(pipe).unwrap()),
        ]);
        assert!(error.unwrap_err().to_string().starts_with("/proc/self/status"));
    }
}

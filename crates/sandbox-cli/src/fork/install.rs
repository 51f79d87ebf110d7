//! A user's own copy of what programs are forked by: for editors that want to know a module, and compilers a header.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use sandbox::fork_runtime::FILES;

use crate::error::CliError;
use crate::output::note;

/// Writes the files to `directory`, which is made where it is missing. What is there already is not touched.
pub(crate) fn into(directory: &Path) -> Result<(), CliError> {
    fs::create_dir_all(directory).map_err(at(directory))?;
    for (name, content) in FILES {
        let path = directory.join(name);
        match File::create_new(&path) {
            Ok(mut file) => file.write_all(content).map_err(at(&path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is(&path, content) => {}
            Err(error) => return Err(at(&path)(error)),
        }
        note(path.display());
    }
    Ok(())
}

fn is(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|found| found == content)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CliError {
    move |source| CliError::File {
        path: path.to_owned(),
        source,
    }
}

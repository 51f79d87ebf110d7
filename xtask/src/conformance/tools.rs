//! pjdfstest and fsx.

use std::path::PathBuf;

use crate::{
    error::Result,
    installed,
    setup::{self, Need},
};

/// Where they are.
pub(super) struct Tools {
    pub(super) pjdfstest: PathBuf,
    pub(super) fsx: PathBuf,
}

/// In the versions whose output is read here.
pub(super) fn ensure() -> Result<Tools> {
    setup::ensure(&[Need::Conformance])?;
    Ok(Tools {
        pjdfstest: installed::ensure("pjdfstest", "0.2.2")?,
        fsx: installed::ensure("fsx", "0.3.2")?,
    })
}

//! Figures for programs.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};

/// Writes `figures` to the file that was asked for, or as the last line.
pub(super) fn write(to: Option<&Option<PathBuf>>, figures: &Value) -> Result<()> {
    match to {
        None => Ok(()),
        Some(None) => {
            println!("{figures}");
            Ok(())
        }
        Some(Some(file)) => fs::write(file, format!("{figures:#}\n")).map_err(Error::io(file)),
    }
}

//! Where what outlives a process is kept.

use std::path::PathBuf;

/// The state directory: `$SANDBOX_HOME`, `$XDG_STATE_HOME/sandbox` or `~/.local/state/sandbox`.
///
/// None where none of the three variables says where.
pub fn state_directory() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("SANDBOX_HOME")
        .or_else(|| variable("XDG_STATE_HOME").map(|path| path.join("sandbox")))
        .or_else(|| variable("HOME").map(|path| path.join(".local/state/sandbox")))
}

//! Causes by name, and remedies.

use sandbox_types::Note;

use crate::host::NoNamespaces;

/// Why there are no namespaces here, and what would change that.
pub(crate) fn namespaces_note(cause: &NoNamespaces) -> Note {
    let error = std::io::Error::from_raw_os_error(cause.errno);
    Note {
        what: format!("no namespaces: {}: {error}", cause.step),
        hint: None,
    }
}

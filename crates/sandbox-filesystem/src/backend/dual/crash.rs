//! Places where tests end the process as a crash would.

/// Does nothing.
#[cfg(not(test))]
pub(super) fn crash_point(_name: &str) {}

/// Every name, for tests to go through.
#[cfg(test)]
pub(super) const POINTS: &[&str] = &[
    "copy: staged",
    "copy: indexed",
    "copy: impure",
    "copy: in place",
    "copy: dir staged",
    "copy: dir in place",
    "name: linked",
    "name: in place",
    "complete: opaque",
    "create: staged",
    "create: in place",
    "remove: attributes",
    "remove: whiteout staged",
    "remove: moved",
    "remove: cleared",
    "remove: done",
    "rename: cleared",
    "rename: prepared",
    "rename: linked",
    "rename: whiteout in place",
    "rename: exchanged",
    "rename: done",
];

/// Ends the process where it was told to.
#[cfg(test)]
pub(super) fn crash_point(name: &'static str) {
    crate::backend::testing::crash::pass(POINTS, name);
}

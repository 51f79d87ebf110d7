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
    "copy: renamed",
    "copy: dir staged",
    "copy: dir renamed",
    "name: linked",
    "names: unmarked",
    "complete: opaque",
    "complete: cleared",
    "create: staged",
    "create: in place",
    "remove: whiteout staged",
    "remove: done",
    "remove: moved",
    "rename: prepared",
    "rename: moved",
    "rename: whiteout unlinked",
];

/// Ends the process where it was told to.
#[cfg(test)]
pub(super) fn crash_point(name: &'static str) {
    crate::backend::testing::crash::pass(POINTS, name);
}

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

/// `NAME:N`: the process is killed when it passes that place for the Nth time.
#[cfg(test)]
pub(super) const KILL_AT: &str = "SANDBOX_TEST_OVERLAY_KILL_AT";

/// Does what the variable says.
#[cfg(test)]
pub(super) fn crash_point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    static KILL: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let wanted = std::env::var(KILL_AT).ok()?;
        let (name, count) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    assert!(POINTS.contains(&name), "{name} is not listed");
    if let Some((wanted, count)) = &*KILL
        && wanted == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
    }
}

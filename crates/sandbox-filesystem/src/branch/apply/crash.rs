//! Places where tests end the process as a crash would.

/// Does nothing.
#[cfg(not(test))]
pub(super) fn crash_point(_name: &str) {}

/// Every name, for tests to go through.
#[cfg(test)]
pub(super) const POINTS: &[&str] = &[
    "prepared",
    "slots made",
    "entry staged",
    "staged",
    "applying",
    "opened",
    "step done",
    "stepped",
    "settling",
    "settled",
    "synced",
    "left written",
    "done",
    "slots removed",
    "rolled-back",
    "restaged",
    "undoing",
    "undone",
];

/// Kills the process when `SANDBOX_TEST_CRASH` is `NAME:N` and this is the Nth time that `name` is passed.
#[cfg(test)]
pub(super) fn crash_point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    static WANTED: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let wanted = std::env::var("SANDBOX_TEST_CRASH").ok()?;
        let (name, count) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is not listed");
    if let Some((wanted, count)) = &*WANTED
        && wanted == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
    }
}

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

/// `NAME:N`: the process is killed when it passes that place for the Nth time.
#[cfg(test)]
pub(super) const KILL_AT: &str = "SANDBOX_TEST_KILL_AT";

/// `NAME`: the process says `<NAME>` when it passes that place.
#[cfg(test)]
pub(super) const SAY_AT: &str = "SANDBOX_TEST_SAY_AT";

/// Does what the two variables say.
#[cfg(test)]
pub(super) fn crash_point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    static KILL: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let wanted = std::env::var(KILL_AT).ok()?;
        let (name, count) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static SAY: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(SAY_AT).ok());
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    debug_assert!(POINTS.contains(&name), "{name} is not listed");
    if SAY.as_deref() == Some(name) {
        println!("<{name}>");
    }
    if let Some((wanted, count)) = &*KILL
        && wanted == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
    }
}

//! What the figures were measured on, and whether it was idle.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::account::Account;

/// With less of the load average the machine counts as idle.
const IDLE: f64 = 0.5;
const PATIENCE: Duration = Duration::from_mins(5);

/// The conditions of a measurement.
pub(super) struct Machine {
    kernel: String,
    cpus: usize,
    load: f64,
    user: String,
    uid: u32,
}

/// Whether to wait for the other programs of this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quiet {
    Wait,
    GoAhead,
}

impl Machine {
    pub(super) fn look(account: &Account, quiet: Quiet) -> Self {
        if quiet == Quiet::Wait {
            wait_until_idle();
        }
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            kernel: kernel.trim().to_owned(),
            cpus: cpus(),
            load: load().unwrap_or(f64::NAN),
            user: account.name.clone(),
            uid: account.uid,
        }
    }

    pub(super) fn print(&self) {
        let Self {
            kernel,
            cpus,
            load,
            user,
            uid,
        } = self;
        println!("as {user} (uid {uid}), Linux {kernel}, {cpus} CPUs, load average {load:.2} before");
    }

    pub(super) fn json(&self) -> Value {
        json!({ "user": self.user, "uid": self.uid, "kernel": self.kernel, "cpus": self.cpus,
                "load_before": self.load })
    }
}

pub(super) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn wait_until_idle() {
    let deadline = Instant::now() + PATIENCE;
    if load().is_some_and(|load| load > IDLE) {
        println!("waiting up to {PATIENCE:?} for a load average of {IDLE} or less (--busy does not wait)");
    }
    while load().is_some_and(|load| load > IDLE) && Instant::now() < deadline {
        thread::sleep(Duration::from_secs(2));
    }
}

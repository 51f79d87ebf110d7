//! The end of a run: what is left in the pipes, what the accounts say, and the result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbox_types::{EnforcementReport, MeasuredBy, Outcome, RunResult, Stream, Usage};

use super::limits::{micros, monotonic_us};
use super::{Process, Shared};
use crate::cgroup::{Cgroup, Controller, Version};
use crate::error::RunError;
use crate::streams::{Drain, Meter};
use crate::verdict::Evidence;

impl Process {
    /// The cgroup of the sandbox, while there is one.
    pub(super) fn cgroup(&self) -> Option<Arc<Cgroup>> {
        match (&self.owned, &self.shared) {
            (Some(owned), _) => owned.cgroup.clone(),
            (None, Some(shared)) => shared.cgroup.upgrade(),
            (None, None) => None,
        }
    }

    /// Whether the caller has ended the whole sandbox.
    pub(super) fn is_cancelled(&self) -> bool {
        let is_cancelled = |shared: &Shared| shared.is_cancelled.load(Ordering::Relaxed);
        self.shared.as_ref().is_some_and(is_cancelled)
    }

    /// Processes that the out-of-memory killer has ended, as far as that is evidence about this command: in a
    /// sandbox with others, only where it was killed itself.
    pub(super) fn oom_kills(&self) -> u64 {
        let usage = self.cgroup().as_deref().map(Cgroup::usage).unwrap_or_default();
        let kills = usage.oom_kills.unwrap_or(0);
        match &self.shared {
            None => kills,
            Some(shared) if self.end.and_then(|end| end.status) == Some(libc::SIGKILL) => {
                kills.saturating_sub(shared.oom_kills_before)
            }
            Some(_) => 0,
        }
    }

    /// Reads what is left in the pipes; the stream that has passed its limit.
    pub(super) fn drain_rest(&mut self) -> Result<Option<Stream>, RunError> {
        // Whatever is still in the pipes belongs to the result. A relay is waited for here, since no limit
        // can pass any more.
        for drain in self.drains.iter_mut().flatten() {
            drain.finish().map_err(|source| RunError::Io {
                what: "read the command's output",
                source,
            })?;
        }
        Ok(self
            .drains
            .iter()
            .flatten()
            .find(|drain| drain.is_violated())
            .map(|drain| drain.stream)
            .or_else(|| self.violated_pipe()))
    }

    pub(super) fn finish(&mut self) -> Result<RunResult, RunError> {
        let late = self.drain_rest()?;
        if let Some(stream) = late {
            self.killed_for.get_or_insert(Outcome::Output { stream });
        }
        let io = |source| RunError::Io {
            what: "wait4",
            source,
        };
        let is_init_dead = self.is_init_dead;
        let dead = self.owned.as_mut().filter(|_| is_init_dead);
        let reaped = dead.map(|owned| owned.init.reap()).transpose().map_err(io)?;
        let cgroup = self.owned.as_ref().and_then(|owned| owned.cgroup.as_deref());
        let counters = cgroup.map(Cgroup::usage).unwrap_or_default();
        let end = self.end.unwrap_or_default();
        let is_cut = end.status == Some(libc::SIGKILL) && self.channel.is_cut();
        if is_cut || (end.status.is_none() && self.is_cancelled()) {
            self.killed_for.get_or_insert(Outcome::Cancelled);
        }
        let evidence = Evidence {
            status: end.status,
            killed_for: self.killed_for,
            is_output_violated: late.is_some(),
            oom_kills: self.oom_kills(),
            fork_refusals: counters.fork_refusals.unwrap_or(0),
            cpu: end.user + end.system,
            cpu_rlimit: self.watch.cpu_rlimit,
            file_size: self.watch.file_size,
        };
        let outcome = evidence.verdict().ok_or(RunError::InitDied)?;
        let by = |controller| match cgroup.and_then(|cgroup| cgroup.version(controller)) {
            Some(Version::V2) => MeasuredBy::Cgroup2,
            Some(Version::V1) => MeasuredBy::Cgroup1,
            None => MeasuredBy::Rusage,
        };
        let stray = |total: Duration, init: Duration, own: Duration| total.saturating_sub(init).max(own);
        let is_namespace = self.owned.as_ref().map(|owned| owned.init.kill_is_enough());
        let (user, system) = match (is_namespace, reaped) {
            (Some(true), _) if end.status.is_some() => {
                (end.others_user.max(end.user), end.others_system.max(end.system))
            }
            (_, Some(total)) => (
                stray(total.user, end.others_user, end.user),
                stray(total.system, end.others_system, end.system),
            ),
            (_, None) => (end.user, end.system),
        };
        let end_us = if end.status.is_some() {
            end.time_us
        } else {
            monotonic_us()
        };
        let [stdout, stderr] = std::mem::take(&mut self.drains);
        let [piped_out, piped_err] = &self.meters;
        let bytes = |drain: &Option<Drain>, meter: &Option<Arc<Meter>>| {
            drain
                .as_ref()
                .map(Drain::bytes)
                .or(meter.as_ref().map(|meter| meter.bytes()))
                .unwrap_or(0)
        };
        let usage = Usage {
            wall_us: end_us.saturating_sub(self.started_us),
            user_us: counters.user_us.unwrap_or_else(|| micros(user)),
            system_us: counters.system_us.unwrap_or_else(|| micros(system)),
            peak_memory: counters
                .peak_memory
                .or((end.max_rss_kib > 0).then_some(end.max_rss_kib * 1024)),
            peak_processes: counters.peak_processes,
            stdout_bytes: bytes(&stdout, piped_out),
            stderr_bytes: bytes(&stderr, piped_err),
            cpu_measured_by: if counters.user_us.is_some() {
                by(Controller::Cpu)
            } else {
                MeasuredBy::Rusage
            },
            memory_measured_by: if counters.peak_memory.is_some() {
                by(Controller::Memory)
            } else {
                MeasuredBy::Rusage
            },
        };
        let truncated = [&stdout, &stderr].into_iter().flatten().any(Drain::is_truncated)
            || self.meters.iter().flatten().any(|meter| meter.is_cut());
        if self.is_inherited()
            && let Some(mut owned) = self.owned.take()
            && let Some(heir) = owned.heir.take()
        {
            heir.inherit(owned);
        }
        Ok(RunResult {
            outcome,
            usage,
            report: EnforcementReport::clone(&self.report),
            stdout: stdout.map(Drain::into_kept).unwrap_or_default(),
            stderr: stderr.map(Drain::into_kept).unwrap_or_default(),
            truncated,
        })
    }
}

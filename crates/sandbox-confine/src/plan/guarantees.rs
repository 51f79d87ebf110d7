//! What a policy asks for, what holds it on this host, and whether that is enough.

use std::collections::BTreeSet;
use std::path::Path;

use sandbox_types::guarantee::judge;
use sandbox_types::policy::NetworkMode;
use sandbox_types::{
    EnforcementReport, Guarantee, GuaranteeReport, Mechanism, Note, Policy, Require, Status,
};

use super::limits::Limits;
use super::{Place, View, is_host_root};
use crate::error::PrepareError;
use crate::host::Host;

/// The report of a plan.
pub(super) fn report(
    policy: &Policy,
    host: &Host,
    place: Place,
    view: &View,
    limits: &Limits,
) -> EnforcementReport {
    let mut held = held(policy, host, place);
    held.extend(&limits.held);
    let guarantees: Vec<_> = asked(policy, view)
        .into_iter()
        .map(|guarantee| {
            let verdict = judge(guarantee, &held);
            GuaranteeReport {
                guarantee,
                status: verdict.status,
                by: verdict.by,
                missing: verdict.missing,
                says: verdict.says.to_owned(),
            }
        })
        .collect();
    let full = guarantees.iter().all(|entry| entry.status == Status::Enforced);
    EnforcementReport {
        full,
        guarantees,
        notes: notes(policy, host, view),
    }
}

/// Refuses what `require` does not accept.
pub(super) fn check(require: Require, report: &EnforcementReport) -> Result<(), PrepareError> {
    let acceptable = match require {
        Require::BestEffort => return Ok(()),
        Require::Guaranteed => Status::Degraded,
        Require::Full => Status::Enforced,
    };
    let missing: Vec<_> = report
        .guarantees
        .iter()
        .filter(|entry| entry.status < acceptable)
        .map(|entry| (entry.guarantee.title(), entry.missing.clone()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(PrepareError::Unavailable {
            report: Box::new(report.clone()),
            missing,
        })
    }
}

/// The guarantees that this policy asks for.
fn asked(policy: &Policy, view: &View) -> Vec<Guarantee> {
    let limits = &policy.limits;
    let optional = [
        (Guarantee::FilesDeny, !view.masks.is_empty()),
        (Guarantee::NetworkNone, policy.network.mode == NetworkMode::None),
        (Guarantee::NetworkPorts, policy.network.ports_ruled()),
        (Guarantee::Memory, limits.memory.is_some()),
        (Guarantee::Processes, limits.processes.is_some()),
        (Guarantee::CpuTime, limits.cpu_time.is_some()),
        (Guarantee::WallTime, limits.wall_time.is_some()),
        (Guarantee::Output, limits.output.is_some()),
        (
            Guarantee::Resources,
            limits.open_files.is_some() || limits.file_size.is_some(),
        ),
    ];
    let unasked: BTreeSet<_> = optional
        .into_iter()
        .filter(|(_, asked)| !asked)
        .map(|(guarantee, _)| guarantee)
        .collect();
    Guarantee::ALL
        .iter()
        .copied()
        .filter(|guarantee| !unasked.contains(guarantee))
        .collect()
}

/// The mechanisms that this plan uses.
fn held(policy: &Policy, host: &Host, place: Place) -> BTreeSet<Mechanism> {
    let mut held = BTreeSet::from([
        Mechanism::Seccomp,
        Mechanism::NoNewPrivileges,
        Mechanism::DroppedCapabilities,
    ]);
    // Below ABI 3 Landlock lets files be truncated, which only a read-only root makes up for.
    let least = if place == Place::Namespaces { 1 } else { 3 };
    let by_abi = [
        (least, Mechanism::Landlock),
        (4, Mechanism::LandlockNet),
        (6, Mechanism::LandlockScope),
        (9, Mechanism::LandlockUnix),
    ];
    held.extend(
        by_abi
            .into_iter()
            .filter(|(abi, _)| host.landlock_abi >= *abi && !super::landlock::gives_way(policy, place))
            .map(|(_, mechanism)| mechanism),
    );
    match place {
        Place::Namespaces => {
            held.extend([
                Mechanism::UserNamespace,
                Mechanism::PrivateRoot,
                Mechanism::PidNamespace,
                Mechanism::IpcNamespace,
                Mechanism::UtsNamespace,
                Mechanism::CgroupNamespace,
            ]);
            if policy.network.mode == NetworkMode::None {
                held.insert(Mechanism::NetworkNamespace);
            }
        }
        Place::InPlace => {
            held.extend([Mechanism::Subreaper, Mechanism::SeccompStrict]);
        }
    }
    held
}

/// What a policy asks for beyond the defaults and has no effect without namespaces.
fn lost_in_place(policy: &Policy) -> Vec<Note> {
    let default = Policy::default();
    let mut lost = Vec::new();
    if policy.process.hostname != default.process.hostname {
        let name = &policy.process.hostname;
        lost.push(format!(
            "the host's name stays: {name:?} takes a namespace of its own"
        ));
    }
    if policy.filesystem.scratch != default.filesystem.scratch {
        let size = policy.filesystem.scratch;
        lost.push(format!(
            "the private home and TMPDIR are a directory of the host, which {size} does not bound"
        ));
    }
    lost.into_iter().map(|what| Note { what, hint: None }).collect()
}

fn notes(policy: &Policy, host: &Host, view: &View) -> Vec<Note> {
    let mut notes = view.notes.clone();
    if let Some(cause) = &host.no_namespaces {
        notes.push(crate::doctor::namespaces_note(cause));
        notes.extend(lost_in_place(policy));
    }
    if host.landlock_abi == 0 {
        notes.push(Note {
            what: "this kernel has no Landlock, or it is not enabled".into(),
            hint: Some("Linux 5.13 or later with landlock in the lsm= boot parameter".into()),
        });
    }
    if is_host_root(policy, host) && host.has_the_hosts_users() {
        notes.push(Note {
            what: "the command is user 0 of the host, without its capabilities".into(),
            hint: Some("to run it as somebody else: --user UID".into()),
        });
    }
    let grants = policy.filesystem.read.iter().chain(&policy.filesystem.write);
    if grants.into_iter().any(|path| path == Path::new("/")) {
        notes.push(Note {
            what: "a grant of / leaves out /dev, /proc, /run, /sys and /tmp".into(),
            hint: Some("to show one of them, name it".into()),
        });
    }
    if policy.syscalls.nested {
        let what = "nested: the command may make namespaces and mounts of its own, a larger part of the kernel, \
                    and there is no Landlock behind the private root";
        let hint = "as root, programs that make namespaces need another user: --user UID";
        notes.push(Note {
            what: what.into(),
            hint: is_host_root(policy, host).then(|| hint.into()),
        });
    }
    notes
}

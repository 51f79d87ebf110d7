//! Hosts that have less, emulated by a system call filter on this thread and all it starts.

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

/// A host on which nobody makes namespaces: Docker's default profile, or Kubernetes' RuntimeDefault.
pub(crate) fn deny_namespaces() {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).expect("libseccomp");
    let eperm = ScmpAction::Errno(libc::EPERM);
    let any_namespace = u64::from(0x7e02_0000_u32);
    for bit in (0..32)
        .map(|bit| 1_u64 << bit)
        .filter(|bit| any_namespace & bit != 0)
    {
        let has = ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(bit), bit);
        filter
            .add_rule_conditional(eperm, call("clone"), &[has])
            .expect("a rule");
    }
    for name in [
        "unshare",
        "setns",
        "mount",
        "fsopen",
        "open_tree",
        "pivot_root",
        "chroot",
    ] {
        filter.add_rule(eperm, call(name)).expect("a rule");
    }
    filter
        .add_rule(ScmpAction::Errno(libc::ENOSYS), call("clone3"))
        .expect("a rule");
    filter.load().expect("loads");
}

/// A kernel without Landlock.
pub(crate) fn deny_landlock() {
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).expect("libseccomp");
    for number in [444, 445, 446] {
        filter
            .add_rule(ScmpAction::Errno(libc::ENOSYS), ScmpSyscall::from(number))
            .expect("a rule");
    }
    filter.load().expect("loads");
}

fn call(name: &str) -> ScmpSyscall {
    ScmpSyscall::from_name(name).expect("libseccomp knows it")
}

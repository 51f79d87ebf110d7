//! Tests on a system call's arguments, and sets of them.
//!
//! The only test is `argument & mask == value`: it can ignore the bits that the kernel ignores, so garbage in
//! the upper half of a 64-bit register decides nothing. Cases of one call on one list never overlap with
//! different verdicts, so no result depends on the order in which libseccomp arranges them.

/// `argument & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument, from 0.
    pub(super) argument: u8,
    /// The bits that are compared.
    pub(super) mask: u64,
    /// What they must be.
    pub(super) value: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It is made.
    Allow,
    /// It fails with this errno, without being made.
    Errno(i32),
    /// The last list decides.
    Pass,
}

impl Verdict {
    /// The call is known and not allowed.
    pub(super) const NOT_PERMITTED: Self = Self::Errno(libc::EPERM);
}

/// Cases that share what becomes of a call when none of them holds: "any but these" is then as short to say as
/// "only these", although a condition can only be an equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    /// Families of sockets; others are not supported.
    Families,
    /// What is refused; the rest is allowed.
    Refusals,
    /// What is allowed; the rest is refused.
    Permissions,
}

impl List {
    /// In the order in which they stand in the program.
    pub(super) const ALL: [Self; 3] = [Self::Families, Self::Refusals, Self::LAST];

    /// Where `Pass` leads.
    pub(super) const LAST: Self = Self::Permissions;

    /// What becomes of a call when no case holds.
    pub(super) const fn otherwise(self) -> Verdict {
        match self {
            Self::Families => Verdict::Errno(libc::EAFNOSUPPORT),
            Self::Refusals => Verdict::Allow,
            Self::Permissions => Verdict::NOT_PERMITTED,
        }
    }
}

/// One way to make a call: all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Where it stands.
    pub(super) list: List,
    /// What then happens.
    pub(super) verdict: Verdict,
    /// Empty: always.
    pub(super) when: Vec<Condition>,
}

impl Case {
    /// The call is made when `when` holds, and with other arguments is EPERM.
    pub(super) fn allow(when: impl Into<Vec<Condition>>) -> Self {
        Self {
            list: List::Permissions,
            verdict: Verdict::Allow,
            when: when.into(),
        }
    }

    /// The call fails when `when` holds, and with other arguments is EPERM.
    pub(super) fn errno(errno: i32, when: impl Into<Vec<Condition>>) -> Self {
        Self {
            verdict: Verdict::Errno(errno),
            ..Self::allow(when)
        }
    }

    /// The call is EPERM when `when` holds, and with other arguments is made.
    pub(super) fn refuse(when: impl Into<Vec<Condition>>) -> Self {
        Self {
            list: List::Refusals,
            verdict: Verdict::NOT_PERMITTED,
            when: when.into(),
        }
    }

    /// The call is on a socket family that the permissions decide on; another is EAFNOSUPPORT.
    pub(super) fn family(when: Condition) -> Self {
        Self {
            list: List::Families,
            verdict: Verdict::Pass,
            when: vec![when],
        }
    }
}

/// What the kernel keeps of an argument declared `int` or `unsigned int`.
const LOW_HALF: u64 = 0xFFFF_FFFF;

/// An `int` argument equals `value`.
pub(super) fn int_is(argument: u8, value: u32) -> Condition {
    Condition {
        argument,
        mask: LOW_HALF,
        value: u64::from(value),
    }
}

/// An `int` argument, without the bits in `ignored`, equals `value`.
pub(super) fn int_is_ignoring(argument: u8, ignored: u32, value: u32) -> Condition {
    Condition {
        argument,
        mask: u64::from(!ignored),
        value: u64::from(value),
    }
}

/// None of the bits in `bits` is set.
pub(super) fn bits_clear(argument: u8, bits: u64) -> Condition {
    Condition {
        argument,
        mask: bits,
        value: 0,
    }
}

/// Conditions of which exactly one holds when an `int` argument is none of `values`, and none otherwise.
///
/// A filter has "equals under a mask" but no "differs under a mask". So the numbers are taken as a binary tree,
/// from the top bit down: each subtree without a value in it is one condition.
pub(super) fn int_is_none_of(argument: u8, values: &[u32]) -> Vec<Condition> {
    let mut found = Vec::new();
    let mut open = vec![(0_u32, 0_u32)];
    while let Some((mask, prefix)) = open.pop() {
        if !values.iter().any(|value| value & mask == prefix) {
            found.push(Condition {
                argument,
                mask: u64::from(mask),
                value: u64::from(prefix),
            });
        } else if mask != u32::MAX {
            let bit = 1 << (31 - mask.count_ones());
            open.extend([(mask | bit, prefix), (mask | bit, prefix | bit)]);
        }
    }
    found
}

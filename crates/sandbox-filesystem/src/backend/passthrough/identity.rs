//! The map between the ids that the host has and those that are served.

use crate::fs::{Errno, FsResult};

/// What an id without a counterpart is shown as (`/proc/sys/fs/overflowuid`).
const OVERFLOW: u32 = 65534;

/// A range of ids: `count` of them from `served` on are those from `host` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first one, as clients see it.
    pub served: u32,
    /// The first one, as the host knows it.
    pub host: u32,
    /// How many.
    pub count: u32,
}

/// Which of the host's ids are which served ones. Where stat data is virtualized it concerns only files that nothing
/// was recorded of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentityMap {
    users: Vec<IdRange>,
    groups: Vec<IdRange>,
}

impl IdentityMap {
    /// Every id is itself.
    pub fn same() -> Self {
        Self::default()
    }

    /// The server's own user and group are shown as these.
    pub fn own_as(uid: u32, gid: u32) -> Self {
        let users = vec![IdRange {
            served: uid,
            host: rustix::process::geteuid().as_raw(),
            count: 1,
        }];
        let groups = vec![IdRange {
            served: gid,
            host: rustix::process::getegid().as_raw(),
            count: 1,
        }];
        Self { users, groups }
    }

    /// These ranges; what is in none of them is shown as 65534 and can own nothing.
    pub fn ranges(users: impl Into<Vec<IdRange>>, groups: impl Into<Vec<IdRange>>) -> Self {
        Self {
            users: users.into(),
            groups: groups.into(),
        }
    }

    /// The first range that overlaps another, or wraps.
    pub(in crate::backend) fn conflict(&self) -> Option<IdRange> {
        conflict(&self.users).or_else(|| conflict(&self.groups))
    }

    pub(in crate::backend) fn served_user(&self, host: u32) -> u32 {
        served(&self.users, host)
    }

    pub(in crate::backend) fn served_group(&self, host: u32) -> u32 {
        served(&self.groups, host)
    }

    /// `EINVAL` where the host has none.
    pub(in crate::backend) fn host_user(&self, served: u32) -> FsResult<u32> {
        host(&self.users, served)
    }

    pub(in crate::backend) fn host_group(&self, served: u32) -> FsResult<u32> {
        host(&self.groups, served)
    }
}

fn served(ranges: &[IdRange], id: u32) -> u32 {
    if ranges.is_empty() {
        return id;
    }
    ranges
        .iter()
        .find_map(|range| Some(range.served + within(range.host, range.count, id)?))
        .unwrap_or(OVERFLOW)
}

fn host(ranges: &[IdRange], id: u32) -> FsResult<u32> {
    if ranges.is_empty() {
        return Ok(id);
    }
    ranges
        .iter()
        .find_map(|range| Some(range.host + within(range.served, range.count, id)?))
        .ok_or(Errno::EINVAL)
}

fn within(first: u32, count: u32, id: u32) -> Option<u32> {
    id.checked_sub(first).filter(|offset| *offset < count)
}

fn conflict(ranges: &[IdRange]) -> Option<IdRange> {
    let bad = |(index, range): (usize, &IdRange)| {
        let wraps = range.count == 0
            || range.host.checked_add(range.count).is_none()
            || range.served.checked_add(range.count).is_none();
        let overlaps = ranges.iter().skip(index + 1).any(|other| {
            meet(range.host, range.count, other.host, other.count)
                || meet(range.served, range.count, other.served, other.count)
        });
        (wraps || overlaps).then_some(*range)
    };
    ranges.iter().enumerate().find_map(bad)
}

fn meet(first: u32, count: u32, other: u32, other_count: u32) -> bool {
    u64::from(first) < u64::from(other) + u64::from(other_count)
        && u64::from(other) < u64::from(first) + u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(users: &[(u32, u32, u32)]) -> IdentityMap {
        let ranges: Vec<_> = users
            .iter()
            .map(|&(served, host, count)| IdRange { served, host, count })
            .collect();
        IdentityMap::ranges(ranges.clone(), ranges)
    }

    #[test]
    fn ids_in_a_range_go_both_ways_and_others_own_nothing() {
        let map = map(&[(0, 1000, 1), (1, 100_000, 65_535)]);
        assert_eq!(map.served_user(1000), 0);
        assert_eq!(map.host_user(0), Ok(1000));
        assert_eq!(map.host_group(1000), Ok(100_999));
        assert_eq!(map.served_group(100_999), 1000);
        assert_eq!(map.served_user(5), 65534);
        assert_eq!(map.host_user(70_000), Err(Errno::EINVAL));
        assert_eq!(IdentityMap::same().served_user(7), 7);
    }

    #[test]
    fn ranges_that_overlap_or_wrap_are_found() {
        assert_eq!(map(&[(0, 1000, 1), (1, 100_000, 10)]).conflict(), None);
        for bad in [
            &[(0, 1000, 2), (5, 1001, 1)][..],
            &[(0, 10, 2), (1, 20, 1)],
            &[(0, u32::MAX, 2)],
            &[(0, 0, 0)],
        ] {
            assert!(map(bad).conflict().is_some(), "{bad:?}");
        }
    }
}

//! Whose files are shown as whose: `SERVED:HOST[:COUNT]`.

use sandbox::backend::passthrough::{IdRange, IdentityMap};

/// Options of a filesystem whose files have owners on this machine.
#[derive(Debug, clap::Args)]
pub(super) struct Ids {
    /// Files of user HOST on this machine belong to user SERVED, and of the COUNT - 1 that follow to those that follow; all
    /// others to nobody. Where owners are kept apart, it concerns files without one
    #[arg(long, value_name = "SERVED:HOST[:COUNT]", value_parser = range)]
    map_users: Vec<IdRange>,
    /// The same for groups
    #[arg(long, value_name = "SERVED:HOST[:COUNT]", value_parser = range)]
    map_groups: Vec<IdRange>,
}

impl Ids {
    pub(super) fn map(&self) -> IdentityMap {
        IdentityMap::ranges(self.map_users.clone(), self.map_groups.clone())
    }
}

fn range(text: &str) -> Result<IdRange, InvalidRange> {
    let mut parts = text.split(':').map(|part| part.parse().ok());
    let (served, host) = (parts.next().flatten(), parts.next().flatten());
    let count = parts.next().unwrap_or(Some(1));
    match (served, host, count, parts.next()) {
        (Some(served), Some(host), Some(count), None) => Ok(IdRange { served, host, count }),
        _ => Err(InvalidRange),
    }
}

/// What is none. The value is in clap's message.
#[derive(Debug, thiserror::Error)]
#[error("two or three numbers with colons between them are needed, as in 0:1000 or 0:100000:65536")]
struct InvalidRange;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_or_three_numbers_are_a_range_and_nothing_else_is() {
        let one = IdRange {
            served: 0,
            host: 1000,
            count: 1,
        };
        assert_eq!(range("0:1000").ok(), Some(one));
        let many = IdRange { count: 65536, ..one };
        assert_eq!(range("0:1000:65536").ok(), Some(many));
        for bad in ["", "0", "0:", "0:x", "0:1:2:3", "-1:0", "0:1:", "4294967296:0"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}

//! How many files this process may have open: as many as it may ask for are better than as many as its caller's shell was given.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Up to the hard limit, which takes no privilege; where it fails all the same, the limit is as it was.
pub(crate) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, most).ok();
}

//! Fixtures are directory trees with the texts of other hosts; live tests use this machine's cgroups and
//! skip where it has none.

mod fixtures;
mod live;
mod placement;

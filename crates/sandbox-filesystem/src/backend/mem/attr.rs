//! getattr, statx, setattr.

use std::time::Duration;

use super::clock::now;
use super::filesystem::MemFs;
use super::inode::{Inode, State};
use crate::fs::{Attr, FsResult, Ino, SetAttr, SetTime, Timestamp};

impl MemFs {
    pub(super) fn attributes(&self, ino: Ino) -> FsResult<(Attr, Duration)> {
        let inode = self.table.get(ino)?;
        let attr = inode.attr(&inode.read());
        Ok((attr, self.caching.attr))
    }

    pub(super) fn change_attributes(&self, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        let inode = self.table.get(ino)?;
        let mut state = inode.write();
        // The one part that can fail comes first.
        if let Some(size) = change.size {
            let grew_or_shrank = size != state.content()?.size();
            state.content()?.set_size(&self.space, size)?;
            if grew_or_shrank || change.mtime.is_none() {
                state.modified();
            }
        }
        self.change_owner(&inode, &mut state, change);
        if change.kill_privileges && !inode.is_directory() {
            self.kill_privileges(&mut state);
        }
        if let Some(mode) = change.mode {
            state.mode = mode & 0o7777;
            self.acl_follows_mode(&mut state);
        }
        change_times(&mut state, change);
        Ok((inode.attr(&state), self.caching.attr))
    }

    /// Content was written: setuid, setgid and capabilities go.
    pub(super) fn kill_privileges(&self, state: &mut State) {
        state.kill_privileges();
        self.drop_capabilities(state);
    }

    fn change_owner(&self, inode: &Inode, state: &mut State, change: &SetAttr) {
        if change.uid.is_none() && change.gid.is_none() {
            return;
        }
        state.uid = change.uid.unwrap_or(state.uid);
        state.gid = change.gid.unwrap_or(state.gid);
        // chown(2): those of a directory mean something else and stay.
        if !inode.is_directory() {
            self.kill_privileges(state);
        }
    }
}

fn change_times(state: &mut State, change: &SetAttr) {
    let now = now();
    if let Some(atime) = change.atime {
        state.atime = moment(atime, now);
    }
    if let Some(mtime) = change.mtime {
        state.mtime = moment(mtime, now);
    }
    state.ctime = change.ctime.unwrap_or(now);
}

fn moment(time: SetTime, now: Timestamp) -> Timestamp {
    match time {
        SetTime::Now => now,
        SetTime::At(time) => time,
    }
}

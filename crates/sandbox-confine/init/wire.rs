//! What the supervisor and init say to one another.
//!
//! Compiled twice: into init, which decodes, and into the library, which encodes (`src/wire.rs`). Both are
//! always of one build, so there is no version. Three things travel:
//! - the *setup* blob, in a sealed memfd: how to build the root ([`Op`]) and how to confine every command
//!   ([`Confinement`]);
//! - *messages* of fixed size ([`Message`]) on SEQPACKET sockets: requests and replies on the control
//!   socket, one more socket a command for its events;
//! - the *command* blob, in a memfd: what to execute ([`Exec`]).
//!
//! Nothing here comes from inside the sandbox. Decoding is total all the same: what is malformed is `None`.

// Named, because this file is a module in more than one place.
#[path = "wire/batch.rs"]
mod batch;

pub use batch::{Entry, Shape};

/// A message: a tag and its values. Unused values are zero.
pub type Message = [u64; 8];

/// The size of a message in bytes.
pub const MESSAGE_BYTES: usize = 64;

/// Control, to init: the identity maps are written. Value 1: namespaces (CLONE_NEW*) to make meanwhile.
pub const BEGIN: u64 = 6;
/// Control, to init: build the root. Value 1: see the `GO_` flags. Carries the set-up blob.
pub const GO: u64 = 1;
/// Control, to init: start a command. Value 1: see the `SPAWN_` flags. Carries [`SPAWN_FDS`] descriptors.
pub const SPAWN: u64 = 2;
/// Control, to init: stop every process inside, but for one whose pid inside is value 1, which may be 0 for none. Carries
/// a channel, on which it is answered by [`DONE`] or [`FAILED`]: several supervisors may share the control socket, and a
/// reply there would be anybody's.
pub const PAUSE: u64 = 3;
/// Control, to init: continue every process inside. Carries a channel, as [`PAUSE`] does.
pub const RESUME: u64 = 4;
/// Control, to init: tell the state. Carries a channel; the answer's value 1 is 1 after a [`PAUSE`].
pub const STATE: u64 = 8;
/// Control, to init: tell whether anybody is left of a command's process group, its pid being value 1. Carries a
/// channel; the answer's value 1 is 1 if so.
pub const GROUP: u64 = 9;
/// Control, to init: have a child stand by, behind every wall, that the next command is executed in. Carries a channel
/// and a command blob, of which the starting directory counts. The answer's value 1 is 0 where there is none, because
/// without a pid namespace it could outlive init.
pub const STAND_BY: u64 = 10;
/// Control, to init: make the mounts at the places in a blob ([`texts`]) read-only, or writable again where value 1 is 1:
/// all of them or none. Carries a channel and the blob. EBUSY: a file is open for writing there.
pub const FREEZE: u64 = 11;
/// Control, to init: put overlays in the place of what is mounted where the views of a blob are ([`Cursor::views`]).
/// Carries a channel, the blob and the overlays. The answer's value 1 is 0 where this kernel cannot, and all is as it
/// was.
pub const REPLACE: u64 = 12;
/// Control, to init: kill everything inside, go on until the last command's end is told.
pub const END: u64 = 7;
/// Channel, to init: send signal (value 1) to the command's process group.
pub const SIGNAL: u64 = 5;

/// Control, from init: the root is built.
pub const READY: u64 = 16;
/// Control, from init: a FUSE filesystem is mounted; carries the device. Sent while the root is built.
pub const DEVICE: u64 = 23;
/// Control, from init: a tree of the host that views of clones are made of; carries it. Sent while the root is built.
pub const TREE: u64 = 24;
/// From init: it did not work. Values: what ([`Stage`] or the index of an [`Op`]), errno.
pub const FAILED: u64 = 17;
/// Channel of a request, from init: it is carried out.
pub const DONE: u64 = 18;
/// Channel, from init: exec succeeded. Values: pid inside, monotonic time in µs. With a terminal, carries
/// its master.
pub const STARTED: u64 = 19;
/// Channel, from init: the command was stopped by signal (value 1).
pub const STOPPED: u64 = 20;
/// Channel, from init: the command continues.
pub const CONTINUED: u64 = 21;
/// Channel, from init: the command ended. Values: wait status, monotonic time in µs, user µs, system µs,
/// largest resident set in KiB; then user and system µs, of the last or sole command of a pid namespace those of
/// everybody who was inside, else those of init itself.
pub const EXITED: u64 = 22;

/// Control, to a keeper, first of all: keep the clones of the template with this pid (value 1). Carries the keeper's end
/// of the template's socket.
pub const KEEP: u64 = 32;
/// Control, to a keeper: so many clones (value 1) follow, the template may be silent for so many ms (value 2), and each has
/// of its own what value 3 says ([`Shape`]). Carries the streams that all have in common. Keeper to template: clones follow;
/// value 1 is 1 where clones may have views of their own, since when other mounts are in their places; value 3 and the
/// descriptors are the same.
pub const BATCH: u64 = 33;
/// Control, to a keeper: make so many clones (value 2), numbered from value 1 on, [`Shape::at_once`] at most. Carries for
/// each its channel, the streams of its own, and what it waits at before the caller's function, where it is to: until
/// something can be read from that.
pub const FORK: u64 = 34;
/// Control, to a keeper: what views of clones are made of. Carries trees of the host, which are called `/0`, `/1` and so
/// on from now on.
pub const TREES: u64 = 43;
/// Control, to a keeper: make overlays that are only read. Carries a channel and a blob of views; the answer carries the
/// overlays.
pub const SHOW: u64 = 44;
/// Control, to a keeper: the views of the clones that follow. Carries the blob: each clone with views takes the next of
/// it.
pub const VIEWS: u64 = 45;
/// Control, to a keeper: no more of a batch is to come.
pub const BATCH_REST: u64 = 41;
/// Keeper to template: that was the batch. Back from the template: whoever forked for it has ended, so that its clones are
/// the keeper's children.
pub const BATCH_END: u64 = 42;
/// Keeper to template: be forked so often. Values: an [`Entry`] for each clone, its number in it. Carries for each its pid
/// namespace, the streams of its own, and, where it has them, its mount namespace and what it waits at.
pub const CLONE: u64 = 35;
/// Template to keeper: an [`Entry`] for each of those, with its pid, or with an errno where there is none.
pub const FORKED: u64 = 36;
/// Control, from a keeper: a batch is done. Values: how many clones run, how many do not, the first errno of those; 1
/// where the template has taken too long and was ended.
pub const BATCH_DONE: u64 = 37;
/// Channel of a clone, to a keeper: stop all that is in its pid namespace, or continue it. Carries a channel for
/// [`DONE`].
pub const CLONE_PAUSE: u64 = 38;
/// See [`CLONE_PAUSE`].
pub const CLONE_RESUME: u64 = 39;
/// Channel of a clone, to a keeper: tell its pid outside. Carries a channel for [`DONE`], which carries a pidfd.
pub const CLONE_PID: u64 = 40;

/// To a template that is a program, first of all: value 1 is 1 when its memory is to be put into huge pages, value 2
/// LANDLOCK_ACCESS_FS_REFER where this kernel has it. Carries the filter that its clones put before its own, and, where
/// they have views of their own, what they are confined by once more.
pub const TERMS: u64 = 60;
/// From who becomes a keeper, on the socket for failures: it has a template, whose pid inside is value 1; its own is
/// value 2.
pub const MADE: u64 = 61;

/// The most clones that a message is about.
pub const MESSAGE_CLONES: usize = 7;
/// The most places at which a clone has views of its own.
pub const MAX_VIEWS: usize = 4;
/// The most trees that views are made of.
pub const MAX_TREES: usize = 5;
/// The most clones of one template that live at once.
pub const MAX_CLONES: usize = 8192;
/// Why a template did not become ready; value 1 of [`FAILED`] on its socket, above every [`Stage`].
pub const PANICKED: u64 = 64;
/// A program that wants to be forked has so many threads (value 2). It may try again.
pub const THREADS: u64 = 65;
/// Another process than the template has said that it was ready: value 2 is its pid inside.
pub const ELSEWHERE: u64 = 66;
/// The template has closed its socket.
pub const CLOSED: u64 = 67;

/// The sandbox has a pid namespace of its own: init is pid 1.
pub const GO_PID_NAMESPACE: u64 = 1;
/// Who lives inside may wait for an answer of the supervisor's, and cannot be killed until then: it is not waited for
/// without end.
pub const GO_SERVED: u64 = 2;

/// Init ends, and everything with it, when this command does.
pub const SPAWN_LAST: u64 = 1;
/// The command gets a terminal of its own.
pub const SPAWN_PTY: u64 = 2;
/// The child that stands by may become the command, if there is one: no stream is a file, for which a rule of Landlock's
/// would be needed.
pub const SPAWN_READY: u64 = 4;
/// With a pid namespace: everybody else inside ends when this command does, before its end is told. Init goes on, and
/// takes the time that its own end costs later.
pub const SPAWN_SOLE: u64 = 8;

/// Descriptors with [`SPAWN`]: command blob, channel, standard input, output, error.
pub const SPAWN_FDS: usize = 5;
/// The most descriptors with any message.
pub const MESSAGE_FDS: usize = 14;

/// The most trees of the host that one root is made of: init holds a descriptor of each until it is attached.
pub const MAX_SOURCES: usize = 256;

/// Where the start of a command can fail; value 1 of [`FAILED`] on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stage {
    /// The request itself.
    Request = 1,
    /// clone(2).
    Clone = 2,
    /// setsid(2), dup2(2) and the terminal.
    Stdio = 3,
    /// chdir(2).
    Cwd = 4,
    /// setrlimit(2), nice(2), sched_setaffinity(2).
    Limits = 5,
    /// setgroups(2), setresgid(2), setresuid(2).
    Identity = 6,
    /// prctl(2) and capset(2).
    Privileges = 7,
    /// The Landlock rules.
    Landlock = 8,
    /// seccomp(2).
    Seccomp = 9,
    /// execve(2).
    Exec = 10,
}

impl Stage {
    /// The stage of that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Request,
            2 => Self::Clone,
            3 => Self::Stdio,
            4 => Self::Cwd,
            5 => Self::Limits,
            6 => Self::Identity,
            7 => Self::Privileges,
            8 => Self::Landlock,
            9 => Self::Seccomp,
            10 => Self::Exec,
            _ => return None,
        })
    }
}

/// One step of building the root. Paths of sources are the host's, absolute and without symlinks; all
/// other paths are relative to the new root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// sethostname(2).
    Hostname(&'a Text),
    /// Joins the namespaces that were made meanwhile; a network namespace has its `lo` up.
    Join,
    /// Takes a detached copy of a tree of the host; sources are numbered from 0 in order.
    Source { path: &'a Text, attributes: u64 },
    /// Makes the file system in memory that becomes the root, of at most `size` bytes.
    Root { size: u64 },
    /// mkdir(2).
    Dir { path: &'a Text, mode: u32 },
    /// symlink(2).
    Link { path: &'a Text, target: &'a Text },
    /// A file with this content.
    File {
        path: &'a Text,
        mode: u32,
        content: &'a [u8],
    },
    /// Attaches source number `source`.
    Attach { source: u32, path: &'a Text },
    /// Attaches a copy of the root's own directory or file `from`.
    Own {
        from: &'a Text,
        path: &'a Text,
        attributes: u64,
    },
    /// Mounts a file system: `proc`, `devpts`, `tmpfs`, with options `key=value` separated by commas.
    Mount {
        kind: &'a Text,
        options: &'a Text,
        path: &'a Text,
        attributes: u64,
    },
    /// unlink(2) or rmdir(2) of what only had to exist for a moment.
    Remove { path: &'a Text },
    /// Changes attributes of the mount at `path` itself.
    Attributes { path: &'a Text, attributes: u64 },
    /// chown(2) of something in the new root.
    Owner { path: &'a Text, uid: u32, gid: u32 },
    /// Mounts an overlay of directories of the host, the topmost lower first; takes the next source's number.
    Overlay {
        /// Each ended by NUL.
        lowers: &'a [u8],
        upper: &'a Text,
        work: &'a Text,
        /// A file to hold an exclusive flock(2) on until init ends; empty for none.
        lock: &'a Text,
        attributes: u64,
    },
    /// As `Own`, but what is not there needs no cover.
    Cover {
        from: &'a Text,
        path: &'a Text,
        attributes: u64,
    },
    /// Mounts a FUSE filesystem, whose device goes to the supervisor ([`DEVICE`]); takes the next source's number.
    Served {
        name: &'a Text,
        /// As that of an overlay.
        lock: &'a Text,
        attributes: u64,
    },
    /// Takes a detached copy of a directory of the host and sends it to the supervisor ([`TREE`]).
    Tree { path: &'a Text },
    /// Makes the root built so far the root, and begins to let go of the old one.
    Enter,
}

/// A place at which clones have a view of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// Where, absolute.
    pub at: &'a Text,
    /// Places beneath it where something else is mounted, which stays; each ended by NUL.
    pub beneath: &'a [u8],
    /// The layers that are only read, the topmost first, each ended by NUL: paths beneath trees.
    pub lowers: &'a [u8],
}

/// Views, as many as there are.
pub type Views<'a> = [Option<View<'a>>; MAX_VIEWS];

/// Bytes without NUL, followed by one: what the kernel takes as a string.
pub type Text = core::ffi::CStr;

/// How every command is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement<'a> {
    /// User and group to become, and whether to.
    pub identity: Option<(u32, u32)>,
    /// File mode creation mask.
    pub umask: u32,
    /// Niceness; [`KEEP_NICE`] for the caller's own.
    pub nice: i32,
    /// CPU mask, as sched_setaffinity(2) takes it; empty for no change.
    pub cpus: &'a [u8],
    /// Resource limits: 20 bytes each, see [`limits`].
    pub limits: &'a [u8],
    /// Landlock's handled rights: file system, network, scopes. All zero for no Landlock.
    pub handled: [u64; 3],
    /// Landlock's rules: see [`path_rules`].
    pub path_rules: &'a [u8],
    /// Landlock's port rules, 16 bytes each: see [`port_rules`].
    pub port_rules: &'a [u8],
    /// Rights given on what the standard streams are connected to.
    pub stdio_rights: u64,
    /// The seccomp filter, 8 bytes an instruction; empty for none.
    pub filter: &'a [u8],
}

/// What to execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exec<'a> {
    /// Directory to start in.
    pub cwd: &'a Text,
    /// Paths to try, in order, each ended by NUL.
    pub candidates: &'a [u8],
    /// Arguments, each ended by NUL, and how many.
    pub argv: &'a [u8],
    /// How many arguments.
    pub argc: u32,
    /// Variables, each ended by NUL, and how many.
    pub envp: &'a [u8],
    /// How many variables.
    pub envc: u32,
}

/// Reads values off a blob, front to back.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(usize::try_from(count).ok()?)
    }

    /// A text behind its length, NUL included.
    pub fn text(&mut self) -> Option<&'a Text> {
        Text::from_bytes_with_nul(self.bytes()?).ok()
    }

    /// The next step of building the root; `Some(None)` at their end.
    pub fn op(&mut self) -> Option<Option<Op<'a>>> {
        Some(Some(match self.byte()? {
            0 => return Some(None),
            1 => Op::Hostname(self.text()?),
            2 => Op::Join,
            3 => Op::Source {
                path: self.text()?,
                attributes: self.u64()?,
            },
            4 => Op::Root { size: self.u64()? },
            5 => Op::Dir {
                path: self.text()?,
                mode: self.u32()?,
            },
            6 => Op::Link {
                path: self.text()?,
                target: self.text()?,
            },
            7 => Op::File {
                path: self.text()?,
                mode: self.u32()?,
                content: self.bytes()?,
            },
            8 => Op::Attach {
                source: self.u32()?,
                path: self.text()?,
            },
            9 => Op::Own {
                from: self.text()?,
                path: self.text()?,
                attributes: self.u64()?,
            },
            10 => Op::Mount {
                kind: self.text()?,
                options: self.text()?,
                path: self.text()?,
                attributes: self.u64()?,
            },
            11 => Op::Remove { path: self.text()? },
            12 => Op::Attributes {
                path: self.text()?,
                attributes: self.u64()?,
            },
            13 => Op::Enter,
            14 => Op::Owner {
                path: self.text()?,
                uid: self.u32()?,
                gid: self.u32()?,
            },
            15 => Op::Overlay {
                lowers: self.bytes()?,
                upper: self.text()?,
                work: self.text()?,
                lock: self.text()?,
                attributes: self.u64()?,
            },
            16 => Op::Cover {
                from: self.text()?,
                path: self.text()?,
                attributes: self.u64()?,
            },
            17 => Op::Served {
                name: self.text()?,
                lock: self.text()?,
                attributes: self.u64()?,
            },
            18 => Op::Tree { path: self.text()? },
            _ => return None,
        }))
    }

    /// How commands are confined; follows the steps.
    pub fn confinement(&mut self) -> Option<Confinement<'a>> {
        let identity = match self.byte()? {
            0 => None,
            _ => Some((self.u32()?, self.u32()?)),
        };
        Some(Confinement {
            identity,
            umask: self.u32()?,
            nice: self.u32()?.cast_signed(),
            cpus: self.bytes()?,
            limits: self.bytes()?,
            handled: [self.u64()?, self.u64()?, self.u64()?],
            path_rules: self.bytes()?,
            port_rules: self.bytes()?,
            stdio_rights: self.u64()?,
            filter: self.bytes()?,
        })
    }

    /// Where clones have views, and over what. What follows is, for each clone, the path of its lock and for each view
    /// those of its upper and its work directory.
    pub fn views(&mut self) -> Option<Views<'a>> {
        let count = usize::try_from(self.u32()?).ok()?;
        let mut views = [None; MAX_VIEWS];
        for slot in views.get_mut(..count)? {
            *slot = Some(View {
                at: self.text()?,
                beneath: self.bytes()?,
                lowers: self.bytes()?,
            });
        }
        Some(views)
    }

    /// What to execute.
    pub fn exec(&mut self) -> Option<Exec<'a>> {
        Some(Exec {
            cwd: self.text()?,
            candidates: self.bytes()?,
            argc: self.u32()?,
            argv: self.bytes()?,
            envc: self.u32()?,
            envp: self.bytes()?,
        })
    }
}

/// The texts in `bytes`, each ended by NUL.
pub fn texts(mut bytes: &[u8]) -> impl Iterator<Item = &Text> {
    core::iter::from_fn(move || {
        let text = Text::from_bytes_until_nul(bytes).ok()?;
        bytes = bytes.get(text.count_bytes() + 1..)?;
        Some(text)
    })
}

/// Resource limits: resource, soft, hard.
pub fn limits(bytes: &[u8]) -> impl Iterator<Item = (u32, u64, u64)> {
    let mut cursor = Cursor(bytes);
    core::iter::from_fn(move || Some((cursor.u32()?, cursor.u64()?, cursor.u64()?)))
}

/// No niceness is set.
pub const KEEP_NICE: i32 = i32::MAX;

/// A path of Landlock's that may be missing.
pub const RULE_MAY_BE_MISSING: u8 = 1;
/// A path of Landlock's that has no link in it; one that is there now must not be followed.
pub const RULE_IS_RESOLVED: u8 = 2;

/// Landlock's path rules: rights, flags, path.
pub fn path_rules(bytes: &[u8]) -> impl Iterator<Item = (u64, u8, &Text)> {
    let mut cursor = Cursor(bytes);
    core::iter::from_fn(move || Some((cursor.u64()?, cursor.byte()?, cursor.text()?)))
}

/// Landlock's port rules: rights, port.
pub fn port_rules(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let mut cursor = Cursor(bytes);
    core::iter::from_fn(move || Some((cursor.u64()?, cursor.u64()?)))
}

/// A message as bytes.
pub fn to_bytes(message: &Message) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    for (chunk, value) in bytes.chunks_exact_mut(8).zip(message) {
        chunk.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Bytes as a message.
pub fn from_bytes(bytes: &[u8; MESSAGE_BYTES]) -> Message {
    let mut message = [0; 8];
    for (chunk, value) in bytes.chunks_exact(8).zip(&mut message) {
        let mut le = [0; 8];
        le.copy_from_slice(chunk);
        *value = u64::from_le_bytes(le);
    }
    message
}

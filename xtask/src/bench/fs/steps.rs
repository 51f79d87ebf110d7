//! What is done in a mount, in this order, and what was there before.

use super::Scale;

/// What a step is about: different things are promised of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names and attributes.
    Metadata,
    /// Names, attributes and bytes of a whole tree, by a program.
    Tree,
    /// Bytes of files, through the server.
    Data,
    /// Bytes that the kernel has already.
    Cached,
}

/// Whether the kernel has forgotten what it knew of the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Cold,
    Warm,
}

/// One thing that is timed.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) memory: Memory,
    /// In the mount, untimed.
    pub(super) before: String,
    /// In the mount; it prints its own time.
    pub(super) command: String,
    /// Large requests, which the kernel can also carry out itself.
    pub(super) is_large: bool,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Small files, of [`SMALL`] bytes.
    pub(super) files: usize,
    /// Entries of one directory.
    pub(super) entries: usize,
    /// Mebibytes of each of [`CLIENTS`] files.
    pub(super) mebibytes: usize,
    /// Blocks of 4 KiB that are read or written at random.
    pub(super) blocks: usize,
    /// Files of the archive, and of the repository that is cloned.
    pub(super) tree: usize,
    /// Files of the repository that is only looked at.
    pub(super) repo: usize,
}

const SMALL: usize = 1024;
/// Peers keep a descriptor for each, and even root may not be allowed more than 20,000 of those.
const FILES: usize = 18_000;
/// At most so many at once.
const CLIENTS: usize = 4;

impl Sizes {
    pub(super) fn of(scale: Scale) -> Self {
        let of = |full: usize| match scale {
            Scale::Full => full,
            Scale::Quick => full / 10,
        };
        Self {
            files: of(FILES),
            entries: of(50_000),
            mebibytes: of(64).max(8),
            blocks: of(20_000),
            tree: of(10_000),
            repo: of(100_000),
        }
    }
}

/// Makes what every step finds, in an empty directory.
pub(super) fn setup(sizes: &Sizes) -> String {
    let Sizes {
        files,
        entries,
        mebibytes,
        tree,
        repo,
        ..
    } = *sizes;
    let data = mebibytes * CLIENTS;
    format!(
        "mkdir many entries data tree
        fsload mkdir many {files} >/dev/null; fsload create many {files} 1 {SMALL} >/dev/null
        fsload flat entries {entries} >/dev/null
        fsload write-data data {data} {CLIENTS} >/dev/null
        files fill tree {tree} 2000; tar cf tree.tar tree; rm -rf tree
        repository() {{
            mkdir $1; cd $1; git init -q .; files fill . $2 20
            find . -path ./.git -prune -o -type f -exec touch -d 2001-01-01 {{}} +
            git -c gc.auto=0 -c core.bigFileThreshold=1 add .
            git -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 commit -q -m files
            cd ..
        }}
        repository repo {repo}; repository small {tree}"
    )
}

/// Takes back what the steps have left.
pub(super) const RESET: &str = "rm -rf new tree new-data copy clone";

struct List(Vec<Step>);

impl List {
    fn push(&mut self, name: String, kind: Kind, memory: Memory, command: String) {
        self.0.push(Step {
            name,
            kind,
            memory,
            before: String::new(),
            command,
            is_large: false,
        });
    }

    fn after(&mut self, before: String) {
        if let Some(last) = self.0.last_mut() {
            last.before = before;
        }
    }

    fn large(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.is_large = true;
        }
    }
}

pub(super) fn all(sizes: &Sizes) -> Vec<Step> {
    let mut list = List(Vec::new());
    for clients in [1, 2, 4] {
        metadata(&mut list, sizes, clients);
    }
    listings(&mut list, sizes);
    for clients in [1, 2, 4] {
        data(&mut list, sizes, clients);
    }
    programs(&mut list, sizes);
    list.0
}

fn at_once(clients: usize) -> String {
    if clients == 1 {
        String::new()
    } else {
        format!(", {clients} clients")
    }
}

fn metadata(list: &mut List, sizes: &Sizes, clients: usize) {
    let (files, at_once) = (sizes.files, at_once(clients));
    let on = |directory: &str, operation: &str| {
        format!("fsload {operation} {directory} {files} {clients} {SMALL}")
    };
    let mut push = |name: &str, memory, command| {
        list.push(format!("{name}{at_once}"), Kind::Metadata, memory, command);
    };
    push("create", Memory::Warm, on("new", "create"));
    push("rename", Memory::Warm, on("new", "rename"));
    push("unlink", Memory::Warm, on("new", "unlink-renamed"));
    push("stat", Memory::Cold, on("many", "stat"));
    push("open, read", Memory::Cold, on("many", "read"));
    push("open, read again", Memory::Warm, on("many", "read"));
    if let Some(create) = list.0.iter_mut().rev().nth(5) {
        create.before = format!("mkdir -p new; fsload mkdir new {files} >/dev/null");
    }
}

fn listings(list: &mut List, sizes: &Sizes) {
    let entries = sizes.entries;
    for (name, operation) in [("readdir", "list"), ("readdir, stat", "list-long")] {
        list.push(
            format!("{name} of {entries}"),
            Kind::Metadata,
            Memory::Cold,
            format!("fsload {operation} entries {entries}"),
        );
    }
}

fn data(list: &mut List, sizes: &Sizes, clients: usize) {
    let (each, blocks, at_once) = (sizes.mebibytes, sizes.blocks, at_once(clients));
    let all = each * clients;
    list.push(
        format!("write 1 MiB{at_once}"),
        Kind::Data,
        Memory::Warm,
        format!("fsload write-data new-data {all} {clients}"),
    );
    list.after("rm -rf new-data; mkdir new-data".to_owned());
    list.large();
    let read = format!("fsload read-data data {all} {clients}");
    list.push(
        format!("read 1 MiB{at_once}"),
        Kind::Data,
        Memory::Cold,
        read.clone(),
    );
    list.large();
    list.push(
        format!("read 1 MiB again{at_once}"),
        Kind::Cached,
        Memory::Warm,
        read,
    );
    if clients == 2 {
        return;
    }
    let random = |operation: &str| format!("fsload {operation} data {blocks} {clients} {each}");
    list.push(
        format!("read 4 KiB at random{at_once}"),
        Kind::Data,
        Memory::Cold,
        random("read-random"),
    );
    list.push(
        format!("write 4 KiB at random{at_once}"),
        Kind::Data,
        Memory::Warm,
        random("write-random"),
    );
}

fn programs(list: &mut List, sizes: &Sizes) {
    let Sizes { tree, repo, .. } = *sizes;
    // Who did not do what comes before has nothing to copy and to remove.
    let mut push = |name: String, memory, command: &str| {
        list.push(name, Kind::Tree, memory, format!("stopwatch {command}"));
        if command.split(' ').any(|word| word == "tree") {
            list.after("test -e tree".to_owned());
        }
    };
    push(format!("tar x of {tree}"), Memory::Cold, "tar xf tree.tar");
    push(format!("cp -a of {tree}"), Memory::Cold, "cp -a tree copy");
    push(format!("rm -rf of {tree}"), Memory::Warm, "rm -rf tree");
    let clone = "git clone -q --no-hardlinks small clone";
    push(format!("git clone of {tree}"), Memory::Cold, clone);
    let status = "git -C repo status --porcelain";
    push(format!("git status of {repo}"), Memory::Cold, status);
    push("git status again".to_owned(), Memory::Warm, status);
}

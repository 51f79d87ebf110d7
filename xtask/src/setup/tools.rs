//! The table of tools: how to see that one is there, and the packages that bring it.

use super::probe::Probe;

/// What a tool is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The build, the demonstration and the tests.
    Build,
    /// Suites that run on mounted filesystems.
    Conformance,
    /// The static binary.
    Dist,
    /// Peers that the benchmarks compare with; optional.
    Bench,
}

/// A package's name under each manager; empty where the distribution has none.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) apt: &'static str,
    pub(crate) dnf: &'static str,
    pub(crate) pacman: &'static str,
    pub(crate) apk: &'static str,
}

impl Packages {
    /// The same name everywhere.
    const fn all(name: &'static str) -> Self {
        Self {
            apt: name,
            dnf: name,
            pacman: name,
            apk: name,
        }
    }
}

/// Something the system has to provide.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) probe: Probe,
    pub(crate) packages: Packages,
}

pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "C compiler",
        need: Need::Build,
        probe: Probe::Compiles {
            source: "#include <stdio.h>\nint main(void){return puts(\"\") < 0;}",
            libs: &[],
        },
        packages: Packages {
            apt: "gcc libc6-dev",
            dnf: "gcc glibc-devel",
            pacman: "gcc",
            apk: "build-base",
        },
    },
    // The tests and the benchmarks call it by this name.
    Tool {
        name: "gcc",
        need: Need::Build,
        probe: Probe::Programs(&["gcc"]),
        packages: Packages::all("gcc"),
    },
    Tool {
        name: "libseccomp headers",
        need: Need::Build,
        probe: Probe::Compiles {
            source: "#include <seccomp.h>\nint main(void){return seccomp_version() == 0;}",
            libs: &["-lseccomp"],
        },
        packages: Packages {
            apt: "libseccomp-dev",
            dnf: "libseccomp-devel",
            pacman: "libseccomp",
            apk: "libseccomp-dev",
        },
    },
    Tool {
        name: "e2fsprogs",
        need: Need::Build,
        probe: Probe::Programs(&["mke2fs", "e2fsck"]),
        packages: Packages::all("e2fsprogs"),
    },
    Tool {
        name: "fuse3",
        need: Need::Build,
        probe: Probe::Programs(&["fusermount3"]),
        packages: Packages::all("fuse3"),
    },
    Tool {
        // Has no package of its own on the other systems: there it is a part of e2fsprogs, or not there.
        name: "fuse2fs",
        need: Need::Build,
        probe: Probe::Programs(&["fuse2fs"]),
        packages: Packages {
            apt: "fuse2fs",
            dnf: "fuse2fs",
            pacman: "e2fsprogs",
            apk: "e2fsprogs-extra",
        },
    },
    Tool {
        name: "python3",
        need: Need::Build,
        probe: Probe::Programs(&["python3"]),
        packages: Packages {
            apt: "python3",
            dnf: "python3",
            pacman: "python",
            apk: "python3",
        },
    },
    Tool {
        name: "git",
        need: Need::Build,
        probe: Probe::Programs(&["git"]),
        packages: Packages::all("git"),
    },
    Tool {
        name: "rsync",
        need: Need::Build,
        probe: Probe::Programs(&["rsync"]),
        packages: Packages::all("rsync"),
    },
    Tool {
        name: "node",
        need: Need::Build,
        probe: Probe::Programs(&["node"]),
        packages: Packages::all("nodejs"),
    },
    Tool {
        name: "util-linux",
        need: Need::Build,
        probe: Probe::Programs(&["unshare", "setpriv", "prlimit"]),
        packages: Packages {
            apt: "util-linux",
            dnf: "util-linux",
            pacman: "util-linux",
            apk: "util-linux util-linux-misc setpriv",
        },
    },
    Tool {
        name: "bubblewrap",
        need: Need::Build,
        probe: Probe::Programs(&["bwrap"]),
        packages: Packages::all("bubblewrap"),
    },
    Tool {
        name: "redis-server",
        need: Need::Build,
        probe: Probe::Programs(&["redis-server", "redis-cli"]),
        packages: Packages {
            apt: "redis-server",
            dnf: "redis",
            pacman: "redis",
            apk: "redis",
        },
    },
    Tool {
        name: "stress-ng",
        need: Need::Conformance,
        probe: Probe::Programs(&["stress-ng"]),
        packages: Packages::all("stress-ng"),
    },
    Tool {
        name: "rsync",
        need: Need::Conformance,
        probe: Probe::Programs(&["rsync"]),
        packages: Packages::all("rsync"),
    },
    // pjdfstest links against it.
    Tool {
        name: "libacl",
        need: Need::Conformance,
        probe: Probe::Compiles {
            source: "#include <sys/acl.h>\nint main(void){return acl_init(1) == 0;}",
            libs: &["-lacl"],
        },
        packages: Packages {
            apt: "libacl1-dev",
            dnf: "libacl-devel",
            pacman: "acl",
            apk: "acl-dev",
        },
    },
    Tool {
        name: "static libseccomp",
        need: Need::Dist,
        probe: Probe::StaticLibrary("libseccomp.a"),
        packages: Packages {
            apt: "libseccomp-dev",
            dnf: "libseccomp-static",
            pacman: "",
            apk: "libseccomp-static",
        },
    },
    Tool {
        name: "static C library",
        need: Need::Dist,
        probe: Probe::StaticLibrary("libc.a"),
        packages: Packages {
            apt: "libc6-dev",
            dnf: "glibc-static",
            pacman: "glibc",
            apk: "musl-dev",
        },
    },
    Tool {
        name: "firejail",
        need: Need::Bench,
        probe: Probe::Programs(&["firejail"]),
        packages: Packages::all("firejail"),
    },
    Tool {
        name: "runc",
        need: Need::Bench,
        probe: Probe::Programs(&["runc"]),
        packages: Packages::all("runc"),
    },
    Tool {
        name: "fuse-overlayfs",
        need: Need::Bench,
        probe: Probe::Programs(&["fuse-overlayfs"]),
        packages: Packages::all("fuse-overlayfs"),
    },
    Tool {
        name: "bindfs",
        need: Need::Bench,
        probe: Probe::Programs(&["bindfs"]),
        packages: Packages::all("bindfs"),
    },
    Tool {
        name: "unionfs-fuse",
        need: Need::Bench,
        probe: Probe::Programs(&["unionfs"]),
        packages: Packages::all("unionfs-fuse"),
    },
    // libfuse's own examples are built against it.
    Tool {
        name: "libfuse headers",
        need: Need::Bench,
        probe: Probe::Compiles {
            source: "#define FUSE_USE_VERSION 35\n#include <fuse_lowlevel.h>\nint main(void){return fuse_version() == 0;}",
            libs: &["-I/usr/include/fuse3", "-D_FILE_OFFSET_BITS=64", "-lfuse3"],
        },
        packages: Packages {
            apt: "libfuse3-dev g++ pkg-config",
            dnf: "fuse3-devel gcc-c++ pkgconf",
            pacman: "fuse3 gcc pkgconf",
            apk: "fuse3-dev g++ pkgconf",
        },
    },
];

//! The layers as data. docs/architecture.md draws the same picture.

/// A crate of the workspace, what it may import, and how many crates it may pull in.
pub(super) struct Layer {
    pub(super) name: &'static str,
    /// Crates of the workspace; all others are refused.
    pub(super) imports: &'static [&'static str],
    /// Crates reached by normal dependencies, directly or not, on Linux. Tight on purpose: whoever
    /// needs one more raises it in the same change and says why.
    pub(super) budget: usize,
}

/// A dependency that only one crate may name.
pub(super) struct Owned {
    pub(super) dependency: &'static str,
    pub(super) owner: &'static str,
}

pub(super) const LAYERS: &[Layer] = &[
    Layer {
        name: "sandbox-types",
        imports: &[],
        budget: 24,
    },
    Layer {
        name: "sandbox-filesystem",
        imports: &["sandbox-types"],
        // Of these: patterns of paths and lines (globset, regex), texts compared and merged (similar), archives
        // (tar), rules as data (toml). The facade turns on layers of images as well: gzip (flate2), zstd, checksums (sha2).
        budget: 68,
    },
    Layer {
        name: "sandbox-volumes",
        imports: &["sandbox-types"],
        // Nearly all of it is sea-orm with SQLite and tokio; then tar, zstd and sha2 for archives. For ext4: checksums
        // (crc32c), structures on disk (zerocopy), images that appear whole (tempfile).
        budget: 258,
    },
    Layer {
        name: "sandbox-confine",
        imports: &["sandbox-types"],
        budget: 50,
    },
    Layer {
        name: "sandbox",
        imports: &[
            "sandbox-types",
            "sandbox-confine",
            "sandbox-filesystem",
            "sandbox-volumes",
        ],
        // What sandbox-filesystem and sandbox-volumes need, see there.
        budget: 276,
    },
    Layer {
        name: "sandbox-cli",
        imports: &["sandbox"],
        // Completion of names that are looked up (clap_complete's engine).
        budget: 300,
    },
    Layer {
        name: "sandbox-examples",
        imports: &["sandbox"],
        budget: 277,
    },
    Layer {
        name: "xtask",
        imports: &[],
        budget: 32,
    },
];

pub(super) const OWNED: &[Owned] = &[
    // LGPL-2.1, see deny.toml: whoever does not use sandbox-confine must not link it.
    Owned {
        dependency: "libseccomp",
        owner: "sandbox-confine",
    },
    Owned {
        dependency: "libseccomp-sys",
        owner: "sandbox-confine",
    },
];

/// A crate that must also keep to a budget with fewer features.
pub(super) struct Lean {
    pub(super) name: &'static str,
    pub(super) features: &'static str,
    /// As [`Layer::budget`].
    pub(super) budget: usize,
    /// Reached by none of them.
    pub(super) without: &'static [&'static str],
}

pub(super) const LEAN: &[Lean] = &[
    Lean {
        name: "sandbox-filesystem",
        features: "",
        budget: 35,
        without: &["tokio", "regex"],
    },
    Lean {
        name: "sandbox-filesystem",
        features: "fuse",
        budget: 35,
        without: &["tokio", "regex"],
    },
    Lean {
        name: "sandbox-filesystem",
        features: "branch",
        budget: 58,
        without: &["tokio"],
    },
    Lean {
        name: "sandbox-filesystem",
        features: "oci",
        // Besides the branches': gzip (flate2), zstd, checksums (sha2).
        budget: 68,
        without: &["tokio"],
    },
];

/// A crate of which every combination of features must build.
pub(super) struct Combined {
    pub(super) name: &'static str,
    /// One of each: what turns another one on comes with that, and nothing is a choice too.
    pub(super) choices: &'static [&'static [&'static str]],
}

pub(super) const COMBINED: &[Combined] = &[
    Combined {
        name: "sandbox-filesystem",
        choices: &[&["", "branch", "oci"], &["", "conformance"], &["", "fuse"]],
    },
    Combined {
        name: "sandbox-confine",
        choices: &[&["", "tokio"]],
    },
    Combined {
        name: "sandbox-volumes",
        choices: &[&["", "ext4", "catalog"]],
    },
    Combined {
        name: "sandbox",
        choices: &[&["", "oci"], &["", "tokio"], &["", "volumes"]],
    },
];

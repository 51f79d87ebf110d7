//! What an image may ask for.

/// Bounds for what is unpacked: for one layer, or for all layers of an image together. Each is an error when it is
/// reached, and nothing is left then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) metadata: u64,
    pub(super) depth: usize,
    pub(super) ratio: u64,
    /// How much may come out of a compressed layer before its ratio is looked at.
    pub(super) free: u64,
    pub(super) layers: usize,
}

impl Limits {
    /// Entries: files, directories, links, whiteouts. 2,000,000 by default.
    pub fn entries(mut self, most: u64) -> Self {
        self.entries = most;
        self
    }

    /// Bytes that the files hold, holes counted. 64 GiB by default.
    pub fn bytes(mut self, most: u64) -> Self {
        self.bytes = most;
        self
    }

    /// Bytes of headers: names, targets, extended attributes. 1 GiB by default; one header may have 1 MiB.
    pub fn metadata(mut self, most: u64) -> Self {
        self.metadata = most;
        self
    }

    /// How many names a path may have. 256 by default.
    pub fn depth(mut self, most: usize) -> Self {
        self.depth = most;
        self
    }

    /// How many times its own size a compressed layer may become, once 64 MiB have come out of it. 200 by default.
    pub fn ratio(mut self, most: u64) -> Self {
        self.ratio = most;
        self
    }

    /// Layers of an image. 500 by default.
    pub fn layers(mut self, most: usize) -> Self {
        self.layers = most;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 64 << 30,
            metadata: 1 << 30,
            depth: 256,
            ratio: 200,
            free: 64 << 20,
            layers: 500,
        }
    }
}

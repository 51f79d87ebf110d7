//! How layers are unpacked.

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// Where owner, group and mode of files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owners {
    /// They are the files' own, which takes root.
    Real,
    /// In `user.containers.override_stat`, as [`PassthroughFs`](crate::backend::PassthroughFs) and
    /// [`OverlayFs`](crate::backend::OverlayFs) read it with `StatVirtualization::Strict`. On the host the files are the
    /// caller's, with the permissions of the layer without setuid and setgid, readable and writable for the owner.
    /// What cannot carry the attribute (symbolic links, pipes) is the caller's and nothing else.
    Virtual,
}

impl Owners {
    /// Real for root, virtual for everybody else.
    pub fn of_caller() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::Real
        } else {
            Self::Virtual
        }
    }
}

/// What is done with the devices of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Devices {
    /// A layer that has one is an error.
    #[default]
    Refuse,
    /// They are left out, and counted.
    Skip,
    /// They are kept: with real owners as devices, which takes root; with virtual owners as empty files with the attribute,
    /// which are devices for those who read it, and for nobody else.
    Keep,
}

/// How whiteouts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whiteouts {
    /// As devices 0/0; where the host does not let us make them, as attributes.
    #[default]
    Device,
    /// As empty files with `user.overlay.whiteout`, which Linux 6.7 reads in lower layers.
    Attribute,
}

/// How layers are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct UnpackOptions {
    pub(super) owners: Owners,
    pub(super) devices: Devices,
    pub(super) whiteouts: Whiteouts,
    pub(super) limits: Limits,
}

impl UnpackOptions {
    /// Owners as root, or everybody else, can keep them; no devices; the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where owners are kept. By default [`Owners::of_caller`].
    pub fn owners(mut self, owners: Owners) -> Self {
        self.owners = owners;
        self
    }

    /// What is done with devices. By default they are refused.
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = devices;
        self
    }

    /// How whiteouts are kept. By default as devices 0/0.
    pub fn whiteouts(mut self, whiteouts: Whiteouts) -> Self {
        self.whiteouts = whiteouts;
        self
    }

    /// What an image may ask for.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            owners: Owners::of_caller(),
            devices: Devices::default(),
            whiteouts: Whiteouts::default(),
            limits: Limits::default(),
        }
    }
}

//! Values of flags.

use clap::ValueEnum;
use sandbox::oci::{Compression, Devices, Owners};

/// Where owners are kept.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OwnersValue {
    /// As the files' own, which takes root
    Real,
    /// In the attribute user.containers.override_stat, which sandbox mount overlay shows
    Virtual,
}

impl From<OwnersValue> for Owners {
    fn from(value: OwnersValue) -> Self {
        match value {
            OwnersValue::Real => Self::Real,
            OwnersValue::Virtual => Self::Virtual,
        }
    }
}

/// What is asked for, or what the caller can have.
pub(super) fn owners(value: Option<OwnersValue>) -> Owners {
    value.map_or_else(Owners::of_caller, Owners::from)
}

/// What is done with devices.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum DevicesValue {
    /// A layer that has one is refused
    Refuse,
    /// They are left out
    Skip,
    /// They are kept: as devices with real owners (root), in the attribute with virtual ones
    Keep,
}

impl From<DevicesValue> for Devices {
    fn from(value: DevicesValue) -> Self {
        match value {
            DevicesValue::Refuse => Self::Refuse,
            DevicesValue::Skip => Self::Skip,
            DevicesValue::Keep => Self::Keep,
        }
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CompressionValue {
    /// What every tool reads
    Gzip,
    /// Smaller and faster
    Zstd,
    /// A plain tar archive
    None,
}

impl From<CompressionValue> for Compression {
    fn from(value: CompressionValue) -> Self {
        match value {
            CompressionValue::Gzip => Self::Gzip,
            CompressionValue::Zstd => Self::Zstd,
            CompressionValue::None => Self::None,
        }
    }
}

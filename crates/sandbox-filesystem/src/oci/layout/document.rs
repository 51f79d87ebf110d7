//! The documents of a layout, as far as they matter here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::platform::Platform;
use crate::oci::digest::Digest;

const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// `oci-layout`.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    #[serde(rename = "imageLayoutVersion")]
    pub(super) image_layout_version: String,
}

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Index,
    Manifest,
    Config,
    Layer,
    Other,
}

/// Points to a blob.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Descriptor {
    #[serde(rename = "mediaType")]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn reference(&self) -> Option<&str> {
        self.annotations.get(REFERENCE).map(String::as_str)
    }

    pub(super) fn media(&self) -> Media {
        match self.media_type.as_str() {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Media::Index,
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Media::Manifest,
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
                Media::Config
            }
            layer if is_layer(layer) => Media::Layer,
            _ => Media::Other,
        }
    }
}

/// How a layer is compressed is told by its content.
fn is_layer(media_type: &str) -> bool {
    let oci = media_type
        .strip_prefix("application/vnd.oci.image.layer.v1.tar")
        .or_else(|| media_type.strip_prefix("application/vnd.oci.image.layer.nondistributable.v1.tar"));
    match oci {
        Some(compression) => matches!(compression, "" | "+gzip" | "+zstd"),
        None => matches!(
            media_type,
            "application/vnd.docker.image.rootfs.diff.tar"
                | "application/vnd.docker.image.rootfs.diff.tar.gzip"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        ),
    }
}

/// `index.json`, and an index among the blobs.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    #[serde(rename = "schemaVersion")]
    pub(super) schema_version: u32,
    pub(super) manifests: Vec<Descriptor>,
}

/// An image.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(rename = "schemaVersion")]
    pub(super) schema_version: u32,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// What an image is for, and what its layers are when they are decompressed.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    pub(super) platform: Platform,
    pub(super) rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
pub(super) struct RootFs {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) diff_ids: Vec<Digest>,
}

//! Why an image is not unpacked.

use std::io;
use std::path::PathBuf;

use super::platform::Platform;
use crate::oci::digest::Digest;
use crate::oci::error::LayerError;

/// Why an image is not unpacked. Nothing new is in the store then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The directory.
    #[error("{path}: {source}", path = path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of it.
    #[error("{name}: cannot be read: {source}")]
    Read {
        /// Which: a file's name or a digest.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A later version of the format.
    #[error("the layout is of version {version:?}, and only 1 is known")]
    Version {
        /// Its version.
        version: String,
    },
    /// A document that cannot be read.
    #[error("{name}: not what an image has: {source}")]
    Document {
        /// Which: a file's name or a digest.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document of which no program needs so much.
    #[error("{name}: more than {limit} bytes")]
    TooLarge {
        /// Which: a file's name or a digest.
        name: String,
        /// What is allowed.
        limit: u64,
    },
    /// A blob that has another size than is said.
    #[error("{digest}: has {found} bytes, not {expected}")]
    Size {
        /// Which.
        digest: Digest,
        /// What is said.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A blob that is something else than it should be.
    #[error("{expected}: is something else, {found}")]
    Damaged {
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A schema that is not known.
    #[error("{digest}: of schema {version}, and only 2 is known")]
    Schema {
        /// Which document; none for `index.json`.
        digest: String,
        /// Its schema.
        version: u32,
    },
    /// Something that is no image: a chart, a signature.
    #[error("{digest}: is no {wanted}, but {found:?}")]
    Media {
        /// Which.
        digest: Digest,
        /// What is needed.
        wanted: &'static str,
        /// Its media type.
        found: String,
    },
    /// Indexes in indexes.
    #[error("the layout is refused: more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// No image has the name.
    #[error("no image is called {reference:?}; there {}", list(.known))]
    NoReference {
        /// What was asked for.
        reference: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No image is for the platform.
    #[error("no image is for {platform}; there {}", list(.known))]
    NoPlatform {
        /// What was asked for.
        platform: Platform,
        /// Those that there are.
        known: Vec<String>,
    },
    /// More than one image is meant.
    #[error("more than one image is meant; there {}", list(.known))]
    Ambiguous {
        /// What they are called.
        known: Vec<String>,
    },
    /// An image whose configuration does not go with its layers.
    #[error("{digest}: {layers} layers, and {diff_ids} diff_ids")]
    Layers {
        /// Of the manifest.
        digest: Digest,
        /// How many the manifest has.
        layers: usize,
        /// How many the configuration has.
        diff_ids: usize,
    },
    /// A layer of it.
    #[error("layer {digest}: {source}")]
    Layer {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: Box<LayerError>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] LayerError),
}

impl LayoutError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { name, .. } if name == "oci-layout" => {
                Some("make a layout of an image: skopeo copy docker://IMAGE oci:DIR:NAME")
            }
            Self::NoReference { .. } | Self::Ambiguous { .. } => Some("name one: --ref NAME"),
            Self::NoPlatform { .. } => Some("name one that there is: --platform OS/ARCHITECTURE"),
            Self::Size { .. } | Self::Damaged { .. } => Some("copy the image again"),
            Self::Layer { source, .. } => source.hint(),
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }

    pub(super) fn read(name: &str) -> impl FnOnce(io::Error) -> Self + use<> {
        let name = name.to_owned();
        move |source| Self::Read { name, source }
    }
}

fn list(known: &[String]) -> String {
    match known {
        [] => "is none".into(),
        [one] => format!("is {one}"),
        several => format!("are {}", several.join(", ")),
    }
}

//! An image's layers → directories.

use std::path::{Path, PathBuf};

use super::blob::Blobs;
use super::document::{Config, Descriptor, Manifest, Media};
use super::error::LayoutError;
use super::select;
use crate::oci::digest::Digest;
use crate::oci::options::UnpackOptions;
use crate::oci::store::Store;
use crate::oci::unpack::{Beneath, Done, Expected, ImportProgress, Layer, Unpack};

/// An image as directories.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// Of its manifest.
    pub manifest: Digest,
    /// Its configuration as it came: what to run, with what environment. JSON.
    pub config: Vec<u8>,
    /// Its layers, the bottom one first.
    pub layers: Vec<Layer>,
}

impl Image {
    /// The directories to give to an overlay, the bottom one first. Those beneath one that hides everything are left out.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let hides = self.layers.iter().rposition(|layer| layer.hides_all);
        let seen = self.layers.iter().skip(hides.unwrap_or(0));
        seen.map(|layer| layer.path.as_path())
    }
}

/// A layer as the manifest and the configuration have it.
struct Wanted<'m> {
    descriptor: &'m Descriptor,
    diff_id: Digest,
}

/// Unpacks the layers of the image that `descriptor` points to.
pub(super) fn unpack(
    blobs: &Blobs,
    descriptor: &Descriptor,
    store: &Store,
    options: &UnpackOptions,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<Image, LayoutError> {
    let manifest = select::manifest(blobs, descriptor)?;
    must_be(&manifest.config, Media::Config, "configuration of an image")?;
    let text = blobs.bytes(&manifest.config)?;
    let config: Config = blobs.blob(&manifest.config)?;
    let wanted = wanted(descriptor.digest, &manifest, &config, options)?;
    let mut unpack = Unpack::new(store, options, progress);
    unpack.state.layers_total = Some(wanted.len() as u64);
    unpack.state.bytes_total = Some(
        wanted
            .iter()
            .map(|layer| layer.descriptor.size)
            .fold(0, u64::saturating_add),
    );
    let mut layers = Layers::default();
    for wanted in wanted {
        layers.add(blobs, &mut unpack, &wanted)?;
    }
    if layers.done.iter().any(|done| matches!(done, Done::Staged(..))) {
        store.sync()?;
    }
    let published = layers.done.into_iter().map(|done| done.publish(store));
    Ok(Image {
        manifest: descriptor.digest,
        config: text,
        layers: published.collect::<Result<_, _>>()?,
    })
}

fn wanted<'m>(
    digest: Digest,
    manifest: &'m Manifest,
    config: &Config,
    options: &UnpackOptions,
) -> Result<Vec<Wanted<'m>>, LayoutError> {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != diff_ids || config.rootfs.kind != "layers" {
        return Err(LayoutError::Layers {
            digest,
            layers,
            diff_ids,
        });
    }
    let limit = options.limits.layers;
    if layers > limit {
        return Err(LayoutError::Limit {
            what: "layers",
            limit,
        });
    }
    for layer in &manifest.layers {
        must_be(layer, Media::Layer, "layer")?;
    }
    let pairs = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    let pairs = pairs.map(|(descriptor, diff_id)| Wanted {
        descriptor,
        diff_id: *diff_id,
    });
    Ok(pairs.collect())
}

fn must_be(descriptor: &Descriptor, media: Media, wanted: &'static str) -> Result<(), LayoutError> {
    (descriptor.media() == media)
        .then_some(())
        .ok_or_else(|| LayoutError::Media {
            digest: descriptor.digest,
            wanted,
            found: descriptor.media_type.clone(),
        })
}

/// Layers from the bottom.
#[derive(Default)]
struct Layers {
    done: Vec<Done>,
    /// Those that can still be seen.
    trees: Vec<PathBuf>,
    chain: Option<Digest>,
}

impl Layers {
    fn add(
        &mut self,
        blobs: &Blobs,
        unpack: &mut Unpack<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<(), LayoutError> {
        let beneath = self.chain.map(|chain| Beneath {
            trees: &self.trees,
            chain,
        });
        let done = if let Some(layer) = unpack.find(wanted.diff_id, beneath)? {
            unpack.skip(wanted.descriptor.size);
            Done::There(layer)
        } else {
            let mut file = blobs.open(wanted.descriptor)?;
            let expected = Expected {
                digest: Some(wanted.descriptor.digest),
                diff_id: Some(wanted.diff_id),
            };
            let layer = unpack.layer(&mut file, expected, beneath);
            layer.map_err(|source| LayoutError::Layer {
                digest: wanted.descriptor.digest,
                source: Box::new(source),
            })?
        };
        if done.hides_all() {
            self.trees.clear();
        }
        self.trees.push(done.tree());
        self.done.push(done);
        self.chain = Some(chain(self.chain, wanted.diff_id));
        Ok(())
    }
}

/// What layers come to (`image-spec`, `config.md`, "Layer ChainID").
fn chain(beneath: Option<Digest>, diff_id: Digest) -> Digest {
    match beneath {
        None => diff_id,
        Some(beneath) => Digest::of(format!("{beneath} {diff_id}").as_bytes()),
    }
}

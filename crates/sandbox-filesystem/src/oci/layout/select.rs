//! Which image of a layout is meant.

use std::collections::HashSet;

use super::Selection;
use super::blob::Blobs;
use super::document::{Config, Descriptor, Index, Manifest, Media};
use super::error::LayoutError;
use super::platform::Platform;
use crate::oci::digest::Digest;

/// Indexes in indexes.
const DEEPEST: usize = 4;
/// Manifests that are looked at.
const MOST: usize = 1000;
const SCHEMA: u32 = 2;

/// An image and what it is for, if that is said where it is named.
struct Candidate {
    descriptor: Descriptor,
    platform: Platform,
}

/// The manifest that is meant.
pub(super) fn choose(blobs: &Blobs, index: &Index, selection: &Selection) -> Result<Descriptor, LayoutError> {
    schema("index.json", index.schema_version)?;
    let named = named(index, selection.reference.as_deref())?;
    let mut found = Found::default();
    for descriptor in named {
        found.add(blobs, descriptor, 0)?;
    }
    let wanted = selection.platform.clone();
    let wanted = wanted.unwrap_or_else(Platform::of_this_machine);
    let is_meant = |candidate: &&Candidate| wanted.matches(&candidate.platform);
    let mut meant = found.candidates.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one.descriptor.clone()),
        (None, _) => Err(LayoutError::NoPlatform {
            platform: wanted,
            known: found
                .candidates
                .iter()
                .map(|found| found.platform.to_string())
                .collect(),
        }),
        (Some(_), Some(_)) => Err(LayoutError::Ambiguous {
            known: found
                .candidates
                .iter()
                .filter(is_meant)
                .map(Candidate::name)
                .collect(),
        }),
    }
}

impl Candidate {
    fn name(&self) -> String {
        let name = self.descriptor.reference().map(str::to_owned);
        let name = name.unwrap_or_else(|| self.descriptor.digest.to_string());
        format!("{name} ({})", self.platform)
    }
}

/// What the index calls so; all that it has where nothing is asked for.
fn named<'i>(index: &'i Index, reference: Option<&str>) -> Result<Vec<&'i Descriptor>, LayoutError> {
    let is_named = |descriptor: &&Descriptor| reference.is_none() || descriptor.reference() == reference;
    let named: Vec<_> = index.manifests.iter().filter(is_named).collect();
    match reference {
        Some(reference) if named.is_empty() => Err(LayoutError::NoReference {
            reference: reference.to_owned(),
            known: index
                .manifests
                .iter()
                .filter_map(|known| known.reference().map(str::to_owned))
                .collect(),
        }),
        _ => Ok(named),
    }
}

#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    seen: HashSet<Digest>,
}

impl Found {
    fn add(&mut self, blobs: &Blobs, descriptor: &Descriptor, depth: usize) -> Result<(), LayoutError> {
        if !self.seen.insert(descriptor.digest) {
            return Ok(());
        }
        if self.seen.len() > MOST {
            let what = "images and indexes";
            return Err(LayoutError::Limit { what, limit: MOST });
        }
        match descriptor.media() {
            Media::Index if depth == DEEPEST => {
                let what = "indexes in one another";
                Err(LayoutError::Limit { what, limit: DEEPEST })
            }
            Media::Index => {
                let index: Index = blobs.blob(descriptor)?;
                schema(&descriptor.digest.to_string(), index.schema_version)?;
                for descriptor in &index.manifests {
                    self.add(blobs, descriptor, depth + 1)?;
                }
                Ok(())
            }
            Media::Manifest => {
                let platform = match &descriptor.platform {
                    Some(platform) => Some(platform.clone()),
                    None => platform_of(blobs, descriptor)?,
                };
                self.candidates.extend(platform.map(|platform| Candidate {
                    descriptor: descriptor.clone(),
                    platform,
                }));
                Ok(())
            }
            // An artifact beside the images.
            _ => Ok(()),
        }
    }
}

/// What the image says of itself; none of what is no image.
fn platform_of(blobs: &Blobs, descriptor: &Descriptor) -> Result<Option<Platform>, LayoutError> {
    let manifest = manifest(blobs, descriptor)?;
    if manifest.config.media() != Media::Config {
        return Ok(None);
    }
    let config: Config = blobs.blob(&manifest.config)?;
    Ok(Some(config.platform))
}

pub(super) fn manifest(blobs: &Blobs, descriptor: &Descriptor) -> Result<Manifest, LayoutError> {
    let manifest: Manifest = blobs.blob(descriptor)?;
    schema(&descriptor.digest.to_string(), manifest.schema_version)?;
    Ok(manifest)
}

fn schema(name: &str, version: u32) -> Result<(), LayoutError> {
    let digest = name.to_owned();
    (version == SCHEMA)
        .then_some(())
        .ok_or(LayoutError::Schema { digest, version })
}

//! The files of a layout, read beneath it.

use std::fs::File;
use std::io::Read;

use sandbox_types::RelPath;
use serde::de::DeserializeOwned;

use super::document::Descriptor;
use super::error::LayoutError;
use crate::branch::beneath::Root;
use crate::oci::digest::Digest;

/// How large a document may be. Registries take 4 MiB.
const LONGEST: u64 = 4 << 20;

/// Blobs by what they hash to.
#[derive(Debug)]
pub(super) struct Blobs(Root);

impl Blobs {
    pub(super) fn new(root: Root) -> Self {
        Self(root)
    }

    /// A document that no digest is known of.
    pub(super) fn document<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, LayoutError> {
        let file = self.file(name)?;
        parse(name, &read(name, file)?)
    }

    /// A document among the blobs, if it is what it should be.
    pub(super) fn blob<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T, LayoutError> {
        parse(&descriptor.digest.to_string(), &self.bytes(descriptor)?)
    }

    /// The bytes of a small blob, if they are what they should be.
    pub(super) fn bytes(&self, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let name = descriptor.digest.to_string();
        let bytes = read(&name, self.open(descriptor)?)?;
        let found = Digest::of(&bytes);
        if found == descriptor.digest {
            Ok(bytes)
        } else {
            Err(LayoutError::Damaged {
                expected: descriptor.digest,
                found,
            })
        }
    }

    /// A blob that has the size it should have. Its content is for the reader to check.
    pub(super) fn open(&self, descriptor: &Descriptor) -> Result<File, LayoutError> {
        let file = self.file(&format!("blobs/sha256/{}", descriptor.digest.hex()))?;
        let name = descriptor.digest.to_string();
        let size = file.metadata().map_err(LayoutError::read(&name))?.len();
        if size != descriptor.size {
            return Err(LayoutError::Size {
                digest: descriptor.digest,
                expected: descriptor.size,
                found: size,
            });
        }
        Ok(file)
    }

    fn file(&self, name: &str) -> Result<File, LayoutError> {
        let path = RelPath::new(name).unwrap_or_default();
        self.0.file(&path).map_err(LayoutError::read(name))
    }
}

fn read(name: &str, file: File) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    let mut limited = file.take(LONGEST + 1);
    limited.read_to_end(&mut bytes).map_err(LayoutError::read(name))?;
    if bytes.len() as u64 > LONGEST {
        let name = name.to_owned();
        return Err(LayoutError::TooLarge { name, limit: LONGEST });
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, LayoutError> {
    serde_json::from_slice(bytes).map_err(|source| LayoutError::Document {
        name: name.to_owned(),
        source,
    })
}

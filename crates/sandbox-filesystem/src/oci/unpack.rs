//! A layer → a directory in a store.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::error::LayerError;
use super::options::{Owners, UnpackOptions};
use super::parents;
use super::receive::{Notes, Receiver};
use super::store::{Key, Record, Staged, Store};
use super::stream::LayerStream;
use crate::tarball::Reader;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImportProgress {
    /// Layers that are done.
    pub layers: u64,
    /// All of them, where that is known.
    pub layers_total: Option<u64>,
    /// Bytes of layers, as they come, that were read.
    pub bytes: u64,
    /// All of them, where that is known.
    pub bytes_total: Option<u64>,
    /// Entries that were written.
    pub entries: u64,
}

/// What a layer should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Of the layer as it comes.
    pub digest: Option<Digest>,
    /// Of the archive in it.
    pub diff_id: Option<Digest>,
}

/// A layer as a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layer {
    /// The directory, to be a lower layer of an overlay. Nobody may change what is in it.
    pub path: PathBuf,
    /// Of the archive that it was made from.
    pub diff_id: Digest,
    /// Entries in it, whiteouts among them.
    pub entries: u64,
    /// Bytes that its files hold.
    pub bytes: u64,
    /// Where owners are kept.
    pub owners: Owners,
    /// Whether it was there before.
    pub reused: bool,
    /// Whether it hides everything beneath: no lower layer may be given to an overlay then.
    pub hides_all: bool,
    /// Devices that were left out.
    pub devices_left_out: u64,
    /// Extended attributes that were left out, or could not be set.
    pub attributes_left_out: u64,
    /// Directories that are not in the layer, though something in them is. They look like those beneath, where that is known,
    /// and are root's with mode 0755 elsewhere.
    pub assumed: u64,
}

impl Layer {
    pub(super) fn of(record: &Record, path: PathBuf, reused: bool) -> Self {
        Self {
            path,
            diff_id: record.diff_id,
            entries: record.entries,
            bytes: record.bytes,
            owners: record.owners,
            reused,
            hides_all: record.hides_all,
            devices_left_out: record.devices_left_out,
            attributes_left_out: record.attributes_left_out,
            assumed: record.assumed.len() as u64,
        }
    }
}

/// Unpacks the layer in `input`, a tar archive, plain or compressed by gzip or zstd, into `store`.
///
/// The layer may come from anybody. Nothing is written outside of the store, through a link or over something else;
/// what is hostile in it is an error, and nothing of it is left; it appears whole, after it is on the disk. A layer that
/// is there already (by its `diff_id`) is read, for its digest, and then taken as it is.
///
/// # Errors
/// [`LayerError`], which names the entry.
pub fn import_layer(
    store: &Store,
    input: &mut dyn Read,
    expected: &Expected,
    options: &UnpackOptions,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<Layer, LayerError> {
    let mut unpack = Unpack::new(store, options, progress);
    unpack.state.layers_total = Some(1);
    let done = unpack.layer(input, *expected, None)?;
    store.sync()?;
    done.publish(store)
}

/// A layer that is staged or was there before.
#[derive(Debug)]
pub(super) enum Done {
    There(Layer),
    Staged(Staged, Key, Record),
}

impl Done {
    /// Its directory, for now.
    pub(super) fn tree(&self) -> PathBuf {
        match self {
            Self::There(layer) => layer.path.clone(),
            Self::Staged(staged, _, _) => staged.tree(),
        }
    }

    pub(super) fn hides_all(&self) -> bool {
        match self {
            Self::There(layer) => layer.hides_all,
            Self::Staged(_, _, record) => record.hides_all,
        }
    }

    pub(super) fn publish(self, store: &Store) -> Result<Layer, LayerError> {
        match self {
            Self::There(layer) => Ok(layer),
            Self::Staged(staged, key, record) => {
                let path = store.publish(staged, &key)?;
                Ok(Layer::of(&record, path, false))
            }
        }
    }
}

/// The layers beneath one of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beneath<'b> {
    /// Their directories, the bottom one first.
    pub(super) trees: &'b [PathBuf],
    /// What they come to.
    pub(super) chain: Digest,
}

/// Layers being unpacked, under one budget.
pub(super) struct Unpack<'u> {
    store: &'u Store,
    options: &'u UnpackOptions,
    progress: &'u mut dyn FnMut(ImportProgress),
    pub(super) state: ImportProgress,
    /// Bytes in files.
    content: u64,
}

impl<'u> Unpack<'u> {
    pub(super) fn new(
        store: &'u Store,
        options: &'u UnpackOptions,
        progress: &'u mut dyn FnMut(ImportProgress),
    ) -> Self {
        Self {
            store,
            options,
            progress,
            state: ImportProgress::default(),
            content: 0,
        }
    }

    /// The layer, if it is in the store.
    pub(super) fn find(
        &self,
        diff_id: Digest,
        beneath: Option<Beneath<'_>>,
    ) -> Result<Option<Layer>, LayerError> {
        let owners = self.options.owners;
        let overs = [None, beneath.map(|beneath| beneath.chain)];
        for over in overs.into_iter().take(1 + usize::from(beneath.is_some())) {
            let key = Key {
                diff_id,
                owners,
                over,
            };
            if let Some((record, path)) = self.store.find(&key)? {
                return Ok(Some(Layer::of(&record, path, true)));
            }
        }
        Ok(None)
    }

    /// Counts a layer that need not be read.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.state.layers += 1;
        self.state.bytes = self.state.bytes.saturating_add(bytes);
        (self.progress)(self.state);
    }

    /// Unpacks one layer; it is staged then, and not synced.
    pub(super) fn layer(
        &mut self,
        input: &mut dyn Read,
        expected: Expected,
        beneath: Option<Beneath<'_>>,
    ) -> Result<Done, LayerError> {
        let staged = self.store.stage()?;
        let mut stream = LayerStream::open(input, self.options.limits).map_err(LayerError::reading)?;
        let (before, content) = (self.state, self.content);
        let notes = self.unpack(&mut stream, &staged.tree())?;
        let raw = stream.raw();
        check("digest", expected.digest, raw.digest())?;
        let diff_id = stream.plain().digest();
        check("diff_id", expected.diff_id, diff_id)?;
        self.state.layers += 1;
        (self.progress)(self.state);
        if let Some(layer) = self.find(diff_id, beneath)? {
            return Ok(Done::There(layer));
        }
        let over = settle(&staged.tree(), &notes, beneath)?;
        let record = Record {
            version: Record::VERSION,
            diff_id,
            owners: self.options.owners,
            entries: self.state.entries - before.entries,
            bytes: self.content - content,
            hides_all: notes.hides_all,
            devices_left_out: notes.devices,
            attributes_left_out: notes.attributes,
            assumed: notes.assumed,
        };
        self.store.describe(&staged, &record)?;
        let owners = self.options.owners;
        Ok(Done::Staged(
            staged,
            Key {
                diff_id,
                owners,
                over,
            },
            record,
        ))
    }

    fn unpack(&mut self, stream: &mut LayerStream<'_>, into: &Path) -> Result<Notes, LayerError> {
        let limits = self.options.limits;
        let mut receiver = Receiver::open(into, self.options)?;
        let before = self.state.bytes;
        let read_bytes = stream.read_so_far();
        let mut reader = Reader::new(stream, limits.metadata);
        while let Some((mut entry, read)) = reader.next()? {
            self.state.entries += 1;
            LayerError::unless_within(self.state.entries, limits.entries, "entries")?;
            // A size that is too large is refused before anything is written.
            self.content = self.content.saturating_add(entry.size());
            LayerError::unless_within(self.content, limits.bytes, "bytes")?;
            let (state, progress) = (&mut self.state, &mut *self.progress);
            receiver.take(&mut entry, read, &mut |_| {
                state.bytes = before + read_bytes.get();
                progress(*state);
            })?;
            self.state.bytes = before + read_bytes.get();
            (self.progress)(self.state);
        }
        reader.finish()?;
        self.state.bytes = before + read_bytes.get();
        receiver.finish()
    }
}

/// Gives directories that the layer does not have themselves the attributes of those beneath; what the layer then depends
/// on.
fn settle(tree: &Path, notes: &Notes, beneath: Option<Beneath<'_>>) -> Result<Option<Digest>, LayerError> {
    let Some(beneath) = beneath.filter(|_| !notes.hides_all) else {
        return Ok(None);
    };
    let taken = parents::take(tree, &notes.assumed, beneath.trees)?;
    Ok((taken > 0).then_some(beneath.chain))
}

fn check(what: &'static str, expected: Option<Digest>, found: Digest) -> Result<(), LayerError> {
    match expected {
        Some(expected) if expected != found => Err(LayerError::Digest {
            what,
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

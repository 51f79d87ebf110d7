//! Layers and images that were made for these tests.

mod hostile;
mod images;
mod layers;
mod random;
mod round_trip;
mod store;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;
use crate::tarball::pax::Records;

/// A layer being forged: any name, also of those that a well-meaning writer refuses.
pub(super) struct Forged(Builder<Vec<u8>>);

impl Forged {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn with(self, kind: EntryType, name: &str, link: &str, content: &[u8]) -> Self {
        self.of(kind, name, link, content, |_| {})
    }

    /// The same, with a header that is changed before it is written.
    pub(super) fn of(
        mut self,
        kind: EntryType,
        name: &str,
        link: &str,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.with(EntryType::Regular, name, "", content)
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.with(EntryType::Directory, name, "", b"")
    }

    /// Records for the entry after it.
    pub(super) fn records(self, records: &[(&str, &[u8])]) -> Self {
        let mut written = Records::default();
        for (key, value) in records {
            written.push(key.as_bytes(), value);
        }
        self.with(EntryType::XHeader, "PaxHeaders", "", written.as_bytes())
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A store, and a place for layouts.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) options: UnpackOptions,
}

impl World {
    /// With virtual owners, so that root and everybody else see the same.
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            options: UnpackOptions::new().owners(Owners::Virtual),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn store(&self) -> Store {
        Store::open(self.path("store")).unwrap()
    }

    pub(super) fn import(&self, layer: &[u8]) -> Result<Layer, LayerError> {
        self.import_expecting(layer, &Expected::default())
    }

    pub(super) fn import_expecting(
        &self,
        mut layer: &[u8],
        expected: &Expected,
    ) -> Result<Layer, LayerError> {
        import_layer(&self.store(), &mut layer, expected, &self.options, &mut |_| {})
    }

    /// Nothing is in the store, nothing is on its way, and nothing is beside it.
    #[track_caller]
    pub(super) fn assert_nothing(&self, what: &str) {
        let names = |path: &Path| -> Vec<_> {
            let entries = fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect()
        };
        assert_eq!(names(&self.path("store")), [".staging"], "{what}");
        assert!(names(&self.path("store/.staging")).is_empty(), "{what}");
        let beside = names(self.dir.path());
        assert!(
            beside.iter().all(|name| name == "store" || name == "layout"),
            "{what}: {beside:?}"
        );
    }

    /// A layout with one image of these layers, as they are.
    pub(super) fn layout(&self, layers: &[(&str, Vec<u8>)]) -> LayoutForge {
        let forge = LayoutForge::new(self.path("layout"));
        let manifest = forge.image(layers, &json!({}));
        forge.index(&json!([manifest]));
        forge
    }
}

/// A layout being forged.
pub(super) struct LayoutForge(PathBuf);

pub(super) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(super) const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

impl LayoutForge {
    pub(super) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn blob_path(&self, digest: &Value) -> PathBuf {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        self.0.join("blobs/sha256").join(hex)
    }

    pub(super) fn blob(&self, media: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.0.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media, "digest": digest.to_string(), "size": bytes.len()})
    }

    pub(super) fn document(&self, media: &str, document: &Value) -> Value {
        self.blob(media, &serde_json::to_vec(document).unwrap())
    }

    /// The descriptor of an image with these layers; `more` goes into its configuration.
    pub(super) fn image(&self, layers: &[(&str, Vec<u8>)], more: &Value) -> Value {
        let descriptors: Vec<_> = layers
            .iter()
            .map(|(media, bytes)| self.blob(media, bytes))
            .collect();
        let diff_ids: Vec<_> = layers
            .iter()
            .map(|(_, bytes)| Digest::of(&plain(bytes)).to_string())
            .collect();
        let mut config = json!({
            "os": "linux",
            "architecture": Platform::of_this_machine().to_string().split('/').nth(1),
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "config": {"Cmd": ["/bin/sh"]},
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let config = self.document(CONFIG, &config);
        self.manifest(&config, &descriptors)
    }

    pub(super) fn manifest(&self, config: &Value, layers: &[Value]) -> Value {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        self.document(MANIFEST, &manifest)
    }

    pub(super) fn nested(&self, manifests: &Value) -> Value {
        self.document(INDEX, &json!({"schemaVersion": 2, "manifests": manifests}))
    }

    pub(super) fn index(&self, manifests: &Value) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }
}

/// The archive in a layer.
fn plain(layer: &[u8]) -> Vec<u8> {
    let mut input = layer;
    let mut bytes = Vec::new();
    let mut stream = super::stream::LayerStream::open(&mut input, Limits::default()).unwrap();
    std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    bytes
}

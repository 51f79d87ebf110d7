//! Layers of a container image, an overlay over them, and what was written as a new layer.
//!
//! An image comes as a directory (an OCI image layout, as `skopeo copy docker://debian:12 oci:DIR` makes one); this example makes
//! a small one of its own. Its layers are checked against their digests and become directories, once for all images that
//! have them. An overlay shows them as one tree, in this process: no mount, no root. What is written to it is in the upper
//! directory, which is exported: a tar archive with whiteouts, and the two digests that a manifest and a configuration
//! need.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

use sandbox::StatVirtualization;
use sandbox::backend::OverlayFs;
use sandbox::fs::Context;
use sandbox::oci::{ExportOptions, Layout, Limits, Owners, export_layer, layer_changes};
use sandbox::tree::Tree;

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);
    make_image(&path("image"))?;

    // Unpack: verified, bounded, published whole.
    let image = Layout::open(path("image"))?.unpack_verified(path("layers"), Limits::default())?;
    for layer in &image.layers {
        writeln!(stdout(), "layer {}: {} entries", layer.diff_id, layer.entries)?;
    }

    // One tree of all layers, and a place for what is written.
    fs::create_dir(path("upper"))?;
    fs::create_dir(path("work"))?;
    let owners = Owners::of_caller();
    let stat = match owners {
        Owners::Real => StatVirtualization::Off,
        Owners::Virtual => StatVirtualization::Strict,
    };
    let overlay = OverlayFs::builder()
        .layers(image.paths())
        .writable(path("upper"))
        .staging(path("work"))
        .stat_virtualization(stat)
        .build()?;
    let tree = Tree::new(&overlay, Context::new(0, 0));
    assert_eq!(tree.read("etc/motd")?, b"welcome\n");
    tree.write("etc/motd", b"changed\n")?;
    tree.remove_file("etc/old")?;
    assert!(!tree.exists("etc/old")?);
    drop(overlay);

    // What has changed, and the layer that says so.
    let lowers: Vec<_> = image.paths().map(Path::to_owned).collect();
    for change in layer_changes(&path("upper"), &lowers, owners)? {
        writeln!(stdout(), "{:?} {}", change.change, change.path)?;
    }
    let mut layer = fs::File::create(path("layer.tar.gz"))?;
    let exported = export_layer(&path("upper"), &ExportOptions::new(), &mut layer, &mut |_| {})?;
    writeln!(
        stdout(),
        "digest  {}\ndiff_id {}",
        exported.digest,
        exported.diff_id
    )?;
    Ok(())
}

/// An image of one layer, for this machine.
fn make_image(at: &Path) -> Result<(), Box<dyn Error>> {
    let blobs = at.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let tree = at.join("tree");
    fs::create_dir_all(tree.join("etc"))?;
    fs::write(tree.join("etc/motd"), "welcome\n")?;
    fs::write(tree.join("etc/old"), "1\n")?;

    // A layer, and what it hashes to.
    let mut bytes = Vec::new();
    let layer = export_layer(&tree, &ExportOptions::new(), &mut bytes, &mut |_| {})?;
    fs::write(blobs.join(layer.digest.hex()), &bytes)?;

    // What points to it, and to one another.
    let blob = |media: &str, text: &str| -> std::io::Result<String> {
        let digest = sandbox::oci::Digest::of(text.as_bytes());
        fs::write(blobs.join(digest.hex()), text)?;
        Ok(format!(
            r#"{{"mediaType":"{media}","digest":"{digest}","size":{}}}"#,
            text.len()
        ))
    };
    let platform = sandbox::oci::Platform::of_this_machine().to_string();
    let (os, architecture) = platform.split_once('/').unwrap_or_default();
    let config = format!(
        r#"{{"os":"{os}","architecture":"{architecture}","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.diff_id
    );
    let config = blob("application/vnd.oci.image.config.v1+json", &config)?;
    let (media, digest, size) = (layer.media_type, layer.digest, layer.size);
    let layer = format!(r#"{{"mediaType":"{media}","digest":"{digest}","size":{size}}}"#);
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = blob("application/vnd.oci.image.manifest.v1+json", &manifest)?;
    fs::write(
        at.join("index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#),
    )?;
    fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(())
}

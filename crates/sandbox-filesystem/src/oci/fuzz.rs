//! What a fuzzer calls: any bytes, taken for a layer.

use std::fs;
use std::path::Path;

use super::{Devices, Expected, Limits, Owners, Store, UnpackOptions, import_layer};

/// Imports `bytes` as a layer. An error is what was found wrong: something beside the layer, or something left of one that
/// was refused.
pub fn check_layer(bytes: &[u8]) -> Result<(), &'static str> {
    let place = tempfile::tempdir().map_err(|_| "no directory")?;
    let store = Store::open(place.path().join("store")).map_err(|_| "no store")?;
    let limits = Limits::default().entries(1000).bytes(1 << 20).metadata(1 << 20);
    let options = UnpackOptions::new()
        .owners(Owners::Virtual)
        .devices(Devices::Keep)
        .limits(limits);
    let mut input = bytes;
    let imported = import_layer(&store, &mut input, &Expected::default(), &options, &mut |_| {});
    let left = usize::from(imported.is_ok());
    if count(place.path()) != Some(1) {
        return Err("something was written beside the store");
    }
    if count(&store.path().join(".staging")) != Some(0) {
        return Err("something is still on its way");
    }
    (count(store.path()) == Some(1 + left))
        .then_some(())
        .ok_or("what was refused is there, or what was imported is not")
}

fn count(path: &Path) -> Option<usize> {
    fs::read_dir(path).ok().map(Iterator::count)
}

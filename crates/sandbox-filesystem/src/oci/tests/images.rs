//! Whole images.

use super::*;

fn open(forge: &LayoutForge) -> Layout {
    Layout::open(forge.path()).unwrap()
}

fn unpack(world: &World, forge: &LayoutForge) -> Result<Image, LayoutError> {
    unpack_one(world, forge, &Selection::new())
}

fn unpack_one(world: &World, forge: &LayoutForge, selection: &Selection) -> Result<Image, LayoutError> {
    let layout = Layout::open(forge.path())?;
    layout.unpack(selection, &world.store(), &world.options, &mut |_| {})
}

fn layers() -> Vec<(&'static str, Vec<u8>)> {
    let [one, two, three] =
        ["one", "two", "three"].map(|name| Forged::new().file(name, name.as_bytes()).end());
    vec![
        (GZIP, gzip(&one)),
        (PLAIN, two),
        (ZSTD, zstd::encode_all(&three[..], 1).unwrap()),
    ]
}

#[test]
fn an_image_becomes_its_layers_and_they_are_taken_again() {
    let world = World::new();
    let forge = world.layout(&layers());
    let mut last = None;
    let image = open(&forge)
        .unpack(&Selection::new(), &world.store(), &world.options, &mut |state| {
            last = Some(state);
        })
        .unwrap();
    let names: Vec<_> = image
        .paths()
        .map(|path| fs::read_dir(path).unwrap().next().unwrap().unwrap().file_name())
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
    let state = last.unwrap();
    assert_eq!((state.layers, state.layers_total), (3, Some(3)));
    assert_eq!(Some(state.bytes), state.bytes_total);
    assert!(image.layers.iter().all(|layer| !layer.reused));
    assert!(
        String::from_utf8(image.config.clone())
            .unwrap()
            .contains("/bin/sh")
    );
    let again = unpack(&world, &forge).unwrap();
    assert!(again.layers.iter().all(|layer| layer.reused));
    assert!(again.paths().eq(image.paths()));
}

#[test]
fn nothing_of_an_image_appears_unless_all_of_it_is_right() {
    let world = World::new();
    let forge = world.layout(&layers());
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = read(&forge.path().join("index.json"));
    let manifest_path = forge.blob_path(&index["manifests"][0]["digest"]);
    let manifest = read(&manifest_path);
    let blobs = [
        manifest_path,
        forge.blob_path(&manifest["config"]["digest"]),
        forge.blob_path(&manifest["layers"][0]["digest"]),
        forge.blob_path(&manifest["layers"][2]["digest"]),
    ];
    for path in blobs {
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for bad in [
            flipped,
            good[..good.len() - 1].to_vec(),
            [&good[..], b" "].concat(),
        ] {
            fs::write(&path, bad).unwrap();
            unpack(&world, &forge).unwrap_err();
            world.assert_nothing("damaged");
        }
        fs::remove_file(&path).unwrap();
        unpack(&world, &forge).unwrap_err();
        let outside = world.path("layout/outside");
        fs::write(&outside, &good).unwrap();
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        unpack(&world, &forge).unwrap_err();
        fs::remove_file(&path).unwrap();
        fs::remove_file(&outside).unwrap();
        fs::write(&path, good).unwrap();
        world.assert_nothing("missing");
    }
    unpack(&world, &forge).unwrap();
}

#[test]
fn a_diff_id_that_is_another_one_is_refused_though_the_digest_is_right() {
    let world = World::new();
    let forge = LayoutForge::new(world.path("layout"));
    let other = Digest::of(b"other").to_string();
    let more = json!({"rootfs": {"type": "layers", "diff_ids": [other]}});
    let manifest = forge.image(&layers()[..1], &more);
    forge.index(&json!([manifest]));
    let error = unpack(&world, &forge).unwrap_err();
    let LayoutError::Layer { source, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        matches!(**source, LayerError::Digest { what: "diff_id", .. }),
        "{error}"
    );
    world.assert_nothing("diff_id");
    let more = json!({"rootfs": {"type": "layers", "diff_ids": []}});
    let manifest = forge.image(&layers()[..1], &more);
    forge.index(&json!([manifest]));
    let error = unpack(&world, &forge).unwrap_err();
    assert!(
        matches!(
            error,
            LayoutError::Layers {
                layers: 1,
                diff_ids: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_image_for_this_machine_or_the_one_that_is_named_is_taken() {
    let world = World::new();
    let forge = LayoutForge::new(world.path("layout"));
    let [one, two, three] = [0, 1, 2].map(|number| layers().remove(number));
    let named = |mut descriptor: Value, name: &str| {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        descriptor
    };
    let for_platform = |mut descriptor: Value, os: &str, architecture: &str| {
        descriptor["platform"] = json!({"os": os, "architecture": architecture});
        descriptor
    };
    let mine = forge.image(&[one], &json!({}));
    let foreign = forge.image(&[two], &json!({"architecture": "mips"}));
    let other = forge.image(&[three], &json!({}));
    let attestation = for_platform(forge.image(&[], &json!({"os": "unknown"})), "unknown", "unknown");
    let signature = forge.blob("application/vnd.example.signature", b"{}");
    let inner = forge.nested(&json!([
        mine,
        for_platform(foreign.clone(), "linux", "mips"),
        attestation,
        signature
    ]));
    forge.index(&json!([named(inner, "first"), named(other, "second")]));
    let layout = open(&forge);
    assert_eq!(layout.references().collect::<Vec<_>>(), ["first", "second"]);
    let find = |selection: Selection| layout.find(&selection);
    let digest = |descriptor: &Value| descriptor["digest"].as_str().unwrap().to_owned();
    let first = find(Selection::new().reference("first")).unwrap();
    assert_eq!(first.to_string(), digest(&mine));
    let mips = Selection::new().platform("linux/mips".parse().unwrap());
    assert_eq!(find(mips).unwrap().to_string(), digest(&foreign));
    let error = find(Selection::new()).unwrap_err().to_string();
    assert!(
        error.contains("more than one image") && error.contains("second"),
        "{error}"
    );
    let error = find(Selection::new().reference("third")).unwrap_err().to_string();
    assert_eq!(error, r#"no image is called "third"; there are first, second"#);
    let error = find(Selection::new().platform("linux/s390x".parse().unwrap())).unwrap_err();
    assert!(
        error.to_string().contains("there are") && error.to_string().contains("linux/mips"),
        "{error}"
    );
}

#[test]
fn documents_that_make_no_sense_are_refused() {
    let world = World::new();
    let forge = world.layout(&layers());
    let index = fs::read(forge.path().join("index.json")).unwrap();
    let write = |text: &[u8]| fs::write(forge.path().join("index.json"), text).unwrap();
    let zeros = "0".repeat(64);
    let traversal = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../oci-layout","size":1}]}"#;
    let sha512 = traversal.replace("sha256:../../oci-layout", "sha512:00");
    let missing = traversal.replace("../../oci-layout", &zeros);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!(
        r#"{{"schemaVersion":2,"manifests":[],"x":"{}"}}"#,
        "x".repeat(5 << 20)
    );
    for (text, why) in [
        ("{", "not what an image has"),
        ("[]", "not what an image has"),
        (&deep, "not what an image has"),
        (r#"{"schemaVersion":1,"manifests":[]}"#, "of schema 1"),
        (r#"{"schemaVersion":2,"manifests":[]}"#, "there is none"),
        (traversal, "is not a digest"),
        (&sha512, "is not a digest"),
        (&missing, "cannot be read"),
        (&huge, "more than 4194304 bytes"),
    ] {
        write(text.as_bytes());
        let error = unpack(&world, &forge).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    write(&index);
    fs::write(
        forge.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"2.0.0"}"#,
    )
    .unwrap();
    let error = unpack(&world, &forge).unwrap_err().to_string();
    assert!(error.contains(r#"of version "2.0.0""#), "{error}");
    fs::remove_file(forge.path().join("oci-layout")).unwrap();
    let error = unpack(&world, &forge).unwrap_err();
    assert!(error.hint().unwrap().contains("skopeo"), "{error}");
}

#[test]
fn indexes_in_indexes_and_things_that_are_no_images_have_an_end() {
    let world = World::new();
    let forge = world.layout(&layers());
    let mut descriptor = forge.image(&layers(), &json!({}));
    for _ in 0..3 {
        descriptor = forge.nested(&json!([descriptor]));
    }
    forge.index(&json!([descriptor]));
    unpack(&world, &forge).unwrap();
    for _ in 0..2 {
        descriptor = forge.nested(&json!([descriptor]));
    }
    forge.index(&json!([descriptor]));
    let error = unpack(&world, &forge).unwrap_err().to_string();
    assert!(error.contains("more than 4 indexes in one another"), "{error}");
    let many: Vec<_> = (0..1001)
        .map(|number: u32| {
            let digest = Digest::of(&number.to_le_bytes()).to_string();
            json!({"mediaType": "application/x", "digest": digest, "size": 1})
        })
        .collect();
    forge.index(&json!(many));
    let error = unpack(&world, &forge).unwrap_err().to_string();
    assert!(error.contains("more than 1000 images"), "{error}");
    let config = forge.document("application/vnd.example.config", &json!({}));
    let artifact = forge.manifest(&config, &[]);
    forge.index(&json!([artifact]));
    let error = unpack(&world, &forge).unwrap_err().to_string();
    assert!(error.contains("there is none"), "{error}");
    let chart = forge.blob("application/vnd.example.chart", b"");
    let config: Value = json!({"os": "linux", "architecture": Platform::of_this_machine().to_string().split('/').nth(1),
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"").to_string()]}});
    let config = forge.document("application/vnd.oci.image.config.v1+json", &config);
    forge.index(&json!([forge.manifest(&config, &[chart])]));
    let error = unpack(&world, &forge).unwrap_err();
    assert!(
        matches!(error, LayoutError::Media { wanted: "layer", .. }),
        "{error}"
    );
}

#[test]
fn a_directory_that_a_layer_does_not_have_looks_like_the_one_beneath() {
    let world = World::new();
    let base = Forged::new()
        .of(EntryType::Directory, "srv", "", b"", |header| {
            header.set_mode(0o1770);
            header.set_uid(33);
        })
        .end();
    let above = Forged::new().file("srv/data/x", b"x").end();
    let forge = world.layout(&[(PLAIN, base), (PLAIN, above.clone())]);
    let image = unpack(&world, &forge).unwrap();
    let kept = |path: PathBuf| {
        let mut value = [0; 100];
        let length = rustix::fs::getxattr(path, "user.containers.override_stat", &mut value).unwrap();
        String::from_utf8(value[..length].to_vec()).unwrap()
    };
    let top = &image.layers[1].path;
    assert_eq!(kept(top.join("srv")), "33:0:1770:dir");
    assert_eq!(kept(top.join("srv/data")), "0:0:0755:dir");
    // By itself the layer is another one: over other layers it looks otherwise.
    let alone = world.import(&above).unwrap();
    assert_ne!(&alone.path, top);
    assert_eq!(kept(alone.path.join("srv")), "0:0:0755:dir");
    assert!(
        unpack(&world, &forge)
            .unwrap()
            .layers
            .iter()
            .all(|layer| layer.reused)
    );
}

#[test]
fn layers_beneath_one_that_hides_everything_are_not_given_to_overlays() {
    let world = World::new();
    let hiding = Forged::new().file(".wh..wh..opq", b"").file("only", b"").end();
    let forge = world.layout(&[layers().remove(0), (PLAIN, hiding), layers().remove(1)]);
    let image = unpack(&world, &forge).unwrap();
    assert_eq!((image.layers.len(), image.paths().count()), (3, 2));
    assert!(image.paths().next().unwrap().join("only").exists());
}

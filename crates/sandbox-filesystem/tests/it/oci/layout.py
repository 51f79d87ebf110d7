"""Makes an OCI image layout by hand, and says what its image shows: sys.argv[1] is the directory."""
import gzip, hashlib, io, json, os, platform, sys, tarfile

place = sys.argv[1]
os.makedirs(place + "/blobs/sha256")
seen = {}  # what an image of these layers shows: path -> description


def blob(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{place}/blobs/sha256/{digest}", "wb") as file:
        file.write(data)
    return "sha256:" + digest, len(data)


def layer(entries, form):
    """The entries as a tar, and applied to what is seen as the specification has it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, mode, owner, content in entries:
            info = tarfile.TarInfo(name)
            info.type = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "s": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}[kind]
            info.mode, (info.uid, info.gid), info.mtime = mode, owner, 1600000000
            data = b""
            if kind == "f":
                data = content
                info.size = len(data)
            elif kind in "sh":
                info.linkname = content
            tar.addfile(info, io.BytesIO(data))
    hidden = []
    for name, *_ in entries:
        parent, base = os.path.split(name)
        if base == ".wh..wh..opq":
            hidden += [path for path in seen if path.startswith(parent + "/")]
        elif base.startswith(".wh."):
            gone = os.path.join(parent, base[4:])
            hidden += [path for path in seen if path == gone or path.startswith(gone + "/")]
    for path in hidden:
        seen.pop(path, None)
    for name, kind, mode, owner, content in entries:
        if os.path.basename(name).startswith(".wh."):
            continue
        if kind == "h":
            seen[name] = seen[content]
            continue
        if kind != "d":
            for path in [path for path in seen if path.startswith(name + "/")]:
                del seen[path]
        digest = hashlib.sha256(content).hexdigest() if kind == "f" else content or "-"
        seen[name] = f"{kind} {mode:04o} {owner[0]}:{owner[1]} {digest}"
    return out.getvalue()


root = (0, 0)
layers = [
    layer(
        [
            ("etc", "d", 0o755, root, None),
            ("etc/passwd", "f", 0o644, root, b"root:x:0:0\n"),
            ("etc/old", "f", 0o600, root, b"old"),
            ("bin", "d", 0o755, root, None),
            ("bin/su", "f", 0o4755, root, b"#!su" * 1000),
            ("bin/link", "s", 0o777, root, "../etc/passwd"),
            ("var", "d", 0o755, root, None),
            ("var/cache", "d", 0o755, root, None),
            ("var/cache/a", "f", 0o644, root, b"a"),
            ("var/www", "d", 0o2750, (33, 33), None),
            ("var/www/index", "f", 0o640, (33, 33), b"<html>"),
            ("turns", "d", 0o755, root, None),
            ("turns/inner", "f", 0o644, root, b"inner"),
            ("n" * 255, "f", 0o644, root, b"long"),
        ],
        tarfile.PAX_FORMAT,
    ),
    layer(
        [
            ("etc", "d", 0o755, root, None),
            ("etc/.wh.old", "f", 0, root, b""),
            ("etc/passwd", "f", 0o644, root, b"root:x:0:0\nme:x:1000:1000\n"),
            ("var", "d", 0o755, root, None),
            ("var/cache", "d", 0o700, (1, 2), None),
            ("var/cache/b", "f", 0o644, (1000, 1000), bytes(1 << 20)),
            ("var/cache/.wh..wh..opq", "f", 0, root, b""),
            ("var/cache/c", "h", 0o644, (1000, 1000), "var/cache/b"),
            (".wh.turns", "f", 0, root, b""),
        ],
        tarfile.GNU_FORMAT,
    ),
    layer(
        [
            ("turns", "f", 0o644, root, b"a file now"),
            ("etc", "d", 0o711, root, None),
            ("etc/new", "s", 0o777, root, "/proc/1/root"),
            ("bin", "d", 0o755, root, None),
            ("bin/.wh.link", "f", 0, root, b""),
        ],
        tarfile.USTAR_FORMAT,
    ),
]
machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
config = {
    "os": "linux",
    "architecture": machine,
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]},
}
kinds = ["+gzip", "", "+gzip"]
described = []
for data, kind in zip(layers, kinds):
    digest, size = blob(gzip.compress(data) if kind else data)
    media = "application/vnd.oci.image.layer.v1.tar" + kind
    described.append({"mediaType": media, "digest": digest, "size": size})
digest, size = blob(json.dumps(config).encode())
manifest = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size},
    "layers": described,
}
digest, size = blob(json.dumps(manifest).encode())
descriptor = {
    "mediaType": manifest["mediaType"],
    "digest": digest,
    "size": size,
    "annotations": {"org.opencontainers.image.ref.name": "latest"},
}
with open(place + "/index.json", "w") as file:
    json.dump({"schemaVersion": 2, "manifests": [descriptor]}, file)
with open(place + "/oci-layout", "w") as file:
    json.dump({"imageLayoutVersion": "1.0.0"}, file)
for path in sorted(seen):
    print(path, seen[path])

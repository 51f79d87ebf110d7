//! A bundle for runc: a read-only root with the host's /usr, and the namespaces of its own defaults.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{BenchError, account::Account, peer::command_as};
use crate::{
    error::{Error, Result},
    workspace,
};

const LINKS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// The words that run /bin/true in a bundle made in `dir`; none where runc is not installed.
pub(super) fn command(dir: &Path, account: &Account) -> Result<Option<Vec<String>>> {
    let Some(runc) = workspace::find_program("runc") else {
        return Ok(None);
    };
    let bundle = dir.join("bundle");
    make_root(&bundle.join("rootfs"))?;
    super::tools::give(&bundle, account)?;
    let config = bundle.join("config.json");
    let mut spec = command_as(account, &runc);
    spec.arg("spec").current_dir(&bundle);
    if account.uid != 0 {
        spec.arg("--rootless");
    }
    let failed = |source| BenchError::Peer {
        program: "runc spec".to_owned(),
        source,
    };
    if !spec.status().map_err(failed)?.success() {
        return Ok(None);
    }
    let text = fs::read_to_string(&config).map_err(Error::io(&config))?;
    let spec = serde_json::from_str(&text).map_err(|source| Error::Json {
        command: "runc spec",
        source,
    })?;
    fs::write(&config, changed(spec).to_string()).map_err(Error::io(&config))?;
    let state = dir.join("runc-state");
    let words: [PathBuf; 7] = [
        runc,
        "--root".into(),
        state,
        "run".into(),
        "--bundle".into(),
        bundle,
        format!("sandbox-bench-{}", std::process::id()).into(),
    ];
    Ok(Some(
        words.iter().map(|word| word.display().to_string()).collect(),
    ))
}

fn make_root(root: &Path) -> Result<()> {
    for name in ["usr", "proc", "dev", "sys"] {
        fs::create_dir_all(root.join(name)).map_err(Error::io(root))?;
    }
    for name in LINKS.iter().filter(|name| Path::new("/").join(name).exists()) {
        symlink(format!("usr/{name}"), root.join(name)).map_err(Error::io(root))?;
    }
    Ok(())
}

fn changed(mut spec: Value) -> Value {
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/bin/true"]);
    let mut mounts: Vec<Value> = spec["mounts"].as_array().cloned().unwrap_or_default();
    // Not every host lets it mount one, and /bin/true does not look.
    mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    mounts.push(json!({ "destination": "/usr", "type": "none", "source": "/usr",
                        "options": ["rbind", "ro", "nosuid", "nodev"] }));
    spec["mounts"] = Value::Array(mounts);
    spec
}

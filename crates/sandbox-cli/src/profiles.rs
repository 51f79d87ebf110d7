//! Profiles by name or file: built-in ones, and those in the user's configuration directory.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use sandbox::Policy;
use sandbox::policy::{BUILT_IN, DocumentError, built_in};

use crate::error::CliError;

/// A profile of the user's own.
#[derive(Debug)]
pub(crate) struct UserProfile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The policy of a profile: a file when `name` has a slash or ends in .toml or .json, else a name.
pub(crate) fn load(name: &OsStr) -> Result<Policy, CliError> {
    let path = Path::new(name);
    if is_file_name(path) {
        return load_file(path);
    }
    let user_path = name.to_str().and_then(user_path);
    if let Some(profile) = name.to_str().and_then(built_in) {
        return profile.policy().map_err(|source| CliError::Profile {
            path: path.to_owned(),
            source,
        });
    }
    match user_path {
        Some(path) if path.exists() => load_file(&path),
        user_path => Err(CliError::NoSuchProfile {
            name: path.display().to_string(),
            user_path,
        }),
    }
}

/// The policy in a file; JSON by its name, TOML otherwise.
pub(crate) fn load_file(path: &Path) -> Result<Policy, CliError> {
    let text = fs::read_to_string(path).map_err(|source| CliError::File {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text).map_err(|source| CliError::Profile {
        path: path.to_owned(),
        source,
    })
}

fn parse(path: &Path, text: &str) -> Result<Policy, DocumentError> {
    if path.extension() == Some(OsStr::new("json")) {
        Policy::from_json(text)
    } else {
        Policy::from_toml(text)
    }
}

fn is_file_name(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().contains(&b'/')
        || [Some(OsStr::new("toml")), Some(OsStr::new("json"))].contains(&path.extension())
}

/// Where a profile of that name would be.
fn user_path(name: &str) -> Option<PathBuf> {
    Some(directory()?.join(format!("{name}.toml")))
}

/// `$XDG_CONFIG_HOME/sandbox/profiles`.
fn directory() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let configuration = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .and_then(absolute);
    let home = || std::env::var_os("HOME").map(PathBuf::from).and_then(absolute);
    Some(
        configuration
            .or_else(|| Some(home()?.join(".config")))?
            .join("sandbox/profiles"),
    )
}

/// The user's own profiles, by name. One of a built-in name is never used, so it is not listed.
pub(crate) fn of_user() -> Vec<UserProfile> {
    let entries = directory().and_then(|directory| fs::read_dir(directory).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut profiles: Vec<_> = paths
        .filter(|path| path.extension() == Some(OsStr::new("toml")))
        .filter_map(|path| {
            Some(UserProfile {
                name: path.file_stem()?.to_str()?.to_owned(),
                path,
            })
        })
        .filter(|profile| BUILT_IN.iter().all(|built_in| built_in.name != profile.name))
        .collect();
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    profiles
}

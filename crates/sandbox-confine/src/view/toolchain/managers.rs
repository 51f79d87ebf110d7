//! Version managers and package managers, as data: what a directory on `PATH` needs besides itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::hidden::is_system;
use super::super::lookup;
use super::super::names::Names;

/// Directories of a home that hold everything, of which only parts are ever granted.
const CATCH_ALL: &[&str] = &[
    ".local",
    ".local/share",
    ".local/state",
    ".config",
    ".cache",
    "Documents",
    "Downloads",
    "Desktop",
    "src",
];

/// One manager of toolchains.
#[derive(Debug)]
pub(super) struct Manager {
    /// Its name, for the reason of a grant.
    pub(super) name: &'static str,
    /// The variable that names its root; handed on when the manager is in use.
    pub(super) variable: Option<&'static str>,
    /// Where its root is without the variable, relative to `$HOME`; the first that exists.
    pub(super) roots: &'static [&'static str],
    /// The manager is in use when a directory on `PATH` is beneath its root, or beneath one of these.
    pub(super) markers: &'static [&'static str],
    /// What is granted beneath the root; `""` is the root itself.
    pub(super) grants: &'static [&'static str],
}

/// A manager of which there are files.
pub(super) struct Installed {
    pub(super) manager: &'static Manager,
    pub(super) root: PathBuf,
    /// A directory on `PATH` beneath one of these means that the manager is in use.
    pub(super) signs: Vec<PathBuf>,
}

const fn whole(name: &'static str, variable: &'static str, roots: &'static [&'static str]) -> Manager {
    Manager {
        name,
        variable: Some(variable),
        roots,
        markers: &[],
        grants: &[""],
    }
}

/// All known managers. A directory on `PATH` of none of them still gets itself, its installation (the parent
/// of a `bin` that has a `lib` beside it) and what its links lead to, which is enough for most.
pub(super) const MANAGERS: &[Manager] = &[
    // Never the whole of it: `credentials.toml` lies there.
    Manager {
        name: "cargo",
        variable: Some("CARGO_HOME"),
        roots: &[".cargo"],
        markers: &[],
        grants: &["bin", "registry", "git", "config.toml", "config", "env"],
    },
    Manager {
        name: "rustup",
        variable: Some("RUSTUP_HOME"),
        roots: &[".rustup"],
        markers: &[".cargo/bin", "$CARGO_HOME"],
        grants: &[""],
    },
    whole("nvm", "NVM_DIR", &[".nvm", ".config/nvm"]),
    Manager {
        name: "fnm",
        variable: Some("FNM_DIR"),
        roots: &[".local/share/fnm", ".fnm"],
        markers: &[".local/state/fnm_multishells"],
        grants: &[""],
    },
    whole("volta", "VOLTA_HOME", &[".volta"]),
    whole("n", "N_PREFIX", &["n"]),
    Manager {
        name: "npm",
        variable: Some("NPM_CONFIG_PREFIX"),
        roots: &[".npm-global", ".npm-packages"],
        markers: &[],
        grants: &["bin", "lib"],
    },
    whole("pnpm", "PNPM_HOME", &[".local/share/pnpm"]),
    Manager {
        name: "bun",
        variable: Some("BUN_INSTALL"),
        roots: &[".bun"],
        markers: &[],
        grants: &["bin", "install/global"],
    },
    Manager {
        name: "deno",
        variable: Some("DENO_INSTALL"),
        roots: &[".deno"],
        markers: &[],
        grants: &["bin"],
    },
    whole("pyenv", "PYENV_ROOT", &[".pyenv"]),
    Manager {
        name: "uv",
        variable: None,
        roots: &[".local/share/uv"],
        markers: &[".local/bin"],
        grants: &["python", "tools"],
    },
    Manager {
        name: "pipx",
        variable: Some("PIPX_HOME"),
        roots: &[".local/share/pipx", ".local/pipx"],
        markers: &[".local/bin"],
        grants: &["venvs", "shared"],
    },
    Manager {
        name: "pip --user",
        variable: Some("PYTHONUSERBASE"),
        roots: &[".local"],
        markers: &[".local/bin"],
        grants: &["lib"],
    },
    Manager {
        name: "poetry",
        variable: Some("POETRY_HOME"),
        roots: &[".local/share/pypoetry", ".poetry"],
        markers: &[".local/bin"],
        grants: &["venv", "bin", "lib"],
    },
    whole(
        "conda",
        "CONDA_ROOT",
        &[
            "miniconda3",
            "miniforge3",
            "mambaforge",
            "anaconda3",
            "micromamba",
        ],
    ),
    whole("rbenv", "RBENV_ROOT", &[".rbenv"]),
    whole("rvm", "rvm_path", &[".rvm"]),
    Manager {
        name: "asdf",
        variable: Some("ASDF_DATA_DIR"),
        roots: &[".asdf"],
        markers: &[],
        grants: &["", "../.tool-versions"],
    },
    whole("mise", "MISE_DATA_DIR", &[".local/share/mise"]),
    Manager {
        name: "go",
        variable: Some("GOPATH"),
        roots: &["go"],
        markers: &[],
        grants: &["bin", "pkg/mod"],
    },
    Manager {
        name: "go sdk",
        variable: None,
        roots: &["sdk"],
        markers: &[],
        grants: &[""],
    },
    Manager {
        name: "sdkman",
        variable: Some("SDKMAN_DIR"),
        roots: &[".sdkman"],
        markers: &[],
        grants: &["bin", "candidates", "src", "etc"],
    },
    whole("jenv", "JENV_ROOT", &[".jenv"]),
    whole("dotnet", "DOTNET_ROOT", &[".dotnet"]),
    whole("opam", "OPAMROOT", &[".opam"]),
    whole("ghcup", "GHCUP_INSTALL_BASE_PREFIX", &[".ghcup"]),
    whole("elan", "ELAN_HOME", &[".elan"]),
    Manager {
        name: "juliaup",
        variable: None,
        roots: &[".julia"],
        markers: &[".juliaup"],
        grants: &["juliaup", "packages", "registries", "artifacts"],
    },
    Manager {
        name: "composer",
        variable: Some("COMPOSER_HOME"),
        roots: &[".config/composer", ".composer"],
        markers: &[],
        grants: &["vendor"],
    },
];

/// Variables that name a place of a toolchain and are handed on when that place is visible.
pub(super) const PLACES: &[&str] = &[
    "JAVA_HOME",
    "JDK_HOME",
    "GOROOT",
    "GOMODCACHE",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_EXE",
    "CONDA_PYTHON_EXE",
    "NVM_BIN",
    "NVM_INC",
    "FNM_MULTISHELL_PATH",
    "NODE_PATH",
    "GEM_HOME",
    "GRADLE_HOME",
    "MAVEN_HOME",
    "M2_HOME",
    "KOTLIN_HOME",
    "SCALA_HOME",
    "ANDROID_HOME",
    "ANDROID_SDK_ROOT",
    "UV_PYTHON_INSTALL_DIR",
    "UV_TOOL_DIR",
];

/// `manager`, if its files exist: where its variable says, or else at one of its usual places in a home where only `present` can be.
pub(super) fn installed(
    manager: &'static Manager,
    home: &Path,
    present: &Names,
    env: &[(OsString, OsString)],
) -> Option<Installed> {
    let variable = |name: &str| {
        lookup(env, name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let named = manager
        .variable
        .and_then(variable)
        .filter(|path| !is_system(path));
    let root = match named {
        Some(named) => Some(named).filter(|path| path.is_dir()),
        None => manager
            .roots
            .iter()
            .filter(|root| present.may_hold(Path::new(root)))
            .map(|root| home.join(root))
            .find(|root| root.is_dir()),
    }?;
    let markers = manager
        .markers
        .iter()
        .filter_map(|marker| match marker.strip_prefix('$') {
            Some(name) => variable(name),
            None => Some(home.join(marker)),
        });
    // A root as wide as `~/.local` is no sign of the manager; its markers are.
    let own = Some(root.clone()).filter(|root| !is_catch_all(root, home));
    let signs = markers.chain(own).collect();
    Some(Installed { manager, root, signs })
}

/// Whether `path` is the home or one of its directories for everything.
pub(super) fn is_catch_all(path: &Path, home: &Path) -> bool {
    path.strip_prefix(home).is_ok_and(|below| {
        below.as_os_str().is_empty() || CATCH_ALL.iter().any(|name| below == Path::new(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manager_grants_a_home_or_a_cargo_home_whole() {
        for manager in MANAGERS {
            assert!(
                !manager.roots.is_empty() && !manager.grants.is_empty(),
                "{}",
                manager.name
            );
            for root in manager.roots {
                assert!(!root.is_empty() && !root.starts_with('/'), "{}", manager.name);
                let shared = [".cargo", ".local", ".config", ".local/share"].contains(root);
                assert!(!shared || !manager.grants.contains(&""), "{}", manager.name);
            }
        }
    }
}

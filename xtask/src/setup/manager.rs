//! The package managers: what to run, as data.

use crate::{quote, workspace};

use super::tools::Tool;

/// A package manager found on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    Apt,
    Dnf,
    Pacman,
    Apk,
}

impl Manager {
    pub(super) fn detect() -> Option<Self> {
        let known = [
            (Self::Apt, "apt-get"),
            (Self::Dnf, "dnf"),
            (Self::Pacman, "pacman"),
            (Self::Apk, "apk"),
        ];
        known
            .into_iter()
            .find(|(_, program)| workspace::has_program(program))
            .map(|(manager, _)| manager)
    }

    /// The packages that bring `tools`, each once.
    pub(super) fn packages(self, tools: &[&Tool]) -> Vec<&'static str> {
        let mut packages = Vec::new();
        for package in tools.iter().flat_map(|tool| self.names(tool).split_whitespace()) {
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
        packages
    }

    /// The commands that install `packages`, to be run as root, in order.
    pub(super) fn commands(self, packages: &[&'static str]) -> Vec<Vec<&'static str>> {
        let with_packages = |words: &[&'static str]| [words, packages].concat();
        match self {
            Self::Apt => vec![
                vec!["apt-get", "-qq", "update"],
                with_packages(&["apt-get", "-qq", "install", "-y", "--no-install-recommends"]),
            ],
            Self::Dnf => vec![with_packages(&["dnf", "-q", "install", "-y"])],
            Self::Pacman => vec![with_packages(&["pacman", "-Sy", "--needed", "--noconfirm"])],
            Self::Apk => vec![with_packages(&["apk", "add", "--no-cache"])],
        }
    }

    /// Whether the first command only refreshes the index.
    pub(super) fn refreshes_first(self) -> bool {
        self == Self::Apt
    }

    /// The one line a user can paste.
    pub(super) fn one_line(self, packages: &[&'static str]) -> String {
        let commands = self.commands(packages);
        let lines: Vec<_> = commands
            .iter()
            .map(|argv| format!("sudo {}", quote::join(argv.iter().filter(|w| **w != "-qq"))))
            .collect();
        lines.join(" && ")
    }

    fn names(self, tool: &Tool) -> &'static str {
        match self {
            Self::Apt => tool.packages.apt,
            Self::Dnf => tool.packages.dnf,
            Self::Pacman => tool.packages.pacman,
            Self::Apk => tool.packages.apk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{Need, TOOLS};

    const MANAGERS: [Manager; 4] = [Manager::Apt, Manager::Dnf, Manager::Pacman, Manager::Apk];

    #[test]
    fn every_tool_of_the_build_has_a_package_under_every_manager() {
        for tool in TOOLS.iter().filter(|tool| tool.need == Need::Build) {
            for manager in MANAGERS {
                assert!(
                    !manager.packages(&[tool]).is_empty(),
                    "{} under {manager:?}",
                    tool.name
                );
            }
        }
    }

    #[test]
    fn a_package_that_brings_two_tools_is_installed_once() {
        let compilers: Vec<_> = TOOLS
            .iter()
            .filter(|tool| tool.name == "gcc" || tool.name == "C compiler")
            .collect();
        assert_eq!(Manager::Apt.packages(&compilers), ["gcc", "libc6-dev"]);
    }

    #[test]
    fn the_line_to_paste_installs_without_asking() {
        assert_eq!(
            Manager::Apt.one_line(&["git"]),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends git"
        );
        assert_eq!(
            Manager::Apk.one_line(&["git", "fuse3"]),
            "sudo apk add --no-cache git fuse3"
        );
    }
}

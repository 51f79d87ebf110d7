//! Who refuses namespaces.

use std::fs;
use std::path::Path;

use crate::host::NoNamespaces;

/// What is known of the place we run in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 23.10 and later).
    apparmor_restricts: bool,
    /// kernel.unprivileged_userns_clone is 0 (Debian's patch).
    clone_is_off: bool,
    /// user.max_user_namespaces is 0.
    none_allowed: bool,
    /// A seccomp filter is in force already.
    is_filtered: bool,
    container: Option<Container>,
    is_root: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Docker,
    Podman,
    Kubernetes,
    Sandbox,
}

/// A cause and what would remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) what: &'static str,
    pub(super) hint: &'static str,
}

const INSIDE_SANDBOX: Cause = Cause {
    what: "this is already the inside of a sandbox",
    hint: "start the outer one with: sandbox run --nested",
};
const INSIDE_ROOTS_SANDBOX: Cause = Cause {
    what: "this is the inside of a sandbox that root has started, where /proc is read-only",
    hint: "start the outer one with: sandbox run --nested --user UID",
};
const NONE_ALLOWED: Cause = Cause {
    what: "user.max_user_namespaces is 0",
    hint: "sudo sysctl user.max_user_namespaces=15000",
};
const CLONE_IS_OFF: Cause = Cause {
    what: "kernel.unprivileged_userns_clone is 0",
    hint: "sudo sysctl kernel.unprivileged_userns_clone=1",
};
const APPARMOR: Cause = Cause {
    what: "AppArmor: kernel.apparmor_restrict_unprivileged_userns is 1",
    hint: "give this program an AppArmor profile with `userns,`, \
           or: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
};
const MASKED_PROC: Cause = Cause {
    what: "parts of /proc are masked, so no new one may be mounted",
    hint: "docker run --security-opt systempaths=unconfined, podman run --security-opt unmask=ALL, \
           in Kubernetes procMount: Unmasked",
};
const DOCKER: Cause = Cause {
    what: "Docker's seccomp profile refuses them",
    hint: "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
           --security-opt systempaths=unconfined",
};
const PODMAN: Cause = Cause {
    what: "the container's seccomp profile refuses them",
    hint: "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL",
};
const KUBERNETES: Cause = Cause {
    what: "the pod's seccomp profile refuses them",
    hint: "seccompProfile: Unconfined (or Localhost) and procMount: Unmasked in the pod's securityContext",
};
const FILTERED: Cause = Cause {
    what: "a seccomp filter that is in force already refuses them",
    hint: "start it outside of that filter (/proc/self/status, Seccomp: 2)",
};

impl Surroundings {
    /// Reads a few files.
    pub(super) fn detect() -> Self {
        let is = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let is_set = |name| std::env::var_os(name).is_some();
        let container = [
            (Container::Sandbox, is_set("SANDBOX")),
            (Container::Docker, Path::new("/.dockerenv").exists()),
            (Container::Podman, Path::new("/run/.containerenv").exists()),
            (Container::Kubernetes, is_set("KUBERNETES_SERVICE_HOST")),
        ];
        Self {
            apparmor_restricts: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            clone_is_off: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            none_allowed: is("/proc/sys/user/max_user_namespaces", "0"),
            is_filtered: status
                .lines()
                .any(|line| line.split_whitespace().eq(["Seccomp:", "2"])),
            container: container
                .into_iter()
                .find(|(_, is_it)| *is_it)
                .map(|(container, _)| container),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// The most likely cause; a step that only one of them can fail at speaks for itself.
    pub(super) fn cause(&self, found: &NoNamespaces) -> Option<Cause> {
        if found.step.starts_with("mount proc") {
            return Some(if self.apparmor_restricts && !self.is_root {
                APPARMOR
            } else {
                MASKED_PROC
            });
        }
        if found.errno == libc::EROFS {
            return Some(INSIDE_ROOTS_SANDBOX);
        }
        match self.container {
            Some(Container::Sandbox) if self.is_filtered => return Some(INSIDE_SANDBOX),
            Some(Container::Docker) if self.is_filtered => return Some(DOCKER),
            Some(Container::Podman) if self.is_filtered => return Some(PODMAN),
            Some(Container::Kubernetes) if self.is_filtered => return Some(KUBERNETES),
            _ => {}
        }
        let settings = [
            (self.none_allowed, NONE_ALLOWED),
            (self.clone_is_off && !self.is_root, CLONE_IS_OFF),
            (self.apparmor_restricts && !self.is_root, APPARMOR),
            (self.is_filtered, FILTERED),
        ];
        settings
            .into_iter()
            .find(|(applies, _)| *applies)
            .map(|(_, cause)| cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(surroundings: &Surroundings, step: &str) -> Option<Cause> {
        surroundings.cause(&NoNamespaces {
            step: step.to_owned(),
            errno: 1,
        })
    }

    #[test]
    fn apparmor_and_settings_are_named() {
        let ubuntu = Surroundings {
            apparmor_restricts: true,
            ..Surroundings::default()
        };
        assert_eq!(cause(&ubuntu, "make a root"), Some(APPARMOR));
        let debian = Surroundings {
            clone_is_off: true,
            ..Surroundings::default()
        };
        assert_eq!(cause(&debian, "clone with namespaces"), Some(CLONE_IS_OFF));
        let none = Surroundings {
            none_allowed: true,
            clone_is_off: true,
            ..Surroundings::default()
        };
        assert_eq!(cause(&none, "clone with namespaces"), Some(NONE_ALLOWED));
    }

    #[test]
    fn a_container_is_blamed_for_its_filter_and_its_masked_proc() {
        let docker = Surroundings {
            is_filtered: true,
            container: Some(Container::Docker),
            ..Surroundings::default()
        };
        assert_eq!(cause(&docker, "clone with namespaces"), Some(DOCKER));
        assert_eq!(cause(&docker, "mount proc at /proc nosuid"), Some(MASKED_PROC));
        let inside = Surroundings {
            container: Some(Container::Sandbox),
            ..docker
        };
        assert_eq!(cause(&inside, "clone with namespaces"), Some(INSIDE_SANDBOX));
    }

    #[test]
    fn identity_maps_on_a_read_only_proc_are_those_of_roots_sandbox() {
        let found = NoNamespaces {
            step: "clone with namespaces".to_owned(),
            errno: libc::EROFS,
        };
        let cause = Surroundings::default().cause(&found);
        assert_eq!(cause, Some(INSIDE_ROOTS_SANDBOX));
    }

    #[test]
    fn what_nobody_explains_stays_unexplained() {
        assert_eq!(cause(&Surroundings::default(), "clone with namespaces"), None);
    }
}

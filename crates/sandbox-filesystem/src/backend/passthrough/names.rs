//! Which name an extended attribute has on the host.
//!
//! With virtualized stat data `security.*`, `trusted.*` and the POSIX ACLs are kept under a prefix of ours in `user.`, so
//! that no privilege is needed and nothing that is written here has a meaning for the host. What the server keeps for
//! itself has no name here.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sandbox_types::OverrideStat;

use crate::backend::union::marks;
use crate::fs::{Errno, FsResult};

/// What a virtualized attribute's own name follows.
pub(in crate::backend) const PREFIX: &str = "user.sandbox.xattr.";

/// XATTR_NAME_MAX.
const NAME_MAX: usize = 255;

/// How names are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Names {
    /// As they are.
    Host,
    /// What needs a privilege is kept under [`PREFIX`].
    Virtual,
}

/// How names are mapped, in a plain directory or in layers of an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) struct Mapping {
    pub(in crate::backend) names: Names,
    /// Attributes of overlayfs mean something to it: a client's own ones are escaped.
    pub(in crate::backend) layered: bool,
}

impl Mapping {
    /// As [`Names::to_host`].
    pub(in crate::backend) fn to_host(self, name: &OsStr) -> FsResult<Option<Cow<'_, OsStr>>> {
        let host = self.names.to_host(name)?;
        let escaped = host.as_ref().and_then(|host| marks::escape(host.as_bytes()));
        match escaped.filter(|_| self.layered) {
            Some(escaped) if escaped.len() > NAME_MAX => Err(Errno::ERANGE),
            Some(escaped) => Ok(Some(Cow::Owned(OsString::from_vec(escaped)))),
            None => Ok(host),
        }
    }

    /// As [`Names::to_served`].
    pub(in crate::backend) fn to_served(self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        if !self.layered {
            return self.names.to_served(name).map(Cow::Borrowed);
        }
        match marks::unescape(name)? {
            Cow::Borrowed(name) => self.names.to_served(name).map(Cow::Borrowed),
            Cow::Owned(name) => Some(Cow::Owned(self.names.to_served(&name)?.to_vec())),
        }
    }
}

impl Names {
    /// The name on the host of the attribute that is called `name` here; none where there can be no such attribute.
    pub(in crate::backend) fn to_host(self, name: &OsStr) -> FsResult<Option<Cow<'_, OsStr>>> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_MAX {
            return Err(Errno::ERANGE);
        }
        if self == Self::Host {
            return Ok(Some(Cow::Borrowed(name)));
        }
        if is_hidden(bytes) {
            return Ok(None);
        }
        if !is_virtual(bytes) {
            return Ok(Some(Cow::Borrowed(name)));
        }
        if PREFIX.len() + bytes.len() > NAME_MAX {
            return Err(Errno::ERANGE);
        }
        Ok(Some(Cow::Owned(OsString::from_vec(
            [PREFIX.as_bytes(), bytes].concat(),
        ))))
    }

    /// The name here of what the host calls `name`; none for what is hidden.
    pub(in crate::backend) fn to_served(self, name: &[u8]) -> Option<&[u8]> {
        if self == Self::Host {
            return Some(name);
        }
        if let Some(own) = name.strip_prefix(PREFIX.as_bytes()) {
            return is_virtual(own).then_some(own);
        }
        (!is_hidden(name) && !is_virtual(name)).then_some(name)
    }
}

fn is_hidden(name: &[u8]) -> bool {
    super::owner::is_own(name) || name.starts_with(PREFIX.as_bytes())
}

/// What needs a privilege, and what would mean something to the server: fuse-overlayfs' own names.
fn is_virtual(name: &[u8]) -> bool {
    name.starts_with(b"security.")
        || name.starts_with(b"trusted.")
        || name.starts_with(b"system.posix_acl_")
        || OverrideStat::is_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> FsResult<Option<String>> {
        let mapped = Names::Virtual.to_host(OsStr::new(name))?;
        Ok(mapped.map(|name| name.to_string_lossy().into_owned()))
    }

    #[test]
    fn every_name_comes_back_from_the_host_as_it_went() {
        for name in [
            "user.a",
            "security.capability",
            "trusted.overlay.opaque",
            "system.posix_acl_access",
            "user.fuseoverlayfs.override_stat",
            "user.",
        ] {
            let there = host(name).unwrap().unwrap();
            assert!(there.starts_with("user."), "{there}");
            assert_eq!(Names::Virtual.to_served(there.as_bytes()), Some(name.as_bytes()));
        }
    }

    #[test]
    fn what_the_server_keeps_has_no_name_here() {
        for name in [
            "user.containers.override_stat",
            "user.sandbox.xattr.",
            "user.sandbox.xattr.security.capability",
        ] {
            assert_eq!(host(name), Ok(None), "{name}");
        }
        // A host's own privileged attribute is not shown as one of ours, nor a nested hidden name.
        for name in [
            "user.containers.override_stat",
            "user.fuseoverlayfs.override_stat",
            "security.selinux",
            "user.sandbox.xattr.user.x",
        ] {
            assert_eq!(Names::Virtual.to_served(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_becomes_too_long_is_out_of_range() {
        let long = format!("trusted.{}", "x".repeat(240));
        assert_eq!(host(&long), Err(Errno::ERANGE));
        assert_eq!(host(""), Err(Errno::ERANGE));
        assert_eq!(
            Names::Host.to_host(OsStr::new(&"x".repeat(256))),
            Err(Errno::ERANGE)
        );
    }
}

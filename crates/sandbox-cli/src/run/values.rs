//! Values of flags that have a notation of their own.

use std::path::PathBuf;
use std::str::FromStr;

use sandbox::{Access, ByteSize, InvalidSize, SizeExt};

/// `SRC:DST[:rw]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindArg {
    pub(crate) source: PathBuf,
    pub(crate) at: PathBuf,
    pub(crate) access: Access,
}

/// `DST[:SIZE]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TmpfsArg {
    pub(crate) at: PathBuf,
    pub(crate) size: ByteSize,
}

/// `0,2-3`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CpuList(pub(crate) Vec<u32>);

/// Why a text is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidValue {
    #[error("write SRC:DST, or SRC:DST:rw to make it writable")]
    Bind,
    #[error("write DST, or DST:SIZE as in /cache:64M")]
    Tmpfs,
    #[error(transparent)]
    Size(#[from] InvalidSize),
    #[error("write numbers and ranges of CPUs below {MOST_CPUS}, as in 0,2-3")]
    Cpus,
    #[error("write an octal number, as in 022 or 077")]
    Octal,
    #[error("write the number of a user, which `id -u NAME` tells")]
    Uid,
}

/// More than any kernel is built for (CONFIG_NR_CPUS).
const MOST_CPUS: u32 = 8192;

impl FromStr for BindArg {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut parts = text.splitn(3, ':');
        let (source, at) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let access = match parts.next() {
            None | Some("ro") => Access::Read,
            Some("rw") => Access::Write,
            Some(_) => return Err(InvalidValue::Bind),
        };
        if source.is_empty() || !at.starts_with('/') {
            return Err(InvalidValue::Bind);
        }
        Ok(Self {
            source: source.into(),
            at: at.into(),
            access,
        })
    }
}

impl FromStr for TmpfsArg {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (at, size) = match text.split_once(':') {
            Some((at, size)) => (at, size.parse()?),
            None => (text, 64.mib()),
        };
        if at.starts_with('/') {
            Ok(Self { at: at.into(), size })
        } else {
            Err(InvalidValue::Tmpfs)
        }
    }
}

impl FromStr for CpuList {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let number = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|cpu| *cpu < MOST_CPUS)
                .ok_or(InvalidValue::Cpus)
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(InvalidValue::Cpus);
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Self(cpus))
    }
}

/// The number of a user.
pub(crate) fn uid(text: &str) -> Result<u32, InvalidValue> {
    text.parse().map_err(|_| InvalidValue::Uid)
}

/// An octal number.
pub(crate) fn octal(text: &str) -> Result<u32, InvalidValue> {
    u32::from_str_radix(text, 8).map_err(|_| InvalidValue::Octal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_read_only_unless_they_say_otherwise() {
        let bind = |text: &str| text.parse::<BindArg>();
        assert_eq!(bind("a:/b").expect("valid").access, Access::Read);
        let writable = bind("./a:/b:rw").expect("valid");
        assert_eq!((writable.source, writable.at), ("./a".into(), "/b".into()));
        assert_eq!(writable.access, Access::Write);
        for bad in ["", "a", "a:", ":/b", "a:b", "a:/b:rx", "a:/b:rw:rw"] {
            assert_eq!(bind(bad), Err(InvalidValue::Bind), "{bad}");
        }
    }

    #[test]
    fn a_cpu_list_holds_numbers_and_ranges() {
        assert_eq!("0,2-4,3".parse(), Ok(CpuList(vec![0, 2, 3, 4])));
        for bad in ["", "a", "3-1", "0,", "0-99999999", "-1"] {
            assert_eq!(bad.parse::<CpuList>(), Err(InvalidValue::Cpus), "{bad}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_size_of_its_own_or_the_default() {
        assert_eq!(
            "/c".parse(),
            Ok(TmpfsArg {
                at: "/c".into(),
                size: 64.mib()
            })
        );
        assert_eq!(
            "/c:1G".parse(),
            Ok(TmpfsArg {
                at: "/c".into(),
                size: 1.gib()
            })
        );
        assert!(matches!("/c:1X".parse::<TmpfsArg>(), Err(InvalidValue::Size(_))));
        assert_eq!("c".parse::<TmpfsArg>(), Err(InvalidValue::Tmpfs));
    }
}

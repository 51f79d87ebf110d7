//! Error numbers: the whole contract at the border of a filesystem.

use std::fmt;
use std::io;

/// The result of an operation.
pub type FsResult<T> = Result<T, Errno>;

/// An error number of errno(3), always greater than zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "` of errno(3).")]
                pub const $name: Self = Self(libc::$name);
            )*
        }

        fn name_of(number: i32) -> Option<&'static str> {
            match number {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

errnos!(
    E2BIG,
    EACCES,
    EAGAIN,
    EBADF,
    EBUSY,
    EDEADLK,
    EDQUOT,
    EEXIST,
    EFAULT,
    EFBIG,
    EINTR,
    EINVAL,
    EIO,
    EISDIR,
    ELOOP,
    EMFILE,
    EMLINK,
    ENAMETOOLONG,
    ENFILE,
    ENODATA,
    ENODEV,
    ENOENT,
    ENOLCK,
    ENOMEM,
    ENOSPC,
    ENOSYS,
    ENOTDIR,
    ENOTEMPTY,
    ENOTSUP,
    ENOTTY,
    ENXIO,
    EOVERFLOW,
    EPERM,
    EPIPE,
    ERANGE,
    EROFS,
    ESPIPE,
    ESTALE,
    ETXTBSY,
    EXDEV,
);

impl Errno {
    /// The error with this number; `EIO` for what is no error number (zero, negative, above 4095).
    pub const fn from_raw(number: i32) -> Self {
        if number > 0 && number <= 4095 {
            Self(number)
        } else {
            Self::EIO
        }
    }

    /// The number, between 1 and 4095.
    pub const fn raw(self) -> i32 {
        self.0
    }
}

/// What the kernel said; `EIO` where an error is not of the kernel's.
impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::EIO, Self::from_raw)
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(error: rustix::io::Errno) -> Self {
        Self::from_raw(error.raw_os_error())
    }
}

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_error_number_becomes_an_io_error() {
        for number in [0, -2, i32::MIN, 4096, i32::MAX] {
            assert_eq!(Errno::from_raw(number), Errno::EIO);
        }
        assert_eq!(Errno::from_raw(libc::ENOENT), Errno::ENOENT);
    }

    #[test]
    fn an_error_that_is_not_the_kernels_becomes_an_io_error() {
        assert_eq!(Errno::from(io::Error::other("x")), Errno::EIO);
        assert_eq!(
            Errno::from(io::Error::from_raw_os_error(libc::EROFS)),
            Errno::EROFS
        );
    }

    #[test]
    fn a_known_number_is_shown_by_its_name() {
        assert_eq!(format!("{:?}", Errno::ENOENT), "ENOENT");
        assert_eq!(format!("{:?}", Errno::from_raw(4000)), "Errno(4000)");
    }
}

//! A filesystem that the supervisor serves, mounted in the sandbox's own user namespace.
//!
//! The kernel takes a /dev/fuse only from whoever is in the user namespace of the mount, so it is opened here, before
//! the new root covers the host's. Init keeps no copy: with the supervisor's the connection ends.

use crate::sys::files;
use crate::sys::mounts::{self, Setting};
use crate::sys::{self, Fd};
use crate::wire::Text;

/// The root is a directory (S_IFDIR), in octal.
const ROOT_MODE: &Text = c"40000";

/// Mounts it, detached: the mount, and the device through which it is served.
pub fn mount(name: &Text, attributes: u64) -> sys::Result<(Fd, Fd)> {
    let device = files::open_device(c"/dev/fuse")?;
    let context = mounts::new_context(c"fuse")?;
    let (uid, gid) = sys::own_identity();
    let number = u32::try_from(device.number()).map_err(|_| sys::EINVAL)?;
    for (key, value) in [(c"fd", number), (c"user_id", uid), (c"group_id", gid)] {
        let mut digits = [0; 11];
        mounts::set_option(&context, Setting::Text(key, decimal(value, &mut digits)))?;
    }
    for (key, value) in [
        (c"source", name),
        (c"subtype", c"sandbox"),
        (c"rootmode", ROOT_MODE),
    ] {
        mounts::set_option(&context, Setting::Text(key, value))?;
    }
    for flag in [c"default_permissions", c"allow_other"] {
        mounts::set_option(&context, Setting::Flag(flag))?;
    }
    let mount = mounts::mount_context(&context, attributes)?;
    Ok((mount, device))
}

/// A number in digits.
fn decimal(mut number: u32, digits: &mut [u8; 11]) -> &Text {
    let mut start = digits.len() - 1;
    for digit in digits.iter_mut().rev().skip(1) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    Text::from_bytes_until_nul(digits.get(start..).unwrap_or_default()).unwrap_or(c"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_digits() {
        for number in [0, 7, 10, 1000, u32::MAX] {
            let mut digits = [0; 11];
            assert_eq!(decimal(number, &mut digits).to_str(), Ok(&*number.to_string()));
        }
    }
}

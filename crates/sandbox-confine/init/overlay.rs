//! An overlay of directories of the host, mounted in the sandbox's own user namespace.
//!
//! Layers are named by descriptor, as `/proc/self/fd/N`: no path of the host shows in the sandbox's
//! /proc/mounts, a path may be as long as it likes and hold any character, and what was opened without
//! following links is what is mounted.

use crate::sys::files::{self, At};
use crate::sys::mounts::{self, Setting};
use crate::sys::{self, ENOMEM, Fd};
use crate::wire::{Text, texts};

/// The most layers beneath the writable one.
const MAX_LOWERS: usize = 128;

/// What fsconfig(2) takes as one value.
const MAX_VALUE: usize = 256;

/// Mounts it, detached. `lowers` are texts, the topmost first.
pub fn mount(lowers: &[u8], upper: &Text, work: &Text, attributes: u64) -> sys::Result<Fd> {
    let mut layers = [const { None }; MAX_LOWERS];
    for (index, lower) in texts(lowers).enumerate() {
        *layers.get_mut(index).ok_or(ENOMEM)? = Some(files::open_place(At::Here, lower)?);
    }
    let upper = files::open_place(At::Here, upper)?;
    let work = files::open_place(At::Here, work)?;
    let context = mounts::new_context(c"overlay")?;
    let mut names = Names::default();
    for layer in layers.iter().flatten() {
        names.add(layer)?;
    }
    match names.fits() {
        Some(joined) => mounts::set_option(&context, Setting::Text(c"lowerdir", joined))?,
        // Linux 6.7 takes them one by one.
        None => {
            for layer in layers.iter().flatten() {
                mounts::set_option(&context, Setting::Text(c"lowerdir+", Names::of(layer)?.text()))?;
            }
        }
    }
    mounts::set_option(&context, Setting::Text(c"upperdir", Names::of(&upper)?.text()))?;
    mounts::set_option(&context, Setting::Text(c"workdir", Names::of(&work)?.text()))?;
    mounts::set_option(&context, Setting::Flag(c"userxattr"))?;
    // Nothing is synced when it is unmounted; whoever keeps the upper syncs it.
    mounts::set_option(&context, Setting::Flag(c"volatile"))?;
    mounts::mount_context(&context, attributes)
}

/// Mounts one of layers that have names without special characters, detached. Without `upper`, its upper and its work
/// directory, it is only read.
pub fn mount_named(lowers: &[u8], upper: Option<(&Text, &Text)>, attributes: u64) -> sys::Result<Fd> {
    let context = mounts::new_context(c"overlay")?;
    let mut names = Names::default();
    for lower in texts(lowers) {
        names.add_name(lower);
    }
    match names.fits() {
        Some(joined) => mounts::set_option(&context, Setting::Text(c"lowerdir", joined))?,
        None => {
            for lower in texts(lowers) {
                mounts::set_option(&context, Setting::Text(c"lowerdir+", lower))?;
            }
        }
    }
    mounts::set_option(&context, Setting::Flag(c"userxattr"))?;
    if let Some((upper, work)) = upper {
        mounts::set_option(&context, Setting::Text(c"upperdir", upper))?;
        mounts::set_option(&context, Setting::Text(c"workdir", work))?;
        mounts::set_option(&context, Setting::Flag(c"volatile"))?;
    }
    mounts::mount_context(&context, attributes)
}

/// Descriptors as paths, separated by colons, ended by NUL.
struct Names {
    bytes: [u8; MAX_VALUE],
    length: usize,
    is_full: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_VALUE],
            length: 0,
            is_full: false,
        }
    }
}

impl Names {
    fn of(fd: &Fd) -> sys::Result<Self> {
        let mut names = Self::default();
        names.add(fd)?;
        Ok(names)
    }

    fn add(&mut self, fd: &Fd) -> sys::Result<()> {
        if self.length > 0 {
            self.push(b":");
        }
        self.push(b"/proc/self/fd/");
        let mut digits = [0_u8; 10];
        let mut rest = u32::try_from(fd.number()).map_err(|_| sys::EINVAL)?;
        let mut start = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            start -= 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(start..).unwrap_or_default());
        Ok(())
    }

    fn add_name(&mut self, name: &Text) {
        if self.length > 0 {
            self.push(b":");
        }
        self.push(name.to_bytes());
    }

    fn push(&mut self, text: &[u8]) {
        let end = self.length + text.len();
        // One byte stays for the NUL.
        match self.bytes.get_mut(self.length..end) {
            Some(room) if end < MAX_VALUE => {
                room.copy_from_slice(text);
                self.length = end;
            }
            _ => self.is_full = true,
        }
    }

    fn fits(&self) -> Option<&Text> {
        (!self.is_full).then(|| self.text())
    }

    fn text(&self) -> &Text {
        Text::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_by_descriptor_until_they_no_longer_fit() {
        let mut names = Names::default();
        // Not open, and never used as such.
        let fds = [7, 12].map(Fd::own);
        for fd in &fds {
            names.add(fd).unwrap();
        }
        assert_eq!(names.fits(), Some(c"/proc/self/fd/7:/proc/self/fd/12"));
        for _ in 0..20 {
            names.add(&fds[1]).unwrap();
        }
        assert_eq!(names.fits(), None);
        for fd in fds {
            std::mem::forget(fd);
        }
    }
}

//! Encoding for init: the other half of `init/wire.rs`, which decodes.

#[path = "../init/wire.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::pedantic,
    reason = "init uses the other half"
)]
mod format;

use std::ffi::CStr;

pub(crate) use format::*;

/// Writes values behind one another.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Bytes behind their length. Callers hold no blob of 4 GiB.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &CStr) -> &mut Self {
        self.bytes(text.to_bytes_with_nul())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn op(&mut self, op: &Op<'_>) -> &mut Self {
        match *op {
            Op::Hostname(name) => self.byte(1).text(name),
            Op::Join => self.byte(2),
            Op::Source { path, attributes } => self.byte(3).text(path).u64(attributes),
            Op::Root { size } => self.byte(4).u64(size),
            Op::Dir { path, mode } => self.byte(5).text(path).u32(mode),
            Op::Link { path, target } => self.byte(6).text(path).text(target),
            Op::File { path, mode, content } => self.byte(7).text(path).u32(mode).bytes(content),
            Op::Attach { source, path } => self.byte(8).u32(source).text(path),
            Op::Own {
                from,
                path,
                attributes,
            } => self.byte(9).text(from).text(path).u64(attributes),
            Op::Mount {
                kind,
                options,
                path,
                attributes,
            } => self.byte(10).text(kind).text(options).text(path).u64(attributes),
            Op::Remove { path } => self.byte(11).text(path),
            Op::Attributes { path, attributes } => self.byte(12).text(path).u64(attributes),
            Op::Enter => self.byte(13),
            Op::Owner { path, uid, gid } => self.byte(14).text(path).u32(uid).u32(gid),
            Op::Overlay {
                lowers,
                upper,
                work,
                lock,
                attributes,
            } => {
                self.byte(15).bytes(lowers).text(upper).text(work);
                self.text(lock).u64(attributes)
            }
            Op::Cover {
                from,
                path,
                attributes,
            } => self.byte(16).text(from).text(path).u64(attributes),
            Op::Served {
                name,
                lock,
                attributes,
            } => self.byte(17).text(name).text(lock).u64(attributes),
            Op::Tree { path } => self.byte(18).text(path),
        }
    }

    pub(crate) fn end_of_ops(&mut self) -> &mut Self {
        self.byte(0)
    }

    pub(crate) fn confinement(&mut self, confinement: &Confinement<'_>) -> &mut Self {
        match confinement.identity {
            None => self.byte(0),
            Some((uid, gid)) => self.byte(1).u32(uid).u32(gid),
        };
        self.u32(confinement.umask)
            .u32(confinement.nice.cast_unsigned())
            .bytes(confinement.cpus);
        self.bytes(confinement.limits);
        for rights in confinement.handled {
            self.u64(rights);
        }
        self.bytes(confinement.path_rules)
            .bytes(confinement.port_rules)
            .u64(confinement.stdio_rights);
        self.bytes(confinement.filter)
    }

    /// So many views follow, then clones.
    pub(crate) fn views(&mut self, views: &[View<'_>]) -> &mut Self {
        self.u32(u32::try_from(views.len()).unwrap_or(u32::MAX));
        for view in views {
            self.text(view.at).bytes(view.beneath).bytes(view.lowers);
        }
        self
    }

    pub(crate) fn exec(&mut self, exec: &Exec<'_>) -> &mut Self {
        self.text(exec.cwd).bytes(exec.candidates);
        self.u32(exec.argc)
            .bytes(exec.argv)
            .u32(exec.envc)
            .bytes(exec.envp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let ops = [
            Op::Hostname(c"box"),
            Op::Join,
            Op::Source {
                path: c"/usr",
                attributes: 7,
            },
            Op::Root { size: 1 << 40 },
            Op::Dir {
                path: c"tmp",
                mode: 0o1777,
            },
            Op::Link {
                path: c"bin",
                target: c"usr/bin",
            },
            Op::File {
                path: c"etc/hosts",
                mode: 0o644,
                content: b"127.0.0.1\0",
            },
            Op::Attach {
                source: 3,
                path: c"usr",
            },
            Op::Overlay {
                lowers: b"/a\0/b\0",
                upper: c"/u",
                work: c"/w",
                lock: c"/l",
                attributes: 6,
            },
            Op::Cover {
                from: c".covers/dir",
                path: c"home/me/.ssh",
                attributes: 1,
            },
            Op::Served {
                name: c"data",
                lock: c"/l",
                attributes: 6,
            },
            Op::Own {
                from: c"tmp",
                path: c"tmp",
                attributes: 2,
            },
            Op::Mount {
                kind: c"proc",
                options: c"",
                path: c"proc",
                attributes: 14,
            },
            Op::Remove { path: c".mask" },
            Op::Attributes {
                path: c".",
                attributes: 1,
            },
            Op::Enter,
            Op::Owner {
                path: c"home",
                uid: 1000,
                gid: 1000,
            },
        ];
        let confinement = Confinement {
            identity: Some((1, 2)),
            umask: 0o22,
            nice: -5,
            cpus: &[3],
            limits: &[0; 20],
            handled: [1, 2, 3],
            path_rules: b"rules",
            port_rules: b"ports",
            stdio_rights: 6,
            filter: &[6; 8],
        };
        let mut writer = Writer::default();
        for op in &ops {
            writer.op(op);
        }
        writer.end_of_ops().confinement(&confinement);
        let blob = writer.finish();
        let mut cursor = Cursor(&blob);
        for op in ops {
            assert_eq!(cursor.op(), Some(Some(op)));
        }
        assert_eq!(cursor.op(), Some(None));
        assert_eq!(cursor.confinement(), Some(confinement));
        // Every shorter blob is refused, never misread as complete.
        for length in 0..blob.len() {
            let mut cursor = Cursor(&blob[..length]);
            let ops_end = loop {
                match cursor.op() {
                    Some(Some(_)) => {}
                    end => break end,
                }
            };
            assert!(ops_end.is_none() || cursor.confinement().is_none(), "{length}");
        }
    }

    #[test]
    fn messages_survive_the_wire() {
        let message = [SPAWN, 1, u64::MAX, 3, 4, 5, 6, 7];
        assert_eq!(from_bytes(&to_bytes(&message)), message);
    }
}

//! Serves a backend through FUSE until its standard input ends: `serve mem MOUNTPOINT SIZE [OPTION]…`,
//! `serve passthrough DIRECTORY MOUNTPOINT strict|relaxed|off [OPTION]…`,
//! `serve overlay LAYER[:LAYER…] UPPER WORK MOUNTPOINT STAT [OPTION]…`, `serve dual A B MOUNTPOINT STAT [OPTION]…`. Options: `never`, `auto` and `always` say what
//! the kernel may remember, `writeback` that it collects writes, `kernel-io` that it reads and writes the host's files itself,
//! `no-permissions` that it checks none, `stats` shows at the end how often each operation was asked for, `apart` leaves it
//! to the kernel where workers run.
//!
//! Without arguments it shows a filesystem in memory through its methods alone, which needs no mount.
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use sandbox_filesystem::backend::overlay::OverlayBuilder;
use sandbox_filesystem::backend::{DualFs, MemFs, OverlayFs, PassthroughFs};
use sandbox_filesystem::fs::{
    Buffer, Context, DynFileSystem, OpenFlags, ROOT_INO, ReadRequest, WriteRequest,
};
use sandbox_filesystem::serve::fuse::Session;
use sandbox_types::{ByteSize, CachePolicy, SizeExt, StatVirtualization};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => without_a_mount(),
        ["mem", mount_point, size, options @ ..] => {
            let options = Options::parse(options)?;
            let mut fs = MemFs::builder().capacity(size.parse::<ByteSize>()?);
            if let Some(cache) = options.cache {
                fs = fs.cache_policy(cache);
            }
            let fs = fs.writeback(options.writeback).build()?;
            serve(Arc::new(fs), Path::new(mount_point), &options)
        }
        ["passthrough", directory, mount_point, stat, options @ ..] => {
            let options = Options::parse(options)?;
            let fs = PassthroughFs::builder()
                .root_dir(directory)
                .stat_virtualization(kept(stat)?)
                .cache_policy(options.cache.unwrap_or_default())
                .writeback(options.writeback)
                .build()?;
            serve(Arc::new(fs), Path::new(mount_point), &options)
        }
        ["overlay", layer, upper, work, mount_point, stat, options @ ..] => {
            let options = Options::parse(options)?;
            let layers = layer.split(':').fold(OverlayFs::builder(), OverlayBuilder::layer);
            let fs = layers
                .writable(upper)
                .staging(work)
                .stat_virtualization(kept(stat)?)
                .cache_policy(options.cache.unwrap_or_default())
                .writeback(options.writeback)
                .build()?;
            serve(Arc::new(fs), Path::new(mount_point), &options)
        }
        ["dual", a, b, mount_point, stat, options @ ..] => {
            let options = Options::parse(options)?;
            let stat = kept(stat)?;
            let part = |directory: &str| {
                let builder = PassthroughFs::builder().root_dir(directory);
                builder
                    .stat_virtualization(stat)
                    .cache_policy(options.cache.unwrap_or_default())
            };
            let fs = DualFs::builder()
                .backend_a(Arc::new(part(a).build()?))
                .backend_b(Arc::new(part(b).read_only().build()?))
                .build()?;
            serve(Arc::new(fs), Path::new(mount_point), &options)
        }
        _ => Err("usage: see the first lines of this example".into()),
    }
}

#[derive(Default)]
struct Options {
    cache: Option<CachePolicy>,
    writeback: bool,
    kernel_io: bool,
    no_permissions: bool,
    stats: bool,
    apart: bool,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "never" => options.cache = Some(CachePolicy::Never),
                "auto" => options.cache = Some(CachePolicy::Auto),
                "always" => options.cache = Some(CachePolicy::Always),
                "writeback" => options.writeback = true,
                "kernel-io" => options.kernel_io = true,
                "no-permissions" => options.no_permissions = true,
                "stats" => options.stats = true,
                "apart" => options.apart = true,
                other => return Err(format!("{other:?} is no option").into()),
            }
        }
        Ok(options)
    }
}

fn kept(stat: &str) -> Result<StatVirtualization, String> {
    Ok(match stat {
        "strict" => StatVirtualization::Strict,
        "relaxed" => StatVirtualization::Relaxed,
        "off" => StatVirtualization::Off,
        other => return Err(format!("{other:?} is none of strict, relaxed, off")),
    })
}

fn serve(fs: Arc<dyn DynFileSystem>, mount_point: &Path, options: &Options) -> Result<(), Box<dyn Error>> {
    let mut builder = Session::builder(fs);
    if options.apart {
        builder = builder.beside_callers(false);
    }
    if options.no_permissions {
        builder = builder.without_default_permissions();
    }
    if options.kernel_io {
        builder = builder.backing_files();
    }
    let root = rustix::process::geteuid().is_root();
    let builder = if root { builder.allow_other() } else { builder };
    let session = builder.mount(mount_point)?;
    println!("ready");
    // Whoever started it closes this when it is done.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    if options.stats {
        for counted in session.counters().counted() {
            let each = counted.nanoseconds / counted.requests.max(1);
            println!(
                "{:<16} {:>9} {:>7} ns",
                counted.opcode.name(),
                counted.requests,
                each
            );
        }
    }
    session.unmount().map_err(|(_, error)| error)?;
    Ok(())
}

fn without_a_mount() -> Result<(), Box<dyn Error>> {
    let fs = MemFs::builder().capacity(1.mib()).build()?;
    let ctx = Context::new(1000, 1000);
    let made = fs.create(&ctx, ROOT_INO, OsStr::new("note"), 0o644, OpenFlags::RDWR, 0)?;
    let (ino, handle) = (made.entry.ino, made.opened.handle);
    let write = WriteRequest {
        offset: 0,
        size: 6,
        flags: OpenFlags::RDWR,
        delayed: false,
        kill_privileges: false,
    };
    fs.write(&ctx, ino, handle, &write, &mut &b"hello\n"[..])?;
    let read = ReadRequest {
        offset: 0,
        size: 100,
        flags: OpenFlags::RDWR,
    };
    let mut data = Buffer::with_room(100);
    fs.read(&ctx, ino, handle, &read, &mut data)?;
    fs.forget(ino, 1);
    print!("{}", String::from_utf8_lossy(&data.into_bytes()));
    Ok(())
}

//! `cargo xtask bench volumes`: ext4 disks, made by this project and by mke2fs, in turn.
//!
//! Both are run as programs, so that the start of a process is in both figures, and both images are durable when
//! the clock stops, their names apart: each syncs the image itself, ours once and mke2fs four times (strace). That of mke2fs
//! is also measured with one more sync of the file. Ours is then looked at by e2fsck; as root it is also mounted, filled to
//! nine tenths (as far as 2 GiB go), and looked at again.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    BenchError, Common,
    account::Account,
    figures::{Figures, micros, millis},
    json,
    machine::{Machine, Quiet},
};
use crate::{
    artifact::{self, Kind},
    cmd::cargo,
    error::{Error, Result},
    scratch::Scratch,
};

const DRIVER: &str = "ext4_driver";
const MIB: u64 = 1 << 20;

/// What is made: a name, bytes, and whether it is filled.
const CASES: &[(&str, u64, Content)] = &[
    ("64 MiB", 64 * MIB, Content::Empty),
    ("1 GiB", 1024 * MIB, Content::Empty),
    ("100 GiB", 100 * 1024 * MIB, Content::Empty),
    ("1 TiB", 1024 * 1024 * MIB, Content::Empty),
    ("8 TiB", 8 * 1024 * 1024 * MIB, Content::Empty),
    ("/usr/include in 1 GiB", 1024 * MIB, Content::Headers),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Empty,
    Headers,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// How often each disk is made by each program
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Where the images are made; a file system on a disk says most
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
}

/// The programs in turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Ours,
    Peer,
    PeerDurable,
}

const MAKERS: [Maker; 3] = [Maker::Ours, Maker::Peer, Maker::PeerDurable];

/// Who makes images, and where.
struct Site {
    account: Account,
    driver: PathBuf,
    dir: PathBuf,
}

/// What was measured of a case.
struct Row {
    name: &'static str,
    content: Content,
    times: [Figures; 3],
    /// Bytes on the host, ours and the peer's.
    allocated: [u64; 2],
    filled: Filled,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let quiet = if args.common.busy {
        Quiet::GoAhead
    } else {
        Quiet::Wait
    };
    let account = Account::find(args.common.user.as_deref())?;
    let scratch = Scratch::new(&args.dir, "sandbox-bench-volumes")?;
    super::tools::give(scratch.path(), &account)?;
    let driver = scratch.path().join(DRIVER);
    fs::copy(build()?, &driver).map_err(Error::io(&driver))?;
    let site = Site {
        account,
        driver,
        dir: scratch.path().to_owned(),
    };
    let machine = Machine::look(&site.account, quiet);
    let rows = CASES
        .iter()
        .map(|case| site.measure(case, args.rounds))
        .collect::<Result<Vec<_>>>()?;
    println!();
    machine.print();
    print(&rows);
    let figures = json!({ "machine": machine.json(), "rounds": args.rounds,
                          "volumes": rows.iter().map(Row::json).collect::<Vec<_>>() });
    json::write(args.common.json.as_ref(), &figures)
}

fn build() -> Result<PathBuf> {
    let built = artifact::build(cargo().args([
        "build",
        "--locked",
        "--release",
        "--package=sandbox-volumes",
        "--example",
        DRIVER,
    ]))?;
    built
        .into_iter()
        .find(|artifact| artifact.kind == Kind::Example && artifact.name == DRIVER)
        .map(|artifact| artifact.executable)
        .ok_or(Error::NotBuilt { name: DRIVER })
}

impl Site {
    fn measure(&self, &(name, bytes, content): &(&'static str, u64, Content), rounds: usize) -> Result<Row> {
        let images = ["ours", "peer"].map(|name| self.dir.join(name));
        let mut times = [const { Vec::new() }; 3];
        let mut allocated = [0; 2];
        // The first round warms the host's caches and is not counted.
        for round in 0..=rounds {
            for (maker, times) in MAKERS.into_iter().zip(&mut times) {
                let which = usize::from(maker != Maker::Ours);
                let Some(image) = images.get(which) else { continue };
                remove(image)?;
                let time = self.make(maker, content, bytes, image)?;
                if round > 0 {
                    times.push(time);
                }
                let size = fs::metadata(image).map_err(Error::io(image))?.blocks() * 512;
                if let Some(allocated) = allocated.get_mut(which) {
                    *allocated = size;
                }
            }
        }
        let [ours, _] = &images;
        is_clean(ours)?;
        let filled = fills_up(ours, &self.dir.join("mnt"))?;
        images.iter().try_for_each(|image| remove(image))?;
        Ok(Row {
            name,
            content,
            times: times.map(Figures::of),
            allocated,
            filled,
        })
    }

    fn make(&self, maker: Maker, content: Content, bytes: u64, image: &Path) -> Result<Duration> {
        let mut command = match (maker, content) {
            (Maker::Ours, Content::Empty) => {
                let mut command = Command::new(&self.driver);
                command.arg("format").arg(image).arg(bytes.to_string());
                command
            }
            (Maker::Ours, Content::Headers) => {
                let mut command = Command::new(&self.driver);
                command
                    .arg("populate")
                    .arg(image)
                    .arg("/usr/include")
                    .arg(bytes.to_string());
                command
            }
            (_, content) => {
                let mut command = system("mke2fs");
                command.args(["-q", "-F", "-t", "ext4"]);
                if content == Content::Headers {
                    command.args(["-d", "/usr/include"]);
                }
                command.arg(image).arg(format!("{}k", bytes / 1024));
                command
            }
        };
        if self.account.is_other {
            command.uid(self.account.uid).gid(self.account.gid);
        }
        let start = Instant::now();
        succeed(&mut command)?;
        if maker == Maker::PeerDurable {
            let file = fs::File::open(image).map_err(Error::io(image))?;
            file.sync_all().map_err(Error::io(image))?;
        }
        Ok(start.elapsed())
    }
}

fn remove(image: &Path) -> Result<()> {
    match fs::remove_file(image) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(image)(error)),
        _ => Ok(()),
    }
}

/// A program of e2fsprogs, which is not in everybody's path.
fn system(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().map_err(|source| BenchError::Peer {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let why = format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Err(BenchError::Run { program, why }.into())
}

fn is_clean(image: &Path) -> Result<()> {
    succeed(system("e2fsck").arg("-fn").arg(image))
}

/// How full a disk was made through the kernel's mount before it was looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// Only root mounts.
    NotMounted,
    NineTenths,
    /// As much as this machine is asked to hold, in bytes.
    Part(u64),
}

/// No disk is filled with more: in bytes.
const MOST: u64 = 2048 * MIB;

/// Mounts a disk, fills it to nine tenths, or with as much as is reasonable, and looks at it again.
fn fills_up(image: &Path, mnt: &Path) -> Result<Filled> {
    if Account::find(None)?.uid != 0 {
        return Ok(Filled::NotMounted);
    }
    fs::create_dir_all(mnt).map_err(Error::io(mnt))?;
    succeed(system("mount").args(["-o", "loop"]).arg(image).arg(mnt))?;
    let filled = fill(mnt);
    succeed(system("umount").arg(mnt))?;
    let filled = filled?;
    is_clean(image)?;
    Ok(filled)
}

fn fill(mnt: &Path) -> Result<Filled> {
    let (size, used) = how_full(mnt)?;
    let wanted = (size / 10 * 9).saturating_sub(used);
    let mut left = wanted.min(MOST);
    let piece = vec![7; 1 << 20];
    for number in 0.. {
        let next = piece
            .get(..usize::try_from(left).unwrap_or(usize::MAX))
            .unwrap_or(&piece);
        if next.is_empty() {
            break;
        }
        let file = mnt.join(number.to_string());
        fs::write(&file, next).map_err(Error::io(&file))?;
        left -= next.len() as u64;
    }
    let (size, used) = how_full(mnt)?;
    // A block of a directory or of extents may be missing to it.
    Ok(if used >= size / 100 * 89 {
        Filled::NineTenths
    } else {
        Filled::Part(used)
    })
}

/// Bytes that a mounted disk has, and bytes in use.
fn how_full(mnt: &Path) -> Result<(u64, u64)> {
    let mut command = system("df");
    command.args(["-B1", "--output=size,used"]).arg(mnt);
    let output = command.output().map_err(Error::io(mnt))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let numbers: Vec<u64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    match *numbers.as_slice() {
        [size, used] => Ok((size, used)),
        _ => Err(BenchError::Run {
            program: "df".to_owned(),
            why: text.trim().to_owned(),
        }
        .into()),
    }
}

impl std::fmt::Display for Filled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotMounted => f.write_str("not mounted"),
            Self::NineTenths => f.write_str("90 %"),
            Self::Part(bytes) => write!(f, "{} MiB", bytes / MIB),
        }
    }
}

fn print(rows: &[Row]) {
    println!(
        "\n| disk | ours, ms | mke2fs, ms | and synced, ms | × mke2fs | × synced | ours, KiB | mke2fs, KiB | clean, filled |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let [ours, peer, durable] = &row.times;
        let [our_bytes, peer_bytes] = row.allocated;
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {} | {} |",
            row.name,
            millis(ours.median()),
            millis(peer.median()),
            millis(durable.median()),
            ratio(ours.ratio_to(peer)),
            ratio(ours.ratio_to(durable)),
            our_bytes / 1024,
            peer_bytes / 1024,
            row.filled
        );
    }
    for row in rows {
        row.judge();
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

impl Row {
    fn target(&self) -> f64 {
        if self.content == Content::Empty { 0.5 } else { 1.0 }
    }

    fn judge(&self) {
        let [ours, peer, _] = &self.times;
        let [our_bytes, peer_bytes] = self.allocated;
        if ours.ratio_to(peer).is_some_and(|ratio| ratio > self.target()) {
            println!(
                "missed: {} takes more than {} × the time of mke2fs",
                self.name,
                self.target()
            );
        }
        if our_bytes >= peer_bytes {
            println!("missed: {} takes up as much as that of mke2fs", self.name);
        }
    }

    fn json(&self) -> Value {
        let [ours, peer, durable] = &self.times;
        let [our_bytes, peer_bytes] = self.allocated;
        json!({ "disk": self.name, "rounds": ours.count(),
                "ours_us": micros(ours.median()), "ours_min_us": micros(ours.min()), "ours_max_us": micros(ours.max()),
                "mke2fs_us": micros(peer.median()), "mke2fs_synced_us": micros(durable.median()),
                "ours_bytes": our_bytes, "mke2fs_bytes": peer_bytes, "filled": self.filled.to_string() })
    }
}

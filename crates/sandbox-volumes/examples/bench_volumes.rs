//! What the catalog costs: `cargo xtask bench catalog` starts this and prints what it says, a figure a line.
//!
//! The floor is the same durability with nothing around it: a directory made and synced, a row inserted and
//! committed with `synchronous=FULL`, in the same place and the same run.
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_volumes::{Backend, LocalBackend, Volume, VolumeFilter};
use sea_orm::{ConnectOptions, ConnectionTrait, Database};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments.next().map_or(Ok(100), |count| count.parse())?;
    let parent = arguments.next().unwrap_or_else(|| ".".to_owned());
    let place = tempfile::Builder::new()
        .prefix("bench-volumes-")
        .tempdir_in(parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Each in turn, in pieces, so that what else the machine does meets both alike.
        let (mut floor, mut create) = (Duration::ZERO, Duration::ZERO);
        let bare = Bare::open(&place.path().join("bare")).await?;
        let home = place.path().join("home");
        let backend: Arc<dyn Backend> = Arc::new(LocalBackend::builder().home(home).build().await?);
        Volume::builder("first").create_on(Arc::clone(&backend)).await?;
        let piece = (count / 20).max(1);
        for start in (0..count).step_by(usize::try_from(piece)?) {
            let numbers = start..(start + piece).min(count);
            floor += bare.make(numbers.clone()).await?;
            create += make(&backend, numbers).await?;
        }
        say("floor: SQLite + mkdir + fsync", floor, count);
        let rate = 1.0 / say("create", create, count);
        let ratio = create.as_secs_f64() / floor.as_secs_f64();
        println!("create / floor\t{ratio:.2}");
        target("create: 500/s, or 2 × the floor", rate >= 500.0 || ratio <= 2.0);
        target("get: 0.2 ms", get(&backend, count).await? < 0.2e-3);
        target("list: 50 ms", list(&backend).await? < 50e-3);
        Ok(())
    })
}

fn target(what: &str, is_met: bool) {
    if !is_met {
        println!("missed: {what}");
    }
}

async fn make(backend: &Arc<dyn Backend>, numbers: std::ops::Range<u32>) -> Result<Duration> {
    let begun = Instant::now();
    for number in numbers {
        Volume::builder(format!("volume-{number}"))
            .label("number", number.to_string())
            .create_on(Arc::clone(backend))
            .await?;
    }
    Ok(begun.elapsed())
}

/// Seconds each.
async fn get(backend: &Arc<dyn Backend>, count: u32) -> Result<f64> {
    const GETS: u32 = 2000;
    let begun = Instant::now();
    for number in 0..GETS {
        let name = format!("volume-{}", number.wrapping_mul(7919) % count);
        Volume::get_on(Arc::clone(backend), &name).await?;
    }
    Ok(say("get", begun.elapsed(), GETS))
}

/// Seconds.
async fn list(backend: &Arc<dyn Backend>) -> Result<f64> {
    let mut best = Duration::MAX;
    let mut found = 0;
    for _ in 0..10 {
        let begun = Instant::now();
        found = Volume::list_on(Arc::clone(backend), &VolumeFilter::all())
            .await?
            .len();
        best = best.min(begun.elapsed());
    }
    println!("list of {found}, best of 10\t{:.1} ms", best.as_secs_f64() * 1e3);
    Ok(best.as_secs_f64())
}

/// Seconds each.
fn say(what: &str, time: Duration, count: u32) -> f64 {
    let each = time.as_secs_f64() / f64::from(count);
    println!("{what}\t{:.3} ms each\t{:.0}/s", each * 1e3, 1.0 / each);
    each
}

/// The floor.
struct Bare {
    directory: std::path::PathBuf,
    connection: sea_orm::DatabaseConnection,
}

impl Bare {
    async fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir(directory)?;
        let path = directory.join("bare.db");
        let mut options = ConnectOptions::new(format!("sqlite:{}?mode=rwc", path.display()));
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await?;
        for statement in [
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE volumes (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL)",
        ] {
            connection.execute_unprepared(statement).await?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            connection,
        })
    }

    async fn make(&self, numbers: std::ops::Range<u32>) -> Result<Duration> {
        let begun = Instant::now();
        for number in numbers {
            let path = self.directory.join(format!("{number:016x}"));
            std::fs::create_dir(&path)?;
            std::fs::File::open(&path)?.sync_all()?;
            let insert = format!("INSERT INTO volumes (name) VALUES ('volume-{number}')");
            self.connection.execute_unprepared(&insert).await?;
        }
        Ok(begun.elapsed())
    }
}

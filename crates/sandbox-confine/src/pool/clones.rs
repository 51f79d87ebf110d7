//! Clones that are ready to go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::stock::{Refused, Stock};
use super::{PoolError, check_size};
use crate::fork::{CloneHandle, ForkError, ForkOptions, Link};
use crate::sandbox::{Live, Sandbox};

/// Clones of a template that wait just before their function: confined, with a number and streams of their own.
///
/// Each is handed out once, and another one takes its place. Their numbers count on from 0 as they are made. A clone's
/// wall time counts from the moment at which it is handed out. Dropping a pool ends the clones that were not handed out,
/// and its template.
///
/// What two jobs share is what two clones share: the address layout, the stack canary, and what the template has loaded
/// and drawn at random before it was forked; see docs/fork.md.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use sandbox_confine::{CloneInput, ForkOptions, ForkPool, Policy, Sandbox};
/// let work = |dictionary: &Vec<String>, _| {
///     let word = std::io::read_to_string(std::io::stdin())?;
///     std::io::Result::Ok(format!("{}\n", dictionary.contains(&word)).into_bytes())
/// };
/// let template = Sandbox::template(&Policy::default()).typed(|| vec!["word".to_owned()], work)?;
/// let pool = ForkPool::new(template, 4, &ForkOptions::default().stdin(CloneInput::Piped))?;
/// let mut clone = pool.take()?;
/// clone.take_stdin().expect("piped").write_all(b"word")?;
/// println!("{}", String::from_utf8_lossy(&clone.wait()?.stdout));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ForkPool {
    shared: Arc<Shared>,
    template: Option<Sandbox>,
}

#[derive(Debug)]
struct Shared {
    link: Arc<Link>,
    options: ForkOptions,
    stock: Stock<CloneHandle, ForkError>,
    /// The number of the next clone.
    next: AtomicU32,
}

impl ForkPool {
    /// Keeps `size` clones of `template` ready. When this returns, all are.
    ///
    /// # Errors
    /// [`PoolError`]: `size` is 0 or too large, `template` is none, or cannot be forked.
    pub fn new(template: Sandbox, size: usize, options: &ForkOptions) -> Result<Self, PoolError> {
        check_size(size)?;
        let Live::Template(link) = &template.live else {
            return Err(ForkError::NoTemplate.into());
        };
        let mut shared = Shared {
            link: Arc::clone(link),
            options: *options,
            stock: Stock::new(size, []),
            next: AtomicU32::new(0),
        };
        let first = shared.make(size)?;
        shared.stock = Stock::new(size, first);
        let shared = Arc::new(shared);
        Stock::in_thread(&shared, |shared| &shared.stock, Shared::make)
            .map_err(|source| PoolError::Thread { source })?;
        Ok(Self {
            shared,
            template: Some(template),
        })
    }

    /// Hands a clone out, which goes on at once. Waits where none is ready.
    ///
    /// # Errors
    /// [`ForkError::PoolClosed`]; or why none could be made, which is tried again then: [`ForkError::TemplateEnded`]
    /// stays so.
    pub fn take(&self) -> Result<Sandbox, ForkError> {
        handed_out(self.shared.stock.take(CloneHandle::is_waiting)?)
    }

    /// [`ForkPool::take`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "tokio")]
    pub async fn take_async(&self) -> Result<Sandbox, ForkError> {
        if let Some(clone) = self.shared.stock.try_take(CloneHandle::is_waiting)? {
            return handed_out(clone);
        }
        let shared = Arc::clone(&self.shared);
        let take = move || Ok::<_, ForkError>(shared.stock.take(CloneHandle::is_waiting)?);
        handed_out(crate::asynchronous::on_blocking_pool(take).await??)
    }

    /// How many are ready now.
    pub fn ready(&self) -> usize {
        self.shared.stock.ready()
    }

    /// Waits until all are ready that are to be. Returns early where they cannot be made, which who takes the next one is
    /// told.
    pub fn await_full(&self) {
        self.shared.stock.await_full();
    }

    /// Ends all that are ready; there will be no more. Those that were handed out go on, and so does the template, until
    /// the pool is dropped.
    pub fn close(&self) {
        self.shared.stock.close();
    }

    /// Closes the pool and gives the template back.
    pub fn into_template(mut self) -> Option<Sandbox> {
        self.close();
        self.template.take()
    }
}

impl Drop for ForkPool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn make(&self, missing: usize) -> Result<Vec<CloneHandle>, ForkError> {
        let count = u32::try_from(missing).unwrap_or(u32::MAX);
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        self.link.fork_waiting(count, first, &self.options)
    }
}

fn handed_out(mut clone: CloneHandle) -> Result<Sandbox, ForkError> {
    clone.go()?;
    Ok(Sandbox::of_clone(clone))
}

impl From<Refused<Self>> for ForkError {
    fn from(refused: Refused<Self>) -> Self {
        match refused {
            Refused::Closed => Self::PoolClosed,
            Refused::Failed(error) => error,
        }
    }
}

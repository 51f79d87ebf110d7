//! Sandboxes that are ready for a command.

use std::ffi::OsStr;
use std::sync::Arc;

use sandbox_types::{Mount, MountSource, Policy};

use super::stock::{Refused, Stock};
use super::{PoolError, check_size};
use crate::command::Command;
use crate::error::StartError;
use crate::prepared::Prepared;
use crate::process::{Heir, Owned, Process};
use crate::run::BoundCommand;
use crate::sandbox::Sandbox;
use crate::start::{Failure, Request, stand_by};

/// Sandboxes of one policy that wait for their command, each with a process in it that is behind every wall and has
/// nothing left to do but to execute.
///
/// Each sandbox is handed out once, to one command or to one holder, and another one takes its place: no two commands
/// share namespaces, /tmp, a home, or limits. Dropping a pool ends those that were not handed out.
///
/// A command goes the short way when its streams are pipes, bytes, captures or /dev/null, and it starts in the policy's
/// own directory. Any other (a terminal, a file, `cwd`) is started in the ready sandbox as in any, which takes about a
/// third of a millisecond more. Without namespaces a pool saves planning and building, not the rest.
///
/// A pool has a thread, so make templates ([`Sandbox::template`]) before it, or of a [`zygote`](crate::zygote).
///
/// ```no_run
/// use sandbox_confine::{Policy, Pool};
/// let pool = Pool::new(&Policy::default(), 8)?;
/// for line in ["1 + 2", "6 * 7"] {
///     let result = pool.command("bc").stdin(format!("{line}\n").into_bytes()).output()?;
///     print!("{}", String::from_utf8_lossy(&result.stdout));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pool(Arc<Shared>);

/// What a pool is to its thread, and to the commands that were started from it.
#[derive(Debug)]
pub(crate) struct Shared {
    prepared: Prepared,
    stock: Stock<Owned, StartError>,
}

impl Pool {
    /// Keeps `size` sandboxes ready for commands under `policy`. When this returns, the first is ready, and the others
    /// are being made.
    ///
    /// # Errors
    /// [`PoolError`]: `size` is 0 or too large, the policy mounts a branch, or there can be no such sandbox.
    pub fn new(policy: &Policy, size: usize) -> Result<Self, PoolError> {
        Self::of(&Prepared::new(policy)?, size)
    }

    /// The same of a policy that has been planned.
    ///
    /// # Errors
    /// As there.
    pub fn of(prepared: &Prepared, size: usize) -> Result<Self, PoolError> {
        check_size(size)?;
        let is_branch = |mount: &&Mount| matches!(mount.source, MountSource::Overlay(_));
        if let Some(mount) = prepared.policy().filesystem.mounts.iter().find(is_branch) {
            return Err(PoolError::SharedBranch { at: mount.at.clone() });
        }
        let first = made(prepared)?;
        let shared = Arc::new(Shared {
            prepared: prepared.clone(),
            stock: Stock::new(size, [first]),
        });
        let make = |shared: &Shared, _| made(&shared.prepared).map(|owned| vec![owned]);
        Stock::in_thread(&shared, |shared| &shared.stock, make)
            .map_err(|source| PoolError::Thread { source })?;
        Ok(Self(shared))
    }

    /// A command in a sandbox of its own, which ends with it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> BoundCommand<'_> {
        self.run(Command::new(program))
    }

    /// The same of a command that is there already.
    pub fn run(&self, command: impl Into<Command>) -> BoundCommand<'_> {
        BoundCommand::of_pool(self, command.into())
    }

    /// Hands a sandbox out, for any number of commands, of which the first goes the short way. Waits where none is
    /// ready.
    ///
    /// # Errors
    /// [`StartError::PoolClosed`]; or why none could be made, which is tried again then.
    pub fn take(&self) -> Result<Sandbox, StartError> {
        let owned = self.0.take()?;
        Ok(Sandbox::of_launched(self.0.prepared.clone(), owned))
    }

    /// [`Pool::take`] without blocking the runtime.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "tokio")]
    pub async fn take_async(&self) -> Result<Sandbox, StartError> {
        let owned = if let Some(owned) = self.0.stock.try_take(is_alive)? {
            owned
        } else {
            let shared = Arc::clone(&self.0);
            crate::asynchronous::on_blocking_pool(move || shared.take()).await??
        };
        Ok(Sandbox::of_launched(self.0.prepared.clone(), owned))
    }

    /// The policy of its sandboxes.
    pub fn policy(&self) -> &Policy {
        self.0.prepared.policy()
    }

    /// How many are ready now.
    pub fn ready(&self) -> usize {
        self.0.stock.ready()
    }

    /// Waits until all are ready that are to be. Returns early where one cannot be made, which who takes the next one
    /// is told.
    pub fn await_full(&self) {
        self.0.stock.await_full();
    }

    /// Ends all that are ready; there will be no more. Those that were handed out go on. When this returns, nothing else
    /// of the pool is left, its thread included.
    pub fn close(&self) {
        self.0.stock.close();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn take(&self) -> Result<Owned, StartError> {
        Ok(self.stock.take(is_alive)?)
    }

    /// Starts a command in a sandbox of its own.
    pub(crate) fn spawn(self: &Arc<Self>, command: Command) -> Result<Process, StartError> {
        let request = Request::new(self.prepared.output(), command)?;
        loop {
            let mut owned = self.take()?;
            match request.start_for_heir(&owned) {
                Ok(started) => {
                    owned.heir = Some(Arc::<Self>::clone(self));
                    return request.into_process(started, owned);
                }
                // It died between being looked at and being used; nothing has run in it.
                Err(Failure::SetUp(_) | Failure::Start(StartError::Ended)) => {
                    tracing::debug!("a sandbox died before its command");
                }
                Err(Failure::Start(error)) => return Err(self.prepared.explain(error)),
            }
        }
    }
}

impl Heir for Shared {
    fn inherit(&self, owned: Owned) {
        self.stock.put_away(owned);
    }
}

/// Nobody has killed it while it waited.
fn is_alive(owned: &Owned) -> bool {
    !owned.init.is_dead()
}

fn made(prepared: &Prepared) -> Result<Owned, StartError> {
    let owned = prepared.launch()?;
    match stand_by(&owned) {
        Ok(_) => Ok(owned),
        Err(error) => Err(prepared.explain(error)),
    }
}

impl From<Refused<Self>> for StartError {
    fn from(refused: Refused<Self>) -> Self {
        match refused {
            Refused::Closed => Self::PoolClosed,
            Refused::Failed(error) => error,
        }
    }
}

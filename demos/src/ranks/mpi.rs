//! Ranks that an MPI launcher has started, on one machine or many.

use std::fmt;
use std::time::{Duration, Instant};

use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::Link;
use crate::failure::Failure;

/// Variables that launchers set: Open MPI's, MPICH's and Intel's, and those of a PMIx server such as Slurm's.
const LAUNCHERS: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"];

/// Returns true where a launcher has started this process.
pub fn launched() -> bool {
    LAUNCHERS.iter().any(|name| std::env::var_os(name).is_some())
}

/// All ranks of the launcher.
pub struct Mpi {
    world: SimpleCommunicator,
    local: usize,
    /// Ends the library when it is dropped: the last field.
    _universe: Universe,
}

impl Mpi {
    /// Starts the MPI library.
    ///
    /// # Errors
    /// It was started before.
    pub fn start() -> Result<Self, Failure> {
        let universe = mpi::initialize().ok_or_else(|| Failure::run("the MPI library was started twice"))?;
        let world = universe.world();
        let local = world.split_shared(world.rank()).rank() as usize;
        Ok(Self { world, local, _universe: universe })
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mpi(rank {} of {})", self.rank(), self.size())
    }
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn local(&self) -> usize {
        self.local
    }

    fn gather(&self, own: &[u32], patience: &mut dyn FnMut() -> Option<Failure>) -> Result<Vec<u32>, Failure> {
        let mut all = vec![0; own.len() * self.size()];
        let begun = Instant::now();
        mpi::request::scope(|scope| {
            let mut request = self.world.immediate_all_gather_into(scope, own, &mut all[..]);
            loop {
                request = match request.test() {
                    Ok(_) => break,
                    Err(unfinished) => unfinished,
                };
                let waited = begun.elapsed();
                // A request that is under way cannot be given up, so the sentence is told here.
                if let Some(failure) = pause(waited).then(&mut *patience).flatten() {
                    crate::tell!("error: {failure}");
                    self.abort(failure.code());
                }
            }
        });
        Ok(all)
    }

    fn abort(&self, code: u8) -> ! {
        self.world.abort(code.into())
    }
}

/// Waits a little, longer and longer, and leaves the core to others. Returns true from a millisecond on.
fn pause(waited: Duration) -> bool {
    match waited.as_micros() {
        ..50 => std::hint::spin_loop(),
        50..20_000 => std::thread::yield_now(),
        _ => std::thread::sleep(Duration::from_micros(100)),
    }
    waited > Duration::from_millis(1)
}

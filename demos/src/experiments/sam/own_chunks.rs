//! The chunks of a batch that a rank has, and what all ranks tell of theirs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, Values};
use fourfold::shaders::Data;

use super::chunk_mean::{self, tree_mean};
use super::step::{self, Setup, TOLD, seen_name};
use crate::failure::Failure;
use crate::ranks::Ranks;

/// The first half of a step, on the weights of the second.
#[derive(Debug)]
pub struct OwnChunks {
    sessions: Vec<ChunkSession>,
    ranks: Ranks,
    /// Numbers that each chunk tells before its statistics.
    at_once: usize,
    /// Chunks of each rank.
    chunks: Vec<usize>,
    /// Words of each rank.
    counts: Vec<usize>,
}

/// Some of the own chunks in one graph: all, or one where they exchange statistics in the middle of a step.
#[derive(Debug)]
struct ChunkSession {
    session: Session,
    /// The names of what is read after a step.
    read: Vec<String>,
    /// The dispatches at which chunks exchange numbers.
    stops: Vec<usize>,
}

impl OwnChunks {
    /// Prepares the own chunks; weights, seed and position in the epoch's order are those of `update`.
    ///
    /// # Errors
    /// No memory.
    pub fn new(ranks: &Ranks, setup: Setup<'_>, mut values: Values, update: &Session) -> Result<Self, Failure> {
        let part = ranks.part();
        let ranges = part.ranges(setup.recipe.chunks);
        let own = ranges[part.index].clone();
        let graphs: Vec<Range<usize>> =
            if setup.is_synchronised() { own.map(|chunk| chunk..chunk + 1).collect() } else { vec![own] };
        let mut shared = BTreeMap::new();
        let mut sessions: Vec<ChunkSession> = Vec::new();
        for chunks in graphs {
            let graph = Graph::new();
            step::own(&graph, setup, chunks.clone());
            let plan = Arc::new(Plan::new(&graph, &update.gpu().target())?);
            if sessions.is_empty() {
                let names = ["weights", "seed", "position"].into_iter();
                for name in names.filter(|name| plan.states.contains_key(*name)) {
                    shared.insert(name.to_owned(), update.buffer(name)?);
                }
            }
            let own = ChunkSession::new(setup, plan, std::mem::take(&mut values), &shared, (chunks, update))?;
            // The batch and its images are the same for all chunks.
            for name in own.session.plan().inputs.keys() {
                shared.insert(name.clone(), own.session.buffer(name)?);
            }
            sessions.push(own);
        }
        let chunks: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
        let counts = chunks.iter().map(|chunks| chunks * setup.told()).collect();
        Ok(Self { sessions, ranks: ranks.clone(), at_once: setup.told_at_once(), chunks, counts })
    }

    /// The session with the inputs of the batches.
    pub fn session(&mut self) -> &mut Session {
        &mut self.sessions[0].session
    }

    /// Does the own half of a step and returns what all chunks tell, in their order.
    ///
    /// # Errors
    /// Another rank is gone, or the device was lost.
    pub fn step(&mut self) -> Result<Data, Failure> {
        let stops = self.sessions[0].stops.len();
        for stop in 0..stops {
            self.exchange(stop)?;
        }
        for own in &mut self.sessions {
            let dispatches = own.session.plan().dispatches.len();
            own.session.submit_range(own.behind(stops)..dispatches)?;
        }
        let mut words = Vec::with_capacity(self.counts[self.ranks.rank()]);
        for own in &mut self.sessions {
            let names: Vec<&str> = own.read.iter().map(String::as_str).collect();
            let ticket = own.session.submit_readback(&names)?;
            let values = own.session.gpu().block_on(ticket.into_future())?;
            let (told, seen) = (values[0].f32(), &values[1..]);
            let passes = seen.len() / (told.len() / self.at_once);
            for (chunk, told) in told.chunks(self.at_once).enumerate() {
                let seen = seen[chunk * passes..][..passes].iter().flat_map(|seen| seen.f32());
                // Floats travel as their bits.
                words.extend(told.iter().chain(seen).map(|number| number.to_bits()));
            }
        }
        let all = self.ranks.gather(&words, &self.counts)?;
        Ok(Data::F32(all.into_iter().map(f32::from_bits).collect()))
    }

    /// Goes on to a stop, and gives every own chunk the mean over all chunks of what each of them wrote there.
    fn exchange(&mut self, stop: usize) -> Result<(), Failure> {
        let mut tickets = Vec::with_capacity(self.sessions.len());
        for own in &mut self.sessions {
            let at = own.stops[stop];
            own.session.submit_range(own.behind(stop)..at + 1)?;
            tickets.push(own.session.submit_readback_of(at)?);
        }
        let (mut words, mut length) = (Vec::new(), 0);
        for (ticket, own) in tickets.into_iter().zip(&self.sessions) {
            let values = own.session.gpu().block_on(ticket.into_future())?;
            length = values[0].len();
            words.extend(values[0].f32().iter().map(|number| number.to_bits()));
        }
        let counts: Vec<usize> = self.chunks.iter().map(|chunks| chunks * length).collect();
        let all: Vec<f32> = self.ranks.gather(&words, &counts)?.into_iter().map(f32::from_bits).collect();
        let mean = Data::F32(tree_mean(&all.chunks(length).collect::<Vec<_>>()));
        for own in &mut self.sessions {
            own.session.replace(own.stops[stop], &mean)?;
        }
        Ok(())
    }
}

impl ChunkSession {
    fn new(
        setup: Setup<'_>,
        plan: Arc<Plan>,
        mut values: Values,
        shared: &BTreeMap<String, BufferView>,
        (chunks, update): (Range<usize>, &Session),
    ) -> Result<Self, Failure> {
        let mut read = vec![TOLD.to_owned()];
        for chunk in chunks {
            for pass in 0..setup.passes() {
                let name = seen_name(pass, chunk);
                values.insert(name.clone(), Data::F32(vec![0.0; setup.classifier.statistics().length()]));
                read.push(name);
            }
        }
        let session = Session::on_buffers(update.gpu(), plan, &values, shared)?;
        let stops = session.dispatches_of(chunk_mean::NAME);
        Ok(Self { session, read, stops })
    }

    /// The first dispatch behind so many stops.
    fn behind(&self, stops: usize) -> usize {
        stops.checked_sub(1).map_or(0, |last| self.stops[last] + 1)
    }
}

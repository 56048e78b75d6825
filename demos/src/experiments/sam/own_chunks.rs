//! The chunks of a batch that a rank has, and what all ranks tell of theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use fourfold::graph::{Plan, Session, Values};
use fourfold::shaders::Data;

use super::step::{Setup, TOLD, seen_name};
use crate::failure::Failure;
use crate::ranks::Ranks;

/// The first half of a step, on the weights of the second.
#[derive(Debug)]
pub struct OwnChunks {
    session: Session,
    ranks: Ranks,
    /// The names of what is read after a step.
    read: Vec<String>,
    /// Numbers that each chunk tells before its statistics.
    at_once: usize,
    /// Words of each rank.
    counts: Vec<usize>,
}

impl OwnChunks {
    /// Prepares the plan of the own chunks; weights, seed and position in the epoch's order are those of `update`.
    ///
    /// # Errors
    /// No memory.
    pub fn new(
        ranks: &Ranks,
        setup: Setup<'_>,
        plan: Arc<Plan>,
        mut values: Values,
        update: &Session,
    ) -> Result<Self, Failure> {
        let part = ranks.part();
        let ranges = part.ranges(setup.recipe.chunks);
        let counts = ranges.iter().map(|chunks| chunks.len() * setup.told()).collect();
        let mut read = vec![TOLD.to_owned()];
        for chunk in ranges[part.index].clone() {
            for pass in 0..setup.passes() {
                let name = seen_name(pass, chunk);
                values.insert(name.clone(), Data::F32(vec![0.0; setup.classifier.statistics().length()]));
                read.push(name);
            }
        }
        let shared = ["weights", "seed", "position"].into_iter().filter(|name| plan.states.contains_key(*name));
        let shared = shared.map(|name| Ok((name.to_owned(), update.buffer(name)?)));
        let shared = shared.collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let session = Session::on_buffers(update.gpu(), plan, &values, &shared)?;
        Ok(Self { session, ranks: ranks.clone(), read, at_once: setup.told_at_once(), counts })
    }

    /// The session, for the inputs of the batches.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Does the own half of a step and returns what all chunks tell, in their order.
    ///
    /// # Errors
    /// Another rank is gone, or the device was lost.
    pub fn step(&mut self) -> Result<Data, Failure> {
        self.session.submit(1)?;
        let names: Vec<&str> = self.read.iter().map(String::as_str).collect();
        let ticket = self.session.submit_readback(&names)?;
        let values = self.session.gpu().block_on(ticket.into_future())?;
        let (told, seen) = (values[0].f32(), &values[1..]);
        let chunks = told.len() / self.at_once;
        let passes = seen.len() / chunks;
        let own = told.chunks(self.at_once).enumerate().flat_map(|(chunk, told)| {
            let seen = seen[chunk * passes..][..passes].iter().flat_map(|seen| seen.f32());
            // Floats travel as their bits.
            told.iter().chain(seen).map(|number| number.to_bits())
        });
        let all = self.ranks.gather(&own.collect::<Vec<_>>(), &self.counts)?;
        Ok(Data::F32(all.into_iter().map(f32::from_bits).collect()))
    }
}

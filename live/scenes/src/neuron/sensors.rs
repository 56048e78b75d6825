//! The wires between what is observed and the inputs of a policy, on the device.

use fourfold::graph::{Graph, Plan, Session, Tag, TensorType};
use fourfold::rollout::shuffled;
use fourfold::shaders::Data;
use fourfold::{BufferView, Gpu, wgpu};

use crate::Error;

/// Standard deviation of the noise channels.
const NOISE: f32 = 0.1;

/// The numbers that inputs can be wired to: the observation so many times over, then channels of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) copies: usize,
    pub(super) noise_channels: usize,
}

impl Sources {
    /// How many they are.
    pub(super) fn count(self, observations: usize) -> usize {
        self.copies * observations + self.noise_channels
    }
}

/// A wiring of each lane: a graph that gathers the inputs from the observations and from noise that it draws.
#[derive(Debug)]
pub(super) struct Sensors {
    session: Session,
    lanes: usize,
    sources: usize,
    /// Inputs of a lane: the first of the wiring, for a policy that takes no more.
    taken: usize,
    inputs: BufferView,
    /// The source of each input of each lane.
    wiring: Vec<u32>,
    noisy: bool,
}

impl Sensors {
    /// Wires `taken` inputs of each lane, in the plain order.
    pub(super) fn new(
        gpu: &Gpu,
        observations: &BufferView,
        [lanes, width]: [usize; 2],
        from: Sources,
        taken: usize,
    ) -> Result<Self, Error> {
        let sources = from.count(width);
        let graph = Graph::new();
        let seen = graph.input("observations", TensorType::f32([lanes, width]));
        let wiring = graph.input("wiring", TensorType::u32([lanes * taken]));
        let mut parts = vec![seen; from.copies];
        if from.noise_channels > 0 {
            let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
            parts.push(seed.normal(0, [lanes, from.noise_channels]) * NOISE);
            graph.advance(seed);
        }
        let all = if parts.len() == 1 { seen } else { graph.concatenate(&parts, 1) };
        graph.output("inputs", all.reshape([lanes * sources, 1]).gather(wiring).reshape([lanes, taken]));
        let inputs = gpu.zeros("inputs", lanes * taken)?;
        let session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?)
            .on_buffer("observations", observations.clone())
            .on_buffer("inputs", inputs.clone())
            .build()?;
        let noisy = from.noise_channels > 0;
        let mut sensors = Self { session, lanes, sources, taken, inputs, wiring: Vec::new(), noisy };
        sensors.straighten()?;
        Ok(sensors)
    }

    /// (lanes, taken)
    pub(super) fn inputs(&self) -> &BufferView {
        &self.inputs
    }

    /// The sources of a lane's inputs.
    pub(super) fn order(&self, lane: usize) -> &[u32] {
        &self.wiring[lane * self.taken..][..self.taken]
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.session.record(pass);
    }

    /// Wires the plain order, from the next submission on.
    pub(super) fn straighten(&mut self) -> Result<(), Error> {
        let plain = 0..self.taken as u32;
        self.wire((0..self.lanes).flat_map(|_| plain.clone()).collect())
    }

    /// Wires each lane in an order of its own, drawn by the seed, from the next submission on.
    pub(super) fn shuffle(&mut self, seed: u32) -> Result<(), Error> {
        let orders = shuffled(seed, self.lanes, 1, self.sources, false);
        let taken = orders.u32().chunks_exact(self.sources).flat_map(|order| &order[..self.taken]);
        self.wire(taken.copied().collect())
    }

    /// Draws other noise.
    pub(super) fn reseed(&mut self, seed: u32) -> Result<(), Error> {
        if self.noisy {
            self.session.write("seed", &Data::U32(vec![seed, 0]))?;
        }
        Ok(())
    }

    fn wire(&mut self, wiring: Vec<u32>) -> Result<(), Error> {
        let row = |index: usize| (index / self.taken * self.sources) as u32;
        let rows = wiring.iter().enumerate().map(|(index, source)| row(index) + source).collect();
        self.session.write("wiring", &Data::U32(rows))?;
        self.wiring = wiring;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lanes that observe 1, 2 and 11, 12.
    #[test]
    fn inputs_are_the_sources_that_the_wiring_names_lane_by_lane() {
        let gpu = Gpu::open().unwrap();
        let observations = gpu.upload("observations", &Data::F32(vec![1.0, 2.0, 11.0, 12.0])).unwrap();
        let from = Sources { copies: 2, noise_channels: 0 };
        let mut sensors = Sensors::new(&gpu, &observations, [2, 2], from, 4).unwrap();
        sensors.session.submit(1).unwrap();
        let inputs = |sensors: &mut Sensors| {
            #[expect(clippy::disallowed_methods, reason = "a test may wait")]
            sensors.session.read("inputs").unwrap().f32().to_vec()
        };
        assert_eq!(inputs(&mut sensors), [1.0, 2.0, 1.0, 2.0, 11.0, 12.0, 11.0, 12.0]);
        sensors.shuffle(3).unwrap();
        sensors.session.submit(1).unwrap();
        let expected: Vec<f32> = (0..2)
            .flat_map(|lane| sensors.order(lane).iter().map(move |source| (10 * lane + 1) as f32 + (source % 2) as f32))
            .collect();
        assert_eq!(inputs(&mut sensors), expected);
        assert_ne!(sensors.order(0), [0, 1, 2, 3]);
    }

    #[test]
    fn a_policy_that_takes_fewer_inputs_has_the_first_of_the_wiring() {
        let gpu = Gpu::open().unwrap();
        let observations = gpu.upload("observations", &Data::F32(vec![5.0; 10])).unwrap();
        let from = Sources { copies: 1, noise_channels: 4 };
        let mut sensors = Sensors::new(&gpu, &observations, [2, 5], from, 5).unwrap();
        assert_eq!((sensors.inputs().elements(), sensors.order(1)), (10, &[0, 1, 2, 3, 4][..]));
        sensors.shuffle(1).unwrap();
        assert!(sensors.order(0).iter().all(|source| *source < 9));
    }
}

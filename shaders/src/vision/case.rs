//! Random cases of the kernels of the vision neuron.

use super::network::{BEGINS, GOES_ON, LIST, OVER, Problem, VisionNetwork};
use super::{ABSENT, AttentionAgent, Convolution, DrivingNetwork, ReactiveNetwork, VisionNeuron};
use super::{attend, decide, gather, look, retina, tables, vote};
use crate::{Case, Data, Generator, KernelRef};

/// The kernels of this folder.
pub(crate) fn kernels() -> Vec<KernelRef> {
    vec![
        KernelRef::listed("vision.fill", |generator| Scene::any(generator).tables(generator)),
        KernelRef::listed("vision.retina", |generator| Scene::any(generator).retina(generator)),
        KernelRef::listed("vision.gather", |generator| Scene::any(generator).gather(generator)),
        KernelRef::listed("vision.attend", |generator| Scene::any(generator).attend(generator)),
        KernelRef::listed("vision.look", |generator| Scene::agent(generator).look(generator)),
        KernelRef::listed("vision.vote", |generator| Scene::voting(generator).vote(generator)),
        KernelRef::listed("vision.decide", |generator| Scene::voting(generator).decide(generator)),
    ]
}

/// A small network that drives, with the switches of the published one.
pub(super) fn few_patches() -> DrivingNetwork {
    let layer =
        VisionNeuron { rows: 12, columns: 18, patch: 3, messages: 16, dimension: 16, ..VisionNeuron::car_racing() };
    DrivingNetwork { layer, top: 5, hidden: 6, ..DrivingNetwork::car_racing() }
}

/// A network that drives whose every switch is the other way round, and whose rows are more than a workgroup's invocations.
fn many_rows() -> DrivingNetwork {
    let layer = VisionNeuron {
        rows: 8,
        columns: 6,
        patch: 2,
        stack: 3,
        actions: 0,
        messages: 144,
        positions: 5,
        dimension: 8,
        key_bias: false,
        time_last: false,
        learned_norms: true,
    };
    DrivingNetwork { layer, vote: 4, top: 10, hidden: 16, actions: 2 }
}

/// The networks that drive.
#[cfg(test)]
pub(super) fn driving_networks() -> [DrivingNetwork; 2] {
    [few_patches(), many_rows()]
}

/// AttentionAgents whose patches overlap or lie apart; of neither are they a multiple of four, and those of the first are more
/// than a workgroup's invocations.
pub(super) fn agents() -> [AttentionAgent; 2] {
    let published = AttentionAgent::car_racing();
    [
        AttentionAgent { size: 21, patch: 5, stride: 2, block: 3, ..published },
        AttentionAgent {
            size: 14,
            channels: 1,
            patch: 2,
            stride: 5,
            block: 7,
            top: 4,
            hidden: 5,
            actions: 2,
            ..published
        },
    ]
}

/// A network that remembers nothing, with two large patches and a stack of two frames.
fn two_frames() -> ReactiveNetwork {
    let layer =
        VisionNeuron { rows: 6, columns: 12, patch: 6, stack: 2, messages: 36, dimension: 12, ..VisionNeuron::pong() };
    ReactiveNetwork {
        layer,
        convolutions: vec![Convolution { channels: 4, kernel: 3, stride: 1 }],
        hidden: 8,
        ..ReactiveNetwork::pong()
    }
}

/// A network with a single patch of the largest size, of which sums of squares pass 32 bits.
fn large_patch() -> ReactiveNetwork {
    let layer = VisionNeuron { rows: 22, columns: 22, patch: 22, messages: 4, dimension: 4, ..two_frames().layer };
    ReactiveNetwork { layer, convolutions: vec![], ..two_frames() }
}

/// A network and the lanes of a step.
#[derive(Debug)]
struct Scene {
    network: VisionNetwork,
    problem: Problem,
    workgroup: usize,
}

impl Scene {
    fn any(generator: &mut Generator) -> Self {
        if !generator.chance(0.3) {
            return Self::driving(generator);
        }
        let network = if generator.chance(0.3) { large_patch() } else { two_frames() };
        Self::of(generator, VisionNetwork::Reactive(network))
    }

    fn driving(generator: &mut Generator) -> Self {
        let few = generator.chance(0.5);
        let network = if few { few_patches() } else { many_rows() };
        Self::of(generator, VisionNetwork::Driving(network))
    }

    fn agent(generator: &mut Generator) -> Self {
        let agent = generator.pick(&agents());
        Self::of(generator, VisionNetwork::Agent(agent))
    }

    fn voting(generator: &mut Generator) -> Self {
        if generator.chance(0.4) { Self::agent(generator) } else { Self::driving(generator) }
    }

    fn of(generator: &mut Generator, network: VisionNetwork) -> Self {
        let (members, phases) = (generator.length(3), generator.pick(&[1, 1, 3]));
        let problem = Problem {
            members,
            groups: generator.length(6) + usize::from(generator.chance(0.5)),
            phases,
            interval: generator.pick(&[1, 2, 5]),
            pedals: generator.chance(0.5),
        };
        let workgroup = generator.lanes_of_a_workgroup();
        Self { network, problem, workgroup }
    }

    fn normals(&self, generator: &mut Generator, count: usize, scale: f32) -> Data {
        Data::F32((0..count).map(|_| scale * generator.normal()).collect())
    }

    fn weights(&self, generator: &mut Generator) -> Data {
        self.normals(generator, self.problem.weights(&self.network), 0.3)
    }

    /// Times and ends of the lanes: episodes that begin, go on, are over, and that ended as others began.
    fn clocks(&self, generator: &mut Generator) -> [Data; 2] {
        let lanes = self.problem.lanes();
        let times = Data::U32((0..lanes).map(|_| generator.pick(&[0, 1, 2, 3, 7, 40])).collect());
        let ends = Data::U32((0..lanes).map(|_| generator.pick(&[0, 0, 0, 1, 2, 3])).collect());
        [times, ends]
    }

    /// Permutations of the patches, some of which are absent.
    fn wiring(&self, generator: &mut Generator) -> Data {
        let patches = self.network.patches();
        let mut wiring = Vec::new();
        for _ in 0..self.problem.lanes() * self.problem.phases {
            let mut order: Vec<u32> = (0..patches as u32).collect();
            for place in (1..patches).rev() {
                let other = generator.indices(1, place as u32 + 1).u32()[0] as usize;
                order.swap(place, other);
            }
            wiring.extend(order.iter().map(|patch| patch + if generator.chance(0.2) { ABSENT } else { 0 }));
        }
        Data::U32(wiring)
    }

    fn tables(&self, generator: &mut Generator) -> Case {
        let weights = self.weights(generator);
        Case::new(self, tables::call(&self.network, &self.problem, self.workgroup), [weights])
    }

    /// Pictures of few shades whose patches have often not moved.
    fn retina(&self, generator: &mut Generator) -> Case {
        let (network, problem) = (&self.network, &self.problem);
        let layer = network.neuron();
        let [times, ends] = self.clocks(generator);
        let wiring = self.wiring(generator);
        let shades = generator.pick(&[1, 3, 256]);
        let bytes = generator.indices(problem.lanes() * layer.rows * layer.columns, shades);
        // Black and white has the largest variance.
        let factor = if shades == 3 { 127 } else { 1 };
        let bytes: Vec<u8> = bytes.u32().iter().map(|&byte| (factor * byte) as u8).collect();
        let mut history = vec![0; problem.history(network)];
        let (patches, pixels) = (layer.patches(), layer.pixels());
        for lane in 0..problem.lanes() {
            let picture = &bytes[lane * layer.rows * layer.columns..];
            for slot in 0..patches {
                let time = times.u32()[lane];
                let (source, _) = problem.uniform().wired(wiring.u32(), lane, slot, time, patches);
                let moves = generator.chance(0.5);
                for (pixel, byte) in layer.patch_of(picture, source).enumerate() {
                    // Bytes that no frame of the stack will have do not count as changes.
                    let frames = u32::MAX << (8 * (5 - layer.stack));
                    let random = generator.indices(1, u32::MAX).u32()[0];
                    let still = (u32::from(byte) * 0x0101_0101) & frames | random & !frames;
                    let before = if moves { random } else { still };
                    history[(lane * pixels + pixel) * patches + slot] = before;
                }
            }
        }
        let pictures = Data::U32(bytemuck::pod_collect_to_vec(&bytes));
        let tables = self.normals(generator, problem.tables(network), 0.05);
        let sensed = self.normals(generator, problem.sensed(network), 1.0);
        let call = retina::call(network, problem, self.workgroup);
        Case::new(self, call, [pictures, times, ends, wiring, tables, Data::U32(history), sensed])
    }

    /// The scores and values of patches, with their kinds; scores of patches at rest do not matter.
    fn sensed(&self, generator: &mut Generator, scale: f32) -> Data {
        let (network, row) = (&self.network, self.network.sensed_row());
        let mut sensed = self.normals(generator, self.problem.sensed(network), scale).f32().to_vec();
        for patch in sensed.chunks_exact_mut(row) {
            patch[network.neuron().positions + 1] = generator.pick(&[0.0, 1.0, 1.0, 2.0, 2.0]);
        }
        Data::F32(sensed)
    }

    fn gather(&self, generator: &mut Generator) -> Case {
        let [times, ends] = self.clocks(generator);
        let sensed = self.sensed(generator, 1.0);
        let listed = generator.indices(self.problem.listed(&self.network), 9);
        let order = self.wiring(generator).u32().iter().map(|slot| slot & !ABSENT).collect();
        Case::new(
            self,
            gather::call(&self.network, &self.problem, self.workgroup),
            [times, ends, sensed, listed, Data::U32(order)],
        )
    }

    /// Lists of lanes that begin, go on and are over, with some patches that moved; at times none are there at all.
    fn listed(&self, generator: &mut Generator) -> Data {
        let Some(patches) = self.network.layer().map(VisionNeuron::patches) else {
            return Data::U32((0..self.problem.lanes()).map(|_| generator.pick(&[OVER, BEGINS, GOES_ON])).collect());
        };
        let mut listed = Vec::with_capacity(self.problem.listed(&self.network));
        for _ in 0..self.problem.lanes() {
            let some = generator.pick(&[0.0, 0.3, 0.3, 0.3, 1.0]);
            let moving: Vec<u32> = (0..patches as u32).filter(|_| generator.chance(some)).collect();
            let resting = if generator.chance(0.2) { 0 } else { patches - moving.len() };
            listed.extend([generator.pick(&[OVER, BEGINS, GOES_ON, GOES_ON]), moving.len() as u32, resting as u32]);
            listed.extend((0..patches).map(|index| moving.get(index).copied().unwrap_or(0)));
        }
        debug_assert_eq!(listed.len(), self.problem.lanes() * (LIST + patches));
        Data::U32(listed)
    }

    fn attend(&self, generator: &mut Generator) -> Case {
        let (network, problem) = (&self.network, &self.problem);
        let positions = Data::F32(network.position_rows());
        let scale = generator.pick(&[0.2, 1.0]);
        let (sensed, listed, weights) =
            (self.sensed(generator, scale), self.listed(generator), self.weights(generator));
        // Where no patch is at rest, their sum is 0.
        let (patches, row) = (network.neuron().patches(), network.sensed_row());
        let mut sensed = sensed.f32().to_vec();
        for lane in (0..problem.lanes()).filter(|lane| listed.u32()[lane * (LIST + patches) + 2] == 0) {
            sensed[(lane * (patches + 1) + patches) * row..][..row].fill(0.0);
        }
        let sensed = Data::F32(sensed);
        let mut inputs = vec![positions, sensed, listed, weights];
        if matches!(network, VisionNetwork::Driving(_)) {
            let shares = (0..problem.lanes() * network.memory()).map(|_| generator.pick(&[0.0, 0.25, 0.8, 1.0]));
            inputs.push(Data::F32(shares.collect()));
            inputs.push(self.normals(generator, problem.messages(network), 1.0));
            inputs.push(self.normals(generator, problem.votes(network), 1.0));
        } else {
            inputs.push(self.normals(generator, problem.messages(network), 1.0));
        }
        Case::new(self, attend::call(network, problem, self.workgroup), inputs)
    }

    fn look(&self, generator: &mut Generator) -> Case {
        let (network, problem) = (&self.network, &self.problem);
        let VisionNetwork::Agent(agent) = network else { unreachable!("a scene of an attention agent") };
        let shades = generator.pick(&[2, 256]);
        let bytes = generator.indices(4 * problem.pictures(network), shades);
        let bytes: Vec<u8> = bytes.u32().iter().map(|&byte| byte as u8).collect();
        let pictures = Data::U32(bytemuck::pod_collect_to_vec(&bytes));
        let [times, ends] = self.clocks(generator);
        let (wiring, weights) = (self.wiring(generator), self.weights(generator));
        let listed = generator.indices(problem.listed(network), 9);
        let votes = self.normals(generator, problem.votes(network), 1.0);
        let call = look::call(network, agent, problem, self.workgroup);
        Case::new(self, call, [pictures, times, ends, wiring, weights, listed, votes])
    }

    fn vote(&self, generator: &mut Generator) -> Case {
        let (network, problem) = (&self.network, &self.problem);
        let controller = network.controller().expect("a network that drives");
        let (lanes, scale) = (problem.lanes(), generator.pick(&[0.0, 0.5, 3.0]));
        let listed = self.listed(generator);
        let mut votes = self.normals(generator, problem.votes(network), scale).f32().to_vec();
        if generator.chance(0.3) {
            // Few different numbers, so that columns are equal.
            votes.iter_mut().for_each(|vote| *vote = vote.round().clamp(-1.0, 1.0));
        }
        let votes = Data::F32(votes);
        let importance = self.normals(generator, lanes * controller.voters, 1.0);
        let chosen = generator.indices(lanes * controller.top, 9);
        Case::new(self, vote::call(network, controller, problem), [listed, votes, importance, chosen])
    }

    /// An invocation is a lane here alone, so only many lanes fold the grid.
    fn decide(mut self, generator: &mut Generator) -> Case {
        if generator.huge() {
            self.network = VisionNetwork::Driving(few_patches());
            self.problem = Problem { members: 1, groups: 8 * 65_535 + 3, phases: 1, ..self.problem };
        }
        let (network, problem) = (&self.network, &self.problem);
        let controller = network.controller().expect("a network that drives");
        let lanes = problem.lanes();
        let (listed, weights) = (self.listed(generator), self.weights(generator));
        let chosen = generator.indices(lanes * controller.top, controller.voters as u32);
        let memory = self.normals(generator, lanes * network.memory(), 0.7);
        let actions = self.normals(generator, lanes * controller.actions, 1.0);
        let call = decide::call(network, controller, problem, self.workgroup);
        Case::new(self, call, [listed, weights, chosen, memory, actions])
    }
}

//! The WGSL of a litmus test, and what is drawn anew in each round: the locations, the pairing of invocations and the
//! order of workgroups.

use fourfold_shaders::Binding;

use super::list::{Place, Test};

/// Invocations of a workgroup.
pub(super) const LANES: u32 = 64;

/// Words between two locations, at most.
const MOST_STRIDE: u32 = 16;

/// Words that the stressing invocations write.
const SCRATCH: usize = 4096;

/// Words of the parameters.
pub(super) const PARAMETERS: usize = 6;

pub(super) const BINDINGS: &[Binding] = &[
    Binding::update("memory", "(instances, 2, stride)").u32(),
    Binding::update("results", "(instances, 2)").u32(),
    Binding::update("scratch", "(words)").u32(),
    Binding::read("order", "(workgroups)").u32(),
    Binding::read("parameters", "(6)").u32(),
];

/// Elements of each binding.
pub(super) fn lengths(groups: usize) -> [usize; 5] {
    let instances = groups * LANES as usize;
    [2 * instances * MOST_STRIDE as usize, 2 * instances, SCRATCH, 2 * groups, PARAMETERS]
}

/// The parameters that differ from round to round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    groups: u32,
    /// Words between locations.
    stride: u32,
    /// Odd factors that permute instances and locations, whose number is a power of two.
    pair: u32,
    spread: u32,
    /// Words between the first and the second location of an instance; 0 where they are one.
    offset: u32,
    /// Rounds of stores and loads of a stressing invocation.
    stress: u32,
    /// The role of each workgroup: those below `groups` test, all others stress.
    pub order: Vec<u32>,
}

impl Round {
    /// Draws a round.
    pub fn draw(test: &Test, groups: usize, seed: u32) -> Self {
        let mut state = u64::from(seed) ^ 0x9E37_79B9_7F4A_7C15;
        let mut below = move |bound: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % u64::from(bound)) as u32
        };
        let mut order: Vec<u32> = (0..2 * groups as u32).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, below(last as u32 + 1) as usize);
        }
        let one = test.place == Place::OneLocation;
        let stride = 1 << below(5);
        Self {
            groups: groups as u32,
            stride,
            pair: 2 * below(32) + 1,
            spread: if one { 1 } else { 2 * below(512) + 1 },
            offset: if one { 0 } else { stride },
            stress: below(64),
            order,
        }
    }

    pub fn parameters(&self) -> [u32; PARAMETERS] {
        [self.groups, self.stride, self.pair, self.spread, self.offset, self.stress]
    }

    /// The two locations of an instance in `memory`, as the WGSL computes them.
    pub fn locations(&self, instance: u32) -> [u32; 2] {
        let instances = self.groups * LANES;
        let spread = instance.wrapping_mul(self.spread) % instances;
        [2 * instance * self.stride, 2 * spread * self.stride + self.offset]
    }
}

/// The WGSL of a test.
pub(super) fn wgsl(test: &Test) -> String {
    let atomics = matches!(test.place, Place::Storage | Place::OneLocation);
    let functions = match test.place {
        Place::Storage | Place::OneLocation => {
            "fn load(i: u32) -> u32 { return atomicLoad(&memory[i]); }
fn store(i: u32, value: u32) { atomicStore(&memory[i], value); }
fn exchange(i: u32, value: u32) -> u32 { return atomicExchange(&memory[i], value); }"
        }
        Place::StorageBarrier => {
            "fn load(i: u32) -> u32 { return memory[i]; }
fn store(i: u32, value: u32) { memory[i] = value; }"
        }
        Place::WorkgroupBarrier => {
            "var<workgroup> shared_memory: array<u32, 2u * LANES>;
fn load(i: u32) -> u32 { return shared_memory[i]; }
fn store(i: u32, value: u32) { shared_memory[i] = value; }"
        }
    };
    let element = if atomics { "atomic<u32>" } else { "u32" };
    // The partner of a lane: in another workgroup, or in the same one.
    let partner = if atomics { "(group + 1u + lane) % groups" } else { "group" };
    let locations = if test.place == Place::WorkgroupBarrier {
        "let ax = 2u * lane; let ay = 2u * (lane * spread % LANES) + 1u;
        let bx = 2u * other_lane; let by = 2u * (other_lane * spread % LANES) + 1u;"
    } else {
        "let ax = 2u * a * stride; let ay = 2u * (a * spread % instances) * stride + offset;
        let bx = 2u * b * stride; let by = 2u * (b * spread % instances) * stride + offset;"
    };
    let barrier = match test.place {
        Place::StorageBarrier => "storageBarrier();",
        Place::WorkgroupBarrier => "workgroupBarrier();",
        Place::Storage | Place::OneLocation => "",
    };
    let clear = match test.place {
        Place::WorkgroupBarrier => {
            "shared_memory[2u * lane] = 0u; shared_memory[2u * lane + 1u] = 0u;
        workgroupBarrier();"
        }
        _ => "",
    };
    let ([first, first_after], [second, second_after]) = (test.first, test.second);
    format!(
        "// {name}: looks for {condition}.
const LANES = {LANES}u;

@group(0) @binding(0) var<storage, read_write> memory: array<{element}>;  // (instances, 2, stride)
@group(0) @binding(1) var<storage, read_write> results: array<u32>;  // (instances, 2)
@group(0) @binding(2) var<storage, read_write> scratch: array<atomic<u32>>;  // (words)
@group(0) @binding(3) var<storage, read> order: array<u32>;  // (workgroups)
@group(0) @binding(4) var<storage, read> parameters: array<u32>;  // (6)

{functions}
fn keep(instance: u32, slot: u32, value: u32) {{ results[2u * instance + slot] = value; }}

/// Waits a little for the other workgroups, so that the parts of an instance meet.
fn gather(everybody: u32) {{
    atomicAdd(&scratch[0], 1u);
    for (var tries = 0u; tries < 64u; tries++) {{
        if atomicLoad(&scratch[0]) >= everybody {{ break; }}
    }}
}}

/// Keeps the memory busy.
fn stress(lane: u32, group: u32, rounds: u32) {{
    for (var round = 0u; round < rounds; round++) {{
        let i = 1u + (group * 61u + lane * 16u + round * 7u) % {busy}u;
        atomicStore(&scratch[i], round);
        if atomicLoad(&scratch[1u + (i * 3u) % {busy}u]) == 0xFFFFFFFFu {{ atomicStore(&scratch[0], 0u); }}
    }}
}}

@compute @workgroup_size(LANES)
fn litmus(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {{
    let group = order[workgroup.x];
    let groups = parameters[0];
    let stride = parameters[1];
    let spread = parameters[3];
    let offset = parameters[4];
    let instances = groups * LANES;
    if group < groups {{
        let other_lane = lane * parameters[2] % LANES;
        let other_group = {partner};
        let a = group * LANES + lane;
        let b = other_group * LANES + other_lane;
        {locations}
        {clear}
        gather(instances);
        {first}
        {second}
        {barrier}
        {first_after}
        {second_after}
    }} else {{
        stress(lane, group, parameters[5]);
    }}
}}
",
        name = test.name,
        condition = test.condition,
        busy = SCRATCH - 1,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::list::ALL;
    use super::*;

    #[test]
    fn every_location_belongs_to_one_instance_and_every_instance_has_both_parts() {
        for (seed, test) in (0..40).zip(ALL.iter().cycle()) {
            let round = Round::draw(test, 32, seed);
            let instances = 32 * LANES;
            let mut seen = HashSet::new();
            for instance in 0..instances {
                let [x, y] = round.locations(instance);
                let distinct = if test.place == Place::OneLocation {
                    x == y && seen.insert(x)
                } else {
                    seen.insert(x) && seen.insert(y)
                };
                assert!(distinct && x.max(y) < lengths(32)[0] as u32, "{}: {x} and {y} of {instance}", test.name);
            }
            let mut seconds = HashSet::new();
            for (group, lane) in (0..32).flat_map(|group| (0..LANES).map(move |lane| (group, lane))) {
                seconds.insert((group + 1 + lane) % 32 * LANES + lane * round.pair % LANES);
            }
            assert_eq!(seconds.len(), instances as usize, "the second parts");
            let order: HashSet<u32> = round.order.iter().copied().collect();
            assert_eq!(order.len(), 64);
        }
    }

    #[test]
    fn every_program_is_valid_wgsl() {
        for test in ALL {
            let source = wgsl(test);
            naga::front::wgsl::parse_str(&source)
                .unwrap_or_else(|error| panic!("{}: {}", test.name, error.emit_to_string(&source)));
        }
    }
}

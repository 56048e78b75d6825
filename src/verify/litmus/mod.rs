//! Litmus tests of WGSL's memory model: small concurrent programs, run very often beside invocations that stress the
//! memory, whose results are counted.
//!
//! As WebGPU's conformance tests and MC Mutants (Levine et al., ASPLOS 2023) run them: every invocation takes one part of
//! one instance and the other part of another one, so that thousands of instances run at once, at locations that are
//! permuted anew in each round. A result that the model forbids must never occur. WGSL's atomics are relaxed: for some
//! tests the model allows results that no interleaving explains, and these are counted, since a device without any was
//! perhaps not stressed.

mod list;
mod program;

use fourfold_shaders::{Call, Data, Element};

use super::probe;
use crate::gpu::{BufferView, Error, Gpu, Launch};
use list::Test;
use program::{LANES, PARAMETERS};

/// The kinds of results that an instance of a test can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Some interleaving of the parts gives it.
    Ordinary,
    /// No interleaving gives it, and the model allows it.
    Weak,
    /// The model forbids it.
    Forbidden,
}

/// The numbers that an instance leaves: two that were read, and the last values of its two locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The numbers that its parts read.
    pub read: [u32; 2],
    /// The values of its two locations after the dispatch; zeros where the test uses workgroup memory.
    pub last: [u32; 2],
}

/// The count of one test's results.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the test in the literature, as `message passing`.
    pub name: &'static str,
    /// The result that is counted as weak or forbidden, in words.
    pub condition: &'static str,
    /// The model allows the condition: it counts as weak.
    pub allowed: bool,
    /// Instances that ran.
    pub instances: u64,
    /// Results that fulfil the condition where the model allows it.
    pub weak: u64,
    /// Results that the model forbids.
    pub forbidden: u64,
    /// The first of those, with its round and the number of its instance.
    pub first: Option<(u32, usize, Observed)>,
}

impl Report {
    /// Returns true if no result was forbidden.
    pub fn passed(&self) -> bool {
        self.forbidden == 0
    }
}

/// Runs every test in so many rounds, each with other locations and another order of workgroups. Blocks.
///
/// # Errors
/// As [`Gpu::prepare`], and the loss of the device.
pub fn run(gpu: &Gpu, seed: u32, rounds: u32) -> Result<Vec<Report>, Error> {
    list::ALL.iter().map(|test| run_one(gpu, test, seed, rounds)).collect()
}

fn run_one(gpu: &Gpu, test: &Test, seed: u32, rounds: u32) -> Result<Report, Error> {
    let groups: usize = if gpu.target().software { 32 } else { 256 };
    // As many again that only stress the memory.
    let all_groups = 2 * groups;
    let instances = groups * LANES as usize;
    let lengths = program::lengths(groups);
    let kernel = probe::kernel(format!("litmus({})", test.name), program::wgsl(test), "litmus", program::BINDINGS);
    let call = Call::checked(kernel, &[0u32; 0], all_groups, lengths);
    let mut report = Report {
        name: test.name,
        condition: test.condition,
        allowed: test.allowed,
        instances: 0,
        weak: 0,
        forbidden: 0,
        first: None,
    };
    for round in 0..rounds {
        let drawn = program::Round::draw(test, groups, seed.wrapping_add(round));
        let zeros = |name: &str, length: usize| gpu.upload(name, &Data::zeros(Element::U32, length));
        let views = [
            zeros("memory", lengths[0])?,
            zeros("results", lengths[1])?,
            zeros("scratch", lengths[2])?,
            gpu.upload("order", &Data::U32(drawn.order.clone()))?,
            gpu.upload("parameters", &Data::U32(drawn.parameters().to_vec()))?,
        ];
        debug_assert_eq!(lengths[4], PARAMETERS);
        let recording = gpu.prepare(&[Launch::new(&call, &views)])?;
        let read: Vec<_> = views[..2].iter().map(|view| (BufferView::from(&view.buffer), Element::U32)).collect();
        let words = probe::run(gpu, &recording, &read)?;
        let (memory, results) = (words[0].u32(), words[1].u32());
        for instance in 0..instances {
            let observed = Observed {
                read: [results[2 * instance], results[2 * instance + 1]],
                last: drawn.locations(instance as u32).map(|location| memory[location as usize]),
            };
            report.instances += 1;
            match test.judge(&observed) {
                Finding::Ordinary => {}
                Finding::Weak => report.weak += 1,
                Finding::Forbidden => {
                    report.forbidden += 1;
                    report.first.get_or_insert((round, instance, observed));
                }
            }
        }
    }
    Ok(report)
}

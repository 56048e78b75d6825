//! Judges a random graph: its kernels on the GPU against the f64 reference.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Reference, Session, TwinSession, Values};
use fourfold::shaders::Data;

use super::program::Program;

/// Units of an f32's roundings that an output may be off by. Most are those of sums of some hundred terms and of sines and
/// exponentials of a driver, which WGSL lets be off by 2^-11; a wrong index or a forgotten factor is off by 2^23.
const ROUNDINGS: f64 = 2048.0;

/// Roundings of the terms of an output, which count where it is 0 by cancelling, whatever is rounded on the way: the gradient
/// of a norm by what shifts its row.
const ROUNDINGS_OF_TERMS: f64 = 256.0;

/// The size of the roundings by which a unit is measured: large beside an f64's, small beside what bends.
const SIZE: f64 = 1e-6;

/// Runs a graph on kernels and compares its outputs with the reference.
///
/// # Errors
/// What is wrong, in words: a panic, an error, or the first output that differs.
pub fn judge(gpu: &Gpu, program: &Program) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| compared(gpu, program))).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

fn compared(gpu: &Gpu, program: &Program) -> Result<(), String> {
    let graph = Graph::new();
    let built = program.build(&graph);
    graph.check().map_err(|error| format!("graph: {error}"))?;
    let (outputs, sizes): (Vec<_>, Vec<_>) = built.outputs.iter().copied().unzip();
    for (index, output) in outputs.iter().enumerate() {
        graph.output(&index.to_string(), *output);
    }
    let reference = Reference::new(built.values.iter().map(|(name, data)| (name.clone(), wide(data))));
    let evaluated =
        |reference: Reference| reference.evaluate_all(&outputs).map_err(|error| format!("reference: {error}"));
    let truth = evaluated(reference.clone())?;
    let moved = [evaluated(reference.clone().rounded(SIZE, 1))?, evaluated(reference.rounded(SIZE, 2))?];

    let plan = Plan::new(&graph, &gpu.target()).map_err(|error| format!("plan: {error}"))?;
    let values: Values = built.values.clone().into_iter().filter(|(name, _)| plan.inputs.contains_key(name)).collect();
    let mut session = Session::new(gpu, plan.clone(), &values).map_err(|error| format!("session: {error}"))?;
    session.submit(1).map_err(|error| format!("submit: {error}"))?;
    for (index, (expected, size)) in truth.iter().zip(sizes).enumerate() {
        let got = session.read(&index.to_string()).map_err(|error| format!("read: {error}"))?;
        // How far roundings move this output, which is more than its size where terms cancel.
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let distances = moved.iter().flat_map(|moved| moved[index].iter().zip(expected).map(|(a, b)| (a - b).abs()));
        let scale = largest + distances.fold(0.0_f64, f64::max) / SIZE;
        let most = f64::from(f32::EPSILON) / 2.0 * (ROUNDINGS * scale + ROUNDINGS_OF_TERMS * size);
        for (place, (got, expected)) in got.f32().iter().zip(expected).enumerate() {
            let is_close = (f64::from(*got) - expected).abs() <= most;
            if !is_close && (got.is_finite() || expected.is_finite()) {
                // Where twins are as far off, the kernels are right and the graph is ill-conditioned.
                let mut twins = TwinSession::new(plan, &values).map_err(|error| format!("twins: {error}"))?;
                twins.run(1);
                let twin = twins.read(&index.to_string()).map_err(|error| format!("twins: {error}"))?.f32()[place];
                return Err(format!(
                    "output {index}, element {place}: expected {expected:e} within {most:.1e}, got {got:e}; the twins give {twin:e}"
                ));
            }
        }
    }
    Ok(())
}

fn wide(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(values) => values.iter().copied().map(f64::from).collect(),
        Data::U32(values) => values.iter().copied().map(f64::from).collect(),
    }
}

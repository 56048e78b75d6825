//! The transformer as a critic: how likely the reward is, at each step, by what has been seen and done so far.

use std::collections::BTreeMap;

use fourfold::Gpu;
use fourfold::data::{Standardisation, Trajectories};
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::models::decision_transformer::ReturnCritic;
use fourfold::models::{SequenceModel, Window};
use fourfold::shaders::Data;

use crate::failure::Failure;

/// Episodes whose predictions are computed at once.
const BATCH: usize = 50;

/// The predicted chance of the reward at each step of whole episodes, all as long as the critic's context: one row an episode.
///
/// # Errors
/// No memory, or the loss of the device.
pub fn predictions(
    gpu: &Gpu,
    critic: &ReturnCritic,
    weights: BufferView,
    standardisation: &Standardisation,
    trajectories: &Trajectories,
    episodes: &[usize],
) -> Result<Vec<Vec<f64>>, Failure> {
    let (steps, width) = (critic.context(), critic.observations());
    let graph = Graph::new();
    let window = Window {
        returns: graph.input("returns", TensorType::f32([BATCH, steps])),
        observations: graph.input("observations", TensorType::f32([BATCH, steps, width])),
        actions: graph.input("actions", TensorType::f32([BATCH, steps, 1])),
        times: graph.input("times", TensorType::u32([BATCH, steps])),
        mask: graph.input("mask", TensorType::f32([BATCH, steps])),
    };
    let flat = critic.parameters().state(&graph, "weights");
    graph.output("chances", critic.chances(&critic.parameters().of(flat), &window));
    let plan = Plan::new(&graph, &gpu.target())?;
    let values = Values::from([
        ("returns".into(), Data::F32(vec![0.0; BATCH * steps])),
        ("times".into(), Data::U32((0..steps as u32).collect::<Vec<_>>().repeat(BATCH))),
        ("mask".into(), Data::F32(vec![1.0; BATCH * steps])),
    ]);
    let mut session = Session::on_buffers(gpu, plan, &values, &BTreeMap::from([("weights".to_owned(), weights)]))?;
    let mut rows = Vec::with_capacity(episodes.len());
    for chunk in episodes.chunks(BATCH) {
        // The last chunk is filled up with its last episode.
        let batch = (0..BATCH).map(|place| trajectories.range(chunk[place.min(chunk.len() - 1)]));
        let (mut observations, mut actions) = (Vec::new(), Vec::new());
        for step in batch.flatten() {
            let moments = standardisation.mean.iter().zip(&standardisation.deviation);
            let numbers = trajectories.observation(step).iter().zip(moments);
            observations.extend(numbers.map(|(number, (mean, deviation))| (number - mean) / deviation));
            actions.extend(trajectories.action(step));
        }
        session.write("observations", &Data::F32(observations))?;
        session.write("actions", &Data::F32(actions))?;
        session.submit(1)?;
        let chances = session.read("chances")?;
        let reward = chances.f32().chunks_exact(2 * steps).take(chunk.len());
        rows.extend(reward.map(|row| row.chunks_exact(2).map(|pair| f64::from(pair[1])).collect::<Vec<_>>()));
    }
    Ok(rows)
}

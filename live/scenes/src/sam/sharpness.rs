//! The largest eigenvalue of the Hessian, by one step of power iteration a frame.

use fourfold::graph::{Graph, Plan, Session, Tag, TensorType, gradients};
use fourfold::nn::Noise;
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;
use fourfold::{BufferView, Gpu};

use super::task::Task;
use crate::Error;

/// Power iteration beside a training: the vector follows while the weights move.
#[derive(Debug)]
pub(super) struct Sharpness {
    session: Session,
}

impl Sharpness {
    pub(super) fn new(gpu: &Gpu, task: &Task, weights: &BufferView, seed: u32) -> Result<Self, Error> {
        let parameters = task.classifier.parameters();
        let graph = Graph::new();
        let [x, y] = task.measured(&graph);
        let flat = parameters.state(&graph, "weights");
        let vector = graph.state("vector", Tag::Bookkeeping, TensorType::f32([parameters.length()]));
        let loss = task.classifier.forward(flat, x, Noise::NONE).cross_entropy(y, 0.0).mean_all();
        let slope = gradients(loss, &[flat])[0];
        let product = gradients(slope.dot(vector), &[flat])[0];
        graph.output("eigenvalue", vector.dot(product).reshape([1]));
        // A product of 0 leaves a vector of 0, not of NaN.
        graph.assign(vector, product / (product.norm() + 1e-12));
        let mut session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?)
            .on_buffer("weights", weights.clone())
            .value("vector", Data::F32(start(task, seed)));
        for (name, buffer) in task.buffers() {
            session = session.on_buffer(name, buffer);
        }
        Ok(Self { session: session.build()? })
    }

    pub(super) fn submit(&mut self) -> Result<(), Error> {
        Ok(self.session.submit(1)?)
    }

    #[cfg(test)]
    pub(super) fn work(&self) -> f64 {
        self.session.plan().flops()
    }

    pub(super) fn eigenvalue(&self) -> Result<BufferView, Error> {
        Ok(self.session.buffer("eigenvalue")?)
    }
}

/// A random vector of length 1, 0 in the gaps between parameters.
fn start(task: &Task, seed: u32) -> Vec<f32> {
    let parameters = task.classifier.parameters();
    let mut random = Random::new(seed, 0x0070_6F77);
    let mut vector = vec![0.0; parameters.length()];
    for parameter in parameters.iter() {
        for number in &mut vector[parameter.offset..][..parameter.shape.elements()] {
            *number = random.normal();
        }
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.iter().map(|number| number / length).collect()
}

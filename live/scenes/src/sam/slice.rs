//! A slice of the loss surface around a point, drawn by the device a few cells at a time.

use fourfold::graph::{Graph, Plan, Session, Tag, Tensor, TensorType};
use fourfold::nn::{Noise, Parameters};
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;
use fourfold::{BufferView, Gpu};

use super::task::Task;
use crate::Error;

/// Cells of a side.
pub(super) const SIDE: usize = 21;
const CELLS: usize = SIDE * SIDE;

/// Cells of a frame.
const BURST: usize = 7;

/// The slice reaches so far from the point, in units of the norms of the weights.
const REACH: f32 = 1.0;

/// Losses over the plane through the weights along two random directions, each normalised filter by filter (Li et al.
/// 2018): every row of a direction's matrices has the norm of the weights' row, and biases stay.
#[derive(Debug)]
pub(super) struct Slice {
    session: Session,
    weights: BufferView,
    /// The weights at the beginning of the sweep.
    centre: BufferView,
    /// Cells of the sweep that are submitted.
    swept: usize,
    /// True after the first sweep.
    complete: bool,
}

impl Slice {
    pub(super) fn new(gpu: &Gpu, task: &Task, weights: &BufferView) -> Result<Self, Error> {
        let parameters = task.classifier.parameters();
        let length = parameters.length();
        let graph = Graph::new();
        let [x, y] = task.measured(&graph);
        let centre = graph.input("centre", TensorType::f32([length]));
        let cell = graph.state("cell", Tag::Bookkeeping, TensorType::u32([]));
        let places = graph.input("places", TensorType::f32([CELLS, 2]));
        let place = places.gather(cell.reshape([1]));
        let along = |axis: usize| {
            let direction = graph.input(["first", "second"][axis], TensorType::f32([length]));
            let amount = place.narrow(1, axis, 1).reshape([1]);
            normalised(&graph, parameters, direction, centre) * amount
        };
        let point = centre + along(0) + along(1);
        let loss = task.classifier.forward(point, x, Noise::NONE).cross_entropy(y, 0.0).mean_all();
        let surface = graph.state("surface", Tag::Bookkeeping, TensorType::f32([CELLS, 1]));
        graph.record(surface, loss.reshape([1]), cell);
        graph.advance(cell);

        let kept = gpu.zeros("centre", length)?;
        let mut session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?)
            .on_buffer("centre", kept.clone())
            .value("places", Data::F32(places_of_cells()))
            // Both learners are seen along the same directions.
            .value("first", Data::F32(direction(parameters, 1)))
            .value("second", Data::F32(direction(parameters, 2)));
        for (name, buffer) in task.buffers() {
            session = session.on_buffer(name, buffer);
        }
        let session = session.build()?;
        Ok(Self { session, weights: weights.clone(), centre: kept, swept: CELLS, complete: false })
    }

    /// Submits the next cells; a new sweep is around the weights as they are then.
    pub(super) fn submit(&mut self) -> Result<(), Error> {
        if self.swept >= CELLS {
            self.swept = 0;
            self.session.write("cell", &Data::U32(vec![0]))?;
            let (from, to) = (&self.weights, &self.centre);
            self.session.gpu().submit("centre of a slice", |encoder| {
                encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, to.size);
                Ok(())
            })?;
        }
        let cells = BURST.min(CELLS - self.swept);
        self.session.submit(cells)?;
        self.swept += cells;
        self.complete |= self.swept == CELLS;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn work(&self) -> f64 {
        BURST as f64 * self.session.plan().flops()
    }

    pub(super) fn surface(&self) -> Result<BufferView, Error> {
        Ok(self.session.buffer("surface")?)
    }

    /// The losses by rows from the top; NaN where none has been computed yet.
    pub(super) fn known(&self, surface: &[f32]) -> Vec<f32> {
        let fresh = if self.complete { CELLS } else { self.swept };
        surface.iter().enumerate().map(|(cell, &loss)| if cell < fresh { loss } else { f32::NAN }).collect()
    }
}

/// The steps along both directions of each cell.
fn places_of_cells() -> Vec<f32> {
    let step = |index: usize| REACH * (2.0 * index as f32 / (SIDE - 1) as f32 - 1.0);
    (0..CELLS).flat_map(|cell| [step(cell % SIDE), -step(cell / SIDE)]).collect()
}

/// Normal deviates for each weight of a matrix, 0 for biases and gaps.
fn direction(parameters: &Parameters, stream: u32) -> Vec<f32> {
    let mut random = Random::new(0x51_1CE, stream);
    let mut direction = vec![0.0; parameters.length()];
    for parameter in parameters.iter().filter(|parameter| parameter.shape.rank() == 2) {
        for number in &mut direction[parameter.offset..][..parameter.shape.elements()] {
            *number = random.normal();
        }
    }
    direction
}

/// The direction with the norm of the weights in each row of each matrix.
fn normalised<'g>(graph: &'g Graph, parameters: &Parameters, direction: Tensor<'g>, weights: Tensor<'g>) -> Tensor<'g> {
    let matrices = parameters.iter().filter(|parameter| parameter.shape.rank() == 2);
    let parts: Vec<(usize, Tensor<'g>)> = matrices
        .map(|parameter| {
            let (rows, columns) = (parameter.shape[0], parameter.shape[1]);
            let part = |flat: Tensor<'g>| flat.narrow(0, parameter.offset, rows * columns).reshape([rows, columns]);
            let norm = |matrix: Tensor<'g>| matrix.square().sum(1).sqrt().reshape([rows, 1]);
            let own = part(direction);
            (parameter.offset, (own * (norm(part(weights)) / norm(own))).reshape([rows * columns]))
        })
        .collect();
    graph.pack(&parts, parameters.length())
}

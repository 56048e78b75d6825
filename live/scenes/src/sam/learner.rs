//! A network in training, by SGD or by SAM.

use fourfold::graph::{Graph, Plan, Session, Tag, Tensor, TensorType, gradients};
use fourfold::nn::Noise;
use fourfold::optim::{Optimiser, Sam, Sgd};
use fourfold::shaders::elementwise::Compare;
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu};

use super::sharpness::Sharpness;
use super::slice::Slice;
use super::task::Task;
use crate::Error;

/// Images of a step.
const BATCH: usize = 64;

/// The share of the velocity that a step keeps.
const MOMENTUM: f32 = 0.9;

/// A network in training, with what measures it.
#[derive(Debug)]
pub(super) struct Learner {
    training: Session,
    judge: Session,
    sharpness: Sharpness,
    slice: Slice,
    sharpened: bool,
}

/// The measurements of a frame: they take turns, since each costs as much as some steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    accuracy: bool,
    sharpness: bool,
    slice: bool,
}

impl Measured {
    /// All of them.
    pub(super) const ALL: Self = Self { accuracy: true, sharpness: true, slice: true };

    /// Those of a frame; every fourth has none. Accuracy, which looks at all images, has half as many turns.
    pub(super) fn of(frame: usize) -> Self {
        let turn = frame % 8;
        Self { accuracy: turn == 1, sharpness: turn % 4 == 2, slice: turn % 4 == 3 }
    }
}

/// The numbers of a learner that came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) loss: f32,
    /// Shares of right answers: held back images, and the labels that are learnt.
    pub(super) accuracy: [f32; 2],
    /// The probabilities of the classes of the drawn digit.
    pub(super) answer: Vec<f32>,
    pub(super) eigenvalue: f32,
    pub(super) surface: Vec<f32>,
    pub(super) weights: Vec<f32>,
}

impl Learner {
    pub(super) fn new(
        gpu: &Gpu,
        task: &Task,
        sharpened: bool,
        [rate, rho]: [f32; 2],
        seed: u32,
    ) -> Result<Self, Error> {
        let graph = Graph::new();
        train(&graph, task, sharpened);
        let mut training = Session::builder(gpu, Plan::new(&graph, &gpu.target())?)
            .value("weights", task.classifier.parameters().initial(seed))
            .value("seed", Data::U32(vec![seed, 0]))
            .value("rate", Data::F32(vec![rate]));
        if sharpened {
            training = training.value("rho", Data::F32(vec![rho]));
        }
        for (name, buffer) in task.buffers() {
            training = training.on_buffer(name, buffer);
        }
        let training = training.build()?;
        let weights = training.buffer("weights")?;
        Ok(Self {
            judge: judge(gpu, task, &weights)?,
            sharpness: Sharpness::new(gpu, task, &weights, seed)?,
            slice: Slice::new(gpu, task, &weights)?,
            training,
            sharpened,
        })
    }

    pub(super) fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        Ok(self.training.write("rate", &Data::F32(vec![rate]))?)
    }

    pub(super) fn set_rho(&mut self, rho: f32) -> Result<(), Error> {
        match self.sharpened {
            true => Ok(self.training.write("rho", &Data::F32(vec![rho]))?),
            false => Ok(()),
        }
    }

    /// Goes on from these weights.
    pub(super) fn set_weights(&mut self, weights: &Data) -> Result<(), Error> {
        Ok(self.training.write("weights", weights)?)
    }

    /// Gives the digit that is drawn.
    pub(super) fn show(&mut self, digit: Vec<f32>) -> Result<(), Error> {
        Ok(self.judge.write("drawn", &Data::F32(digit))?)
    }

    /// Submits steps, and the measurements whose turn it is.
    pub(super) fn submit(&mut self, steps: usize, measured: Measured) -> Result<(), Error> {
        if steps > 0 {
            self.training.submit(steps)?;
        }
        if measured.accuracy {
            self.judge.submit(1)?;
        }
        if measured.sharpness {
            self.sharpness.submit()?;
        }
        if measured.slice {
            self.slice.submit()?;
        }
        Ok(())
    }

    /// Multiply-adds and the like of some steps and measurements, by the plans.
    #[cfg(test)]
    pub(super) fn work(&self, steps: usize, measured: Measured) -> f64 {
        let of = |is_measured: bool, flops: f64| if is_measured { flops } else { 0.0 };
        steps as f64 * self.training.plan().flops()
            + of(measured.accuracy, self.judge.plan().flops())
            + of(measured.sharpness, self.sharpness.work())
            + of(measured.slice, self.slice.work())
    }

    /// What is read back: what [`seen`](Self::seen) takes.
    pub(super) fn views(&self) -> Result<[(BufferView, Element); 6], Error> {
        let view = |session: &Session, name| Ok::<_, Error>((session.buffer(name)?, Element::F32));
        Ok([
            view(&self.training, "loss")?,
            view(&self.judge, "accuracy")?,
            view(&self.judge, "answer")?,
            (self.sharpness.eigenvalue()?, Element::F32),
            (self.slice.surface()?, Element::F32),
            view(&self.training, "weights")?,
        ])
    }

    /// Reads what came back.
    pub(super) fn seen(&mut self, values: &[Data]) -> Option<Seen> {
        let [loss, accuracy, answer, eigenvalue, surface, weights] = values else { return None };
        let first = |data: &Data, index: usize| data.f32().get(index).copied().unwrap_or(f32::NAN);
        Some(Seen {
            loss: first(loss, 0),
            accuracy: [first(accuracy, 0), first(accuracy, 1)],
            answer: answer.f32().to_vec(),
            eigenvalue: first(eigenvalue, 0),
            surface: self.slice.known(surface.f32()),
            weights: weights.f32().to_vec(),
        })
    }
}

/// One training step, whose batch is drawn on the device.
fn train(graph: &Graph, task: &Task, sharpened: bool) {
    let [images, labels] = task.inputs(graph);
    let rate = graph.input("rate", TensorType::f32([]));
    let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let weights = task.classifier.parameters().state(graph, "weights");
    let picked = (seed.uniform(0, [BATCH]) * task.rows() as f32).cast(Element::U32);
    let (x, y) = (images.gather(picked), labels.gather(picked).reshape([BATCH]).cast(Element::U32));
    let objective = |w| task.classifier.forward(w, x, Noise::NONE).cross_entropy(y, 0.0).mean_all();
    let (loss, gradient) = if sharpened {
        let rho = graph.input("rho", TensorType::f32([]));
        let outcome = Sam::default().gradient(weights, rho, |w, _| objective(w));
        (outcome.loss, outcome.gradient)
    } else {
        let loss = objective(weights);
        (loss, gradients(loss, &[weights])[0])
    };
    let descent = Optimiser::Sgd(Sgd { momentum: MOMENTUM, nesterov: false, weight_decay: 0.0 });
    descent.step(weights, gradient, rate, step);
    graph.advance(seed);
    graph.output("loss", loss.reshape([1]));
}

/// Shares of right answers, and the answer to a drawn digit.
fn judge(gpu: &Gpu, task: &Task, weights: &BufferView) -> Result<Session, Error> {
    let graph = Graph::new();
    let (count, features) = (task.test.len(), task.test.features());
    let flat = task.classifier.parameters().state(&graph, "weights");
    let test = graph.input("test", TensorType::f32([count, features]));
    let truth = graph.input("truth", TensorType::f32([count]));
    let [images, labels] = task.inputs(&graph);
    let accuracy = [right(task, flat, test, truth), right(task, flat, images, labels.reshape([task.rows()]))];
    graph.output("accuracy", graph.concatenate(&accuracy, 0));
    let drawn = graph.input("drawn", TensorType::f32([1, features]));
    graph.output("answer", task.classifier.forward(flat, drawn, Noise::NONE).softmax());
    let truth = task.test.labels().iter().map(|&label| label as f32).collect();
    let mut session = Session::builder(gpu, Plan::new(&graph, &gpu.target())?)
        .on_buffer("weights", weights.clone())
        .value("test", Data::F32(task.test.images().to_vec()))
        .value("truth", Data::F32(truth));
    for (name, buffer) in task.buffers() {
        session = session.on_buffer(name, buffer);
    }
    Ok(session.build()?)
}

/// The share of right answers, `(1)`; labels are small whole numbers, which f32 holds exactly.
fn right<'g>(task: &Task, flat: Tensor<'g>, images: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    let answers = task.classifier.forward(flat, images, Noise::NONE).argmax(1).cast(Element::F32);
    answers.compare(Compare::Eq, labels).mean_all().reshape([1])
}

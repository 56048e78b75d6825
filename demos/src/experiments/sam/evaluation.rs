//! The loss and accuracy of a classifier on a set.

use std::collections::BTreeMap;

use fourfold::Gpu;
use fourfold::data::Dataset;
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::models::Classifier;
use fourfold::shaders::Data;

use crate::failure::Failure;

/// Loss and accuracy of a classifier on a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The share of right answers, from 0 to 1.
    pub accuracy: f64,
}

/// Scores weights that lie in another session's buffer.
#[derive(Debug)]
pub struct Evaluator {
    session: Session,
    /// Chunks of images and labels, the last one filled up, each with the number of its own rows.
    chunks: Vec<(Data, Data, usize)>,
}

/// Images of one run: activations of a transformer stay small.
const CHUNK: usize = 500;

impl Evaluator {
    /// An evaluator on `data` of the network in the buffers `shared`, see [`Trainer::network`](super::trainer::Trainer).
    pub fn new(
        gpu: &Gpu,
        classifier: &Classifier,
        data: &Dataset,
        shared: &BTreeMap<String, BufferView>,
    ) -> Result<Self, Failure> {
        let (features, size) = (data.features(), data.len().min(CHUNK));
        let graph = Graph::new();
        let x = graph.input("images", TensorType::f32([size, features]));
        let y = graph.input("labels", TensorType::u32([size]));
        let mode = Classifier::evaluation(classifier.running(&graph, "statistics"));
        let logits = classifier.forward(classifier.parameters().state(&graph, "weights"), x, mode);
        graph.output("losses", logits.cross_entropy(y, 0.0));
        graph.output("answers", logits.argmax(1));
        let plan = Plan::new(&graph, &gpu.target())?;
        let session = Session::on_buffers(gpu, plan, &Values::new(), shared)?;
        let chunks = (0..data.len()).step_by(size).map(|start| {
            // The last chunk is filled up with its last row.
            let rows: Vec<u32> = (start..start + size).map(|row| row.min(data.len() - 1) as u32).collect();
            let (images, labels) = data.batch(&rows);
            (Data::F32(images), Data::U32(labels), size.min(data.len() - start))
        });
        Ok(Self { session, chunks: chunks.collect() })
    }

    /// Scores the weights as they are now.
    pub fn score(&mut self) -> Result<Score, Failure> {
        let (mut loss, mut right, mut count) = (0.0, 0, 0);
        for (images, labels, own) in &self.chunks {
            self.session.write("images", images)?;
            self.session.write("labels", labels)?;
            self.session.submit(1)?;
            let values = self.session.submit_readback(&["losses", "answers"])?.wait()?;
            loss += values[0].f32()[..*own].iter().map(|&loss| f64::from(loss)).sum::<f64>();
            let answers = values[1].u32().iter().zip(labels.u32()).take(*own);
            right += answers.filter(|(answer, label)| answer == label).count();
            count += own;
        }
        Ok(Score { loss: loss / count as f64, accuracy: right as f64 / count as f64 })
    }
}

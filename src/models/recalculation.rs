//! Running statistics of batch norm for weights that were not trained through.

use std::fmt;

use fourfold_shaders::Data;

use super::Classifier;
use crate::Gpu;
use crate::data::Dataset;
use crate::graph::{Graph, GraphError, Plan, Session, SessionError, TensorType, Values};
use crate::nn::{Mode, Noise, SeenStatistics, Statistics};

/// The reason why statistics cannot be recalculated.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecalculationError {
    /// The batch is not 1 to the number of images.
    Batch {
        /// The batch asked for.
        batch: usize,
        /// The images that there are.
        images: usize,
    },
    /// The images are not those of the classifier, or the network cannot be planned at this size.
    Graph(GraphError),
    /// No memory on the GPU, its loss, or weights of another classifier.
    Session(SessionError),
}

impl fmt::Display for RecalculationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { batch, images } => write!(formatter, "expected a batch of 1 to {images} images, got {batch}"),
            Self::Graph(error) => error.fmt(formatter),
            Self::Session(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for RecalculationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Batch { .. } => None,
            Self::Graph(error) => Some(error),
            Self::Session(error) => Some(error),
        }
    }
}

impl From<GraphError> for RecalculationError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<SessionError> for RecalculationError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<crate::gpu::Error> for RecalculationError {
    fn from(error: crate::gpu::Error) -> Self {
        Self::Session(error.into())
    }
}

impl Classifier {
    /// Returns the running statistics of batch norm at any `weights`: ascended ones, averages of several networks, points between
    /// two. They are the means of the batch means and of the unbiased batch variances over the whole batches of `images`, which
    /// are standardised as in training; PyTorch's `update_bn` does the same. Empty in a network without batch norm.
    ///
    /// # Errors
    /// The batch is 0 or larger than the set, weights or images are of another classifier, or there is no memory on the GPU.
    pub async fn recalculated_statistics_async(
        &self,
        gpu: &Gpu,
        weights: &Data,
        images: &Dataset,
        batch: usize,
    ) -> Result<Data, RecalculationError> {
        if self.statistics().length() == 0 {
            return Ok(Data::F32(Vec::new()));
        }
        if !(1..=images.len()).contains(&batch) {
            return Err(RecalculationError::Batch { batch, images: images.len() });
        }
        let (graph, seen) = (Graph::new(), SeenStatistics::new());
        let x = graph.input("images", TensorType::f32([batch, images.features()]));
        let flat = self.parameters().state(&graph, "weights");
        let mode = Mode { noise: Noise::NONE, statistics: Statistics::Kept(&seen) };
        graph.output("logits", self.forward(flat, x, mode));
        let Some(running) = self.running(&graph, "statistics") else { return Ok(Data::F32(Vec::new())) };
        // With a momentum of 1 the running statistics are those of the batch.
        SeenStatistics::update(&[&seen], self.statistics(), running, 1.0);
        let plan = Plan::new(&graph, &gpu.target())?;
        let values = Values::from([
            ("weights".to_owned(), weights.clone()),
            ("statistics".to_owned(), self.statistics().initial(0)),
        ]);
        let mut session = Session::new(gpu, plan, &values)?;
        let mut sums = vec![0.0f64; self.statistics().length()];
        let batches = images.images().chunks_exact(batch * images.features());
        let count = batches.len() as f64;
        for images in batches {
            session.write("images", &Data::F32(images.to_vec()))?;
            session.submit(1)?;
            let of_batch = session.read_async("statistics").await?;
            sums.iter_mut().zip(of_batch.f32()).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        Ok(Data::F32(sums.into_iter().map(|sum| (sum / count) as f32).collect()))
    }

    /// Blocks, as [`Classifier::recalculated_statistics_async`].
    ///
    /// # Errors
    /// As [`Classifier::recalculated_statistics_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn recalculated_statistics(
        &self,
        gpu: &Gpu,
        weights: &Data,
        images: &Dataset,
        batch: usize,
    ) -> Result<Data, RecalculationError> {
        gpu.block_on(self.recalculated_statistics_async(gpu, weights, images, batch))
    }
}

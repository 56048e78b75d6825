//! The digits, with some labels wrong, on the device.

use fourfold::data::{Dataset, Split, Standardisation, digits};
use fourfold::graph::{Graph, Tensor, TensorType};
use fourfold::models::{Architecture, Classifier};
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu};

use crate::Error;

/// The share of the images that is held back.
const TEST: f64 = 0.2;

/// The network that the scene begins with.
pub(super) fn small() -> Architecture {
    Architecture::Mlp { hidden: vec![64] }
}

/// Images on which curvature and slices are measured: the first of the training set.
pub(super) const MEASURED: usize = 128;

/// Data and network that both learners share.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) classifier: Classifier,
    pub(super) standardisation: Standardisation,
    /// The training set with the true labels.
    training: Dataset,
    pub(super) test: Dataset,
    /// (rows, features)
    images: BufferView,
    /// (rows): the labels that are learnt, as numbers.
    labels: BufferView,
}

impl Task {
    pub(super) fn new(gpu: &Gpu, architecture: &Architecture, noise: f64, seed: u32) -> Result<Self, Error> {
        let Split { mut training, mut test, .. } = digits().split(TEST, 0)?;
        let standardisation = Standardisation::per_channel(&training);
        standardisation.apply(&mut training);
        standardisation.apply(&mut test);
        let classifier = Classifier::new(architecture, training.image_shape(), training.classes(), 0.0);
        let classifier = classifier.map_err(Error::Input)?;
        let images = gpu.upload("images", &Data::F32(training.images().to_vec()))?;
        let labels = gpu.upload("labels", &Data::F32(noisy(&training, noise, seed)))?;
        Ok(Self { classifier, standardisation, training, test, images, labels })
    }

    /// Rows of the training set.
    pub(super) fn rows(&self) -> usize {
        self.training.len()
    }

    /// The training set as inputs of a graph: images `(rows, features)` and labels `(rows, 1)`, on [`buffers`](Self::buffers).
    pub(super) fn inputs<'g>(&self, graph: &'g Graph) -> [Tensor<'g>; 2] {
        let (rows, features) = (self.training.len(), self.training.features());
        let images = graph.input("images", TensorType::f32([rows, features]));
        [images, graph.input("labels", TensorType::f32([rows, 1]))]
    }

    /// The first images of the training set and their labels, on which curvature is measured.
    pub(super) fn measured<'g>(&self, graph: &'g Graph) -> [Tensor<'g>; 2] {
        let [images, labels] = self.inputs(graph);
        let labels = labels.narrow(0, 0, MEASURED).reshape([MEASURED]).cast(Element::U32);
        [images.narrow(0, 0, MEASURED), labels]
    }

    /// The names of the inputs, with their buffers.
    pub(super) fn buffers(&self) -> [(&'static str, BufferView); 2] {
        [("images", self.images.clone()), ("labels", self.labels.clone())]
    }
}

/// The labels of the training set, a share of them wrong.
fn noisy(training: &Dataset, noise: f64, seed: u32) -> Vec<f32> {
    let mut training = training.clone();
    training.flip_labels(noise, seed.into());
    training.labels().iter().map(|&label| label as f32).collect()
}

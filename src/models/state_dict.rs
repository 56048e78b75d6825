//! The tensors of a classifier as PyTorch has them in a `state_dict`.

use std::collections::BTreeMap;

use fourfold_shaders::Data;

use super::Classifier;
use crate::data::{Checkpoint, Error};
use crate::graph::Shape;

/// The prefix of the tensors of a [`TrainedClassifier`](super::TrainedClassifier) that are not parameters.
pub(super) const STANDARDISATION: &str = "standardisation.";

/// PyTorch's counters of the batches that batch norm has seen, which nothing here asks for.
#[cfg(feature = "files")]
const COUNTER: &str = ".num_batches_tracked";

impl Classifier {
    /// Reads the flat tensors of parameters and of running statistics from a safetensors file with the `state_dict` of a PyTorch
    /// module whose layers have the names and shapes of this classifier's
    /// ([`TrainedClassifier`](super::TrainedClassifier) lists them), or from a file that
    /// [`TrainedClassifier`](super::TrainedClassifier) wrote.
    ///
    /// # Errors
    /// The file cannot be read, a tensor is missing, superfluous or of another shape; the sentence names the file and the tensor.
    #[cfg(feature = "files")]
    pub fn load_state(&self, path: &std::path::Path) -> Result<[Data; 2], Error> {
        let (name, bytes) = (path.display().to_string(), crate::data::file::read(path)?);
        let checkpoint = Checkpoint::from_bytes_where(&name, &bytes, |name| !name.ends_with(COUNTER))?;
        self.read_state(&checkpoint)
    }

    /// Reads the same from a checkpoint.
    pub(super) fn read_state(&self, checkpoint: &Checkpoint) -> Result<[Data; 2], Error> {
        // Each tensor is compared with its parameter before the flat tensor is made.
        let mut tensors = BTreeMap::new();
        for parameter in self.parameters().iter() {
            let values = checkpoint.f32(&parameter.name, &shape_in_file(&parameter.shape))?;
            tensors.insert(parameter.name.clone(), (parameter.shape.clone(), from_file(&parameter.shape, values)));
        }
        let mut statistics = BTreeMap::new();
        for parameter in self.statistics().iter() {
            let values = checkpoint.f32(&parameter.name, &parameter.shape)?.to_vec();
            statistics.insert(parameter.name.clone(), (parameter.shape.clone(), values));
        }
        for (name, shape, _) in checkpoint.tensors().filter(|(name, ..)| !name.starts_with(STANDARDISATION)) {
            if !tensors.contains_key(name) && !statistics.contains_key(name) {
                let expected = format!("the parameters of `{}` and no other tensor", self.architecture());
                return Err(Error::content(checkpoint.file(), expected, format!("`{name}` {}", Shape::from(shape))));
            }
        }
        let weights = self.parameters().pack(&tensors).expect("each tensor was compared with its parameter");
        let statistics = self.statistics().pack(&statistics).expect("each tensor was compared with its own");
        Ok([weights, statistics])
    }
}

/// The shape of a parameter in a file: that of PyTorch, whose convolutions have their outputs and channels first.
fn shape_in_file(shape: &Shape) -> Shape {
    match **shape {
        [rows, columns, channels, outputs] => Shape::from([outputs, channels, rows, columns]),
        _ => shape.clone(),
    }
}

/// A parameter as it is in a file.
pub(super) fn to_file(shape: &Shape, values: Vec<f32>) -> (Shape, Vec<f32>) {
    let in_file = shape_in_file(shape);
    let ordered = places_in_file(shape).map_or(values.clone(), |places| places.iter().map(|&at| values[at]).collect());
    (in_file, ordered)
}

/// A parameter from what a file has.
fn from_file(shape: &Shape, values: &[f32]) -> Vec<f32> {
    let mut ours = values.to_vec();
    for (value, at) in values.iter().zip(places_in_file(shape).into_iter().flatten()) {
        ours[at] = *value;
    }
    ours
}

/// The place in our order of each element of a file's; `None` where they are the same.
fn places_in_file(shape: &Shape) -> Option<Vec<usize>> {
    let &[rows, columns, channels, outputs] = &**shape else { return None };
    let mut places = Vec::with_capacity(shape.elements());
    for (output, channel) in (0..outputs).flat_map(|output| (0..channels).map(move |channel| (output, channel))) {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            places.push(((row * columns + column) * channels + channel) * outputs + output);
        }
    }
    Some(places)
}

//! A learned optimiser with its weights, as a checkpoint file.

use fourfold_shaders::Data;

use super::LearnedOptimiser;
use crate::data::{Checkpoint, Error};

/// A learned optimiser and what it has learnt.
///
/// A checkpoint of it holds the tensors of [`LearnedOptimiser::tensors`] and in the metadata `model` =
/// `learned-optimiser`, `hidden` (units), `direction` and `magnitude` (scales).
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedOptimiser {
    /// The sizes of the optimiser.
    pub optimiser: LearnedOptimiser,
    /// As many as [`LearnedOptimiser::parameters`].
    pub theta: Vec<f32>,
}

const MODEL: &str = "learned-optimiser";

/// More units than this are no optimiser that anyone trains.
const WIDEST: usize = 4_096;

impl TrainedOptimiser {
    /// Returns a checkpoint of the optimiser.
    ///
    /// # Panics
    /// If theta has another length than the optimiser has parameters.
    pub fn to_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("model", MODEL);
        checkpoint.set("hidden", self.optimiser.hidden.to_string());
        checkpoint.set("direction", self.optimiser.direction.to_string());
        checkpoint.set("magnitude", self.optimiser.magnitude.to_string());
        assert_eq!(self.theta.len(), self.optimiser.parameters(), "parameters of the learned optimiser");
        let mut rest = &self.theta[..];
        for (name, shape) in self.optimiser.tensors() {
            let (values, after) = rest.split_at(shape.iter().product());
            checkpoint.insert(name, &shape, Data::F32(values.to_vec()));
            rest = after;
        }
        checkpoint
    }

    /// Reads a checkpoint of a learned optimiser.
    ///
    /// # Errors
    /// An entry or a tensor is missing or of another kind; the sentence names it.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, Error> {
        checkpoint.expect("model", MODEL)?;
        let wrong = |expected: String, got: &str| Error::content(checkpoint.file(), expected, format!("`{got}`"));
        let text = checkpoint.get("hidden")?;
        let hidden = text.parse().ok().filter(|hidden| (1..=WIDEST).contains(hidden));
        let hidden = hidden.ok_or_else(|| wrong(format!("from 1 to {WIDEST} hidden units"), text))?;
        let scale = |key: &str| {
            let text = checkpoint.get(key)?;
            let scale = text.parse().ok().filter(|scale: &f32| scale.is_finite() && *scale >= 0.0);
            scale.ok_or_else(|| wrong(format!("a {key} that is finite and not negative"), text))
        };
        let optimiser = LearnedOptimiser { hidden, direction: scale("direction")?, magnitude: scale("magnitude")? };
        let mut theta = Vec::new();
        for (name, shape) in optimiser.tensors() {
            theta.extend_from_slice(checkpoint.f32(name, &shape)?);
        }
        Ok(Self { optimiser, theta })
    }

    /// Reads a checkpoint file.
    ///
    /// # Errors
    /// If the file cannot be read or is not a checkpoint of a learned optimiser.
    #[cfg(feature = "files")]
    pub fn load(path: &std::path::Path) -> Result<Self, Error> {
        Self::from_checkpoint(&Checkpoint::load(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> TrainedOptimiser {
        let optimiser = LearnedOptimiser { hidden: 3, direction: 0.01, magnitude: 1e-3 };
        TrainedOptimiser { theta: (0..optimiser.parameters()).map(|index| index as f32).collect(), optimiser }
    }

    #[test]
    fn a_checkpoint_gives_back_the_bits_it_was_given() {
        let checkpoint = Checkpoint::from_bytes("file", &trained().to_checkpoint().to_bytes()).unwrap();
        assert_eq!(TrainedOptimiser::from_checkpoint(&checkpoint).unwrap(), trained());
    }

    #[test]
    fn a_checkpoint_of_another_kind_is_refused_by_what_differs() {
        let refused = |key: &str, text: &str| {
            let mut checkpoint = trained().to_checkpoint();
            checkpoint.set(key, text);
            TrainedOptimiser::from_checkpoint(&checkpoint).unwrap_err().to_string()
        };
        assert!(refused("model", "mlp:3").contains("got `mlp:3`"));
        assert_eq!(refused("hidden", "0"), "checkpoint: expected from 1 to 4096 hidden units, got `0`");
        assert!(refused("hidden", "4").starts_with("checkpoint: tensor `hidden.weight`: expected F32 of shape [4, 8]"));
        let error = refused("direction", "NaN");
        assert_eq!(error, "checkpoint: expected a direction that is finite and not negative, got `NaN`");
    }
}

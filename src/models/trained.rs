//! A classifier with what it has learnt, as a checkpoint file.

use fourfold_shaders::Data;

use super::state_dict::{self, STANDARDISATION};
use super::{Architecture, Classifier};
use crate::data::{Checkpoint, Error, ImageShape, Standardisation};

/// A classifier, its weights, and how pixels become its input: all that an application needs to run it.
///
/// A checkpoint of it holds
///
/// | entry | |
/// |---|---|
/// | metadata `model` | the [`Architecture`] in words, e.g. `mlp:128` |
/// | metadata `height`, `width` | pixels of an image |
/// | metadata `channels` | numbers of a pixel; 1 where it is missing |
/// | metadata `classes` | numbers in an answer |
/// | tensors `standardisation.mean`, `standardisation.deviation` | `(height * width * channels)`, the channel fastest: the input is `(pixel - mean) / deviation`, pixels from 0 to 1 |
/// | all other tensors | the parameters, and the running statistics of batch norm, under their names, shaped as in PyTorch: weights of convolutions `(outputs, channels, rows, columns)` |
#[derive(Debug, Clone)]
pub struct TrainedClassifier {
    /// The network.
    pub classifier: Classifier,
    /// The flat tensor of its [`Parameters`](crate::nn::Parameters).
    pub weights: Data,
    /// The flat tensor of its running statistics, empty in a network without batch norm.
    pub statistics: Data,
    /// The standardisation of its inputs.
    pub standardisation: Standardisation,
}

impl TrainedClassifier {
    /// Returns the model as a checkpoint.
    ///
    /// # Panics
    /// If the weights are not as long as the classifier's flat tensor of parameters.
    pub fn to_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        let ImageShape { height, width, channels } = self.classifier.image_shape();
        checkpoint.set("model", self.classifier.architecture().to_string());
        checkpoint.set("height", height.to_string());
        checkpoint.set("width", width.to_string());
        checkpoint.set("channels", channels.to_string());
        checkpoint.set("classes", self.classifier.classes().to_string());
        let Standardisation { mean, deviation } = &self.standardisation;
        for (name, values) in [("mean", mean), ("deviation", deviation)] {
            checkpoint.insert(&format!("{STANDARDISATION}{name}"), &[values.len()], Data::F32(values.clone()));
        }
        let parameters = self.classifier.parameters().unpack(self.weights.f32());
        for (name, (shape, values)) in parameters {
            let (shape, values) = state_dict::to_file(&shape, values);
            checkpoint.insert(&name, &shape, Data::F32(values));
        }
        for (name, (shape, values)) in self.classifier.statistics().unpack(self.statistics.f32()) {
            checkpoint.insert(&name, &shape, Data::F32(values));
        }
        checkpoint
    }

    /// Reads the model from a checkpoint.
    ///
    /// # Errors
    /// An entry or a tensor is missing or is not what the model asks for, or there is a tensor too many; the sentence
    /// names the file, the entry, what was expected and what came.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let wrong = |expected: String, got: String| Error::content(checkpoint.file(), expected, got);
        let model = checkpoint.get("model")?;
        let architecture: Architecture = model.parse().map_err(|_| {
            wrong(
                "`vit`, `cnn`, `resnet:`, `wrn:`, `pyramidnet:` or `mlp:` with numbers as the model".into(),
                format!("`{model}`"),
            )
        })?;
        let count = |key: &str| {
            let text = checkpoint.get(key)?;
            let counts = 1..=Architecture::WIDEST;
            let count = text.parse().ok().filter(|count| counts.contains(count));
            count.ok_or_else(|| wrong(format!("{key} from 1 to {}", Architecture::WIDEST), format!("`{text}`")))
        };
        let grey = checkpoint.texts().all(|(key, _)| key != "channels");
        let channels = if grey { 1 } else { count("channels")? };
        let image = ImageShape { height: count("height")?, width: count("width")?, channels };
        let (features, classes) = (image.features(), count("classes")?);
        // Also bounds the first layer by what the file holds, before anything of its size is made.
        let moments =
            |name: &str| checkpoint.f32(&format!("{STANDARDISATION}{name}"), &[features]).map(<[f32]>::to_vec);
        let standardisation = Standardisation { mean: moments("mean")?, deviation: moments("deviation")? };
        if let Some(got) = standardisation.deviation.iter().find(|deviation| **deviation <= 0.0 || deviation.is_nan()) {
            return Err(wrong("deviations above 0".into(), got.to_string()));
        }
        let classifier = Classifier::new(&architecture, image, classes, 0.0)
            .map_err(|error| wrong(format!("images that `{model}` takes"), error))?;
        let [weights, statistics] = classifier.read_state(checkpoint)?;
        Ok(Self { classifier, weights, statistics, standardisation })
    }

    /// Reads a checkpoint file.
    ///
    /// # Errors
    /// If the file cannot be read or is not a checkpoint of a classifier.
    #[cfg(feature = "files")]
    pub fn load(path: &std::path::Path) -> Result<Self, Error> {
        Self::from_checkpoint(&Checkpoint::load(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_convolutional_classifier_comes_back_with_its_statistics_and_is_stored_as_in_pytorch() {
        let classifier = Classifier::new(&Architecture::SmallConvNet, [8, 8], 3, 0.0).unwrap();
        let running: Vec<f32> = (0..classifier.statistics().count()).map(|i| i as f32).collect();
        let trained = TrainedClassifier {
            weights: classifier.parameters().initial(3),
            statistics: classifier.statistics().from_dense(&running).unwrap(),
            classifier,
            standardisation: Standardisation { mean: vec![0.5; 64], deviation: vec![0.25; 64] },
        };
        let checkpoint = trained.to_checkpoint();
        let weight = checkpoint.f32("conv2.weight", &[32, 16, 3, 3]).unwrap();
        // Output 5, channel 7, row 2, column 1.
        let (tensors, at) =
            (trained.classifier.parameters().unpack(trained.weights.f32()), ((2 * 3 + 1) * 16 + 7) * 32 + 5);
        assert_eq!(weight[((5 * 16 + 7) * 3 + 2) * 3 + 1], tensors["conv2.weight"].1[at]);
        assert!(checkpoint.f32("bn3.running_var", &[64]).is_ok());
        let loaded = TrainedClassifier::from_checkpoint(&checkpoint).unwrap();
        assert_eq!((loaded.weights, loaded.statistics), (trained.weights, trained.statistics));
    }

    #[test]
    fn a_classifier_of_coloured_images_comes_back_and_one_without_channels_in_its_file_is_grey() {
        let classifier = Classifier::new(&"resnet:8,4".parse().unwrap(), [4, 5, 3], 2, 0.0).unwrap();
        let coloured = TrainedClassifier {
            weights: classifier.parameters().initial(1),
            statistics: classifier.statistics().initial(0),
            classifier,
            standardisation: Standardisation { mean: vec![0.5; 60], deviation: vec![0.25; 60] },
        };
        let loaded = TrainedClassifier::from_checkpoint(&coloured.to_checkpoint()).unwrap();
        assert_eq!((loaded.classifier.image_shape(), loaded.weights), ([4, 5, 3].into(), coloured.weights));

        let mut old = Checkpoint::new();
        let new = trained().to_checkpoint();
        new.texts().filter(|(key, _)| *key != "channels").for_each(|(key, text)| old.set(key, text));
        new.tensors().for_each(|(name, shape, values)| old.insert(name, shape, values.clone()));
        let loaded = TrainedClassifier::from_checkpoint(&old).unwrap();
        assert_eq!(loaded.classifier.image_shape(), [2, 3].into());
    }

    fn trained() -> TrainedClassifier {
        let classifier = Classifier::new(&"mlp:5".parse().unwrap(), [2, 3], 4, 0.0).unwrap();
        TrainedClassifier {
            weights: classifier.parameters().initial(7),
            statistics: classifier.statistics().initial(0),
            classifier,
            standardisation: Standardisation { mean: vec![0.5; 6], deviation: vec![0.25; 6] },
        }
    }

    fn error(change: impl FnOnce(&mut Checkpoint)) -> String {
        let mut checkpoint = trained().to_checkpoint();
        change(&mut checkpoint);
        TrainedClassifier::from_checkpoint(&checkpoint).unwrap_err().to_string()
    }

    #[test]
    fn a_checkpoint_gives_back_the_bits_it_was_given() {
        let checkpoint = Checkpoint::from_bytes("file", &trained().to_checkpoint().to_bytes()).unwrap();
        let loaded = TrainedClassifier::from_checkpoint(&checkpoint).unwrap();
        assert_eq!(loaded.weights, trained().weights);
        assert_eq!(loaded.standardisation, trained().standardisation);
        assert_eq!((loaded.classifier.image_shape(), loaded.classifier.classes()), ([2, 3].into(), 4));
        assert_eq!(loaded.classifier.architecture().to_string(), "mlp:5");
    }

    #[test]
    fn a_checkpoint_of_another_model_is_refused_by_the_tensor_that_differs() {
        assert_eq!(
            error(|checkpoint| checkpoint.set("model", "mlp:8")),
            "checkpoint: tensor `fc1.weight`: expected F32 of shape [8, 6], got F32 of shape [5, 6]"
        );
        assert_eq!(
            error(|checkpoint| checkpoint.insert("fc9.bias", &[1], Data::F32(vec![0.0]))),
            "checkpoint: expected the parameters of `mlp:5` and no other tensor, got `fc9.bias` [1]"
        );
        assert_eq!(
            error(|checkpoint| checkpoint.set("model", "cmn")),
            "checkpoint: expected `vit`, `cnn`, `resnet:`, `wrn:`, `pyramidnet:` or `mlp:` with numbers as the model, got `cmn`"
        );
    }

    #[test]
    fn sizes_that_no_file_could_hold_are_refused_before_memory_is_taken() {
        for (key, text) in [
            ("height", "0"),
            ("width", "99999999999"),
            ("channels", "x"),
            ("classes", "-3"),
            ("model", "mlp:99999999999"),
        ] {
            let error = error(|checkpoint| checkpoint.set(key, text));
            assert!(error.starts_with("checkpoint: expected ") && error.ends_with(&format!("got `{text}`")), "{error}");
        }
        let error = error(|checkpoint| checkpoint.set("height", "16000"));
        assert!(error.contains("tensor `standardisation.mean`: expected F32 of shape [48000]"), "{error}");
    }

    #[test]
    fn a_deviation_that_cannot_be_divided_by_is_refused() {
        let deviation = Data::F32(vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
        let error = error(|checkpoint| checkpoint.insert("standardisation.deviation", &[6], deviation));
        assert_eq!(error, "checkpoint: expected deviations above 0, got 0");
    }
}

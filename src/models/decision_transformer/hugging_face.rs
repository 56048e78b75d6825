//! Decision transformers in the files of HuggingFace's `transformers`.

mod config;

use std::collections::BTreeMap;

use fourfold_shaders::Data;

use self::config::Config;
use super::{DecisionTransformer, Settings, SettingsError};
use crate::data::{Actions, Checkpoint, Error};
use crate::graph::Shape;
use crate::models::SequenceModel;

// The names of the two files of a folder.
#[cfg(feature = "files")]
const CONFIG: &str = "config.json";
#[cfg(feature = "files")]
const TENSORS: &str = "model.safetensors";
#[cfg(feature = "files")]
const PICKLE: &str = "pytorch_model.bin";

const WORDS: &str = "encoder.wte.weight";
const POSITIONS: &str = "encoder.wpe.weight";

/// A decision transformer with its weights, as HuggingFace's `transformers` keeps it: a folder with `config.json` and
/// `model.safetensors`.
///
/// Its network is that of the paper's code but for one thing: row 0 of a table of positions, `wpe`, is added to every
/// token behind the first layer norm. Here that row is a parameter of its own, where [`Settings::shift`] asks for it, and the
/// heads that predict the next observation and return are [`Settings::world_heads`]; a checkpoint that is loaded has both.
///
/// **What such a checkpoint lacks**: how observations are standardised (their mean and deviation) and the scale by which
/// returns are divided, 1,000 for Hopper, HalfCheetah and Walker2d. Authors put them into the text of a model's page, from where
/// they have to be copied; without them a network sees numbers that it was not trained on. The length of a
/// window is not in there either: published ones were trained with 20 steps.
///
/// ```no_run
/// use std::path::Path;
/// use fourfold::Gpu;
/// use fourfold::data::Standardisation;
/// use fourfold::models::decision_transformer::HuggingFaceCheckpoint;
/// use fourfold::models::{Agent, AgentSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = Path::new("decision-transformer-gym-hopper-medium");
/// let (model, weights) = HuggingFaceCheckpoint::load(folder, 20)?.into_parts();
///
/// // Eleven numbers each, from the text of the model's page.
/// let standardisation = Standardisation { mean: vec![1.311; 11], deviation: vec![0.178; 11] };
/// let settings = AgentSettings {
///     return_scale: 1_000.0,
///     standardisation: Some(standardisation),
///     ..AgentSettings::new(1, 3_600.0)
/// };
/// let mut agent = Agent::new(&Gpu::open()?, &model, weights, &settings)?;
/// let (mut observation, mut reward) = ([0.0; 11], [0.0]);
/// for _ in 0..1_000 {
///     let action = agent.act(&observation, &reward)?;
///     (observation, reward) = step(&action);
/// }
/// # Ok(())
/// # }
/// # fn step(action: &[f32]) -> ([f32; 11], [f32; 1]) { ([action[0]; 11], [1.0]) }
/// ```
///
/// The model and its weights go wherever a [`SequenceModel`] does: into an agent that acts, or into more training, after which
/// [`with_weights`](Self::with_weights) and [`save`](Self::save) write a folder that `transformers` loads.
#[derive(Debug, Clone)]
pub struct HuggingFaceCheckpoint {
    model: DecisionTransformer,
    weights: Data,
    config: Config,
    /// Tensors of which nothing or only a row is read, whole, for the next file.
    tables: BTreeMap<&'static str, Vec<f32>>,
}

/// One tensor of a file.
struct Entry {
    theirs: String,
    ours: String,
    /// As the file has it.
    shape: Vec<usize>,
    /// The file has (inputs, outputs).
    transposed: bool,
}

impl HuggingFaceCheckpoint {
    /// Makes the checkpoint of a model and the flat tensor of its parameters. Heads and the row of positions that the
    /// model does not have are zeros in the file, where they change no action.
    ///
    /// # Errors
    /// HuggingFace's network cannot be as the settings say, or the weights are not as many as the model's.
    pub fn new(model: DecisionTransformer, weights: Data) -> Result<Self, SettingsError> {
        let config = Config::of(model.settings())?;
        let width = model.settings().width;
        let rows = |rows: Result<usize, Error>| vec![0.0; width * rows.expect("the configuration was made here")];
        let tables = BTreeMap::from([(WORDS, rows(config.words())), (POSITIONS, rows(config.positions()))]);
        Self { model, weights: Data::F32(Vec::new()), config, tables }.with_weights(weights)
    }

    /// The same model with other weights, e.g. after more training.
    ///
    /// # Errors
    /// The weights are not as many as the model's.
    pub fn with_weights(self, weights: Data) -> Result<Self, SettingsError> {
        let length = self.model.parameters().length();
        match &weights {
            Data::F32(values) if values.len() == length => Ok(Self { weights, ..self }),
            other => {
                let got = format!("{} of {:?}", other.len(), other.element());
                Err(SettingsError(format!("expected {length} weights of F32, got {got}")))
            }
        }
    }

    /// Returns the network without its weights.
    pub fn model(&self) -> &DecisionTransformer {
        &self.model
    }

    /// The flat tensor of the model's parameters.
    pub fn weights(&self) -> &Data {
        &self.weights
    }

    /// Returns the network and the flat tensor of its weights.
    pub fn into_parts(self) -> (DecisionTransformer, Data) {
        (self.model, self.weights)
    }

    /// Reads the bytes of `config.json` and `model.safetensors`, which `names` call by their paths; the model takes windows
    /// of `context` steps.
    ///
    /// # Errors
    /// A file is broken, or is of another model, or its network differs from the paper's in more than sizes; a tensor is
    /// missing, superfluous, or of another shape. The sentence names the file, the key, what was expected and what came.
    pub fn from_bytes(names: [&str; 2], [config, tensors]: [&[u8]; 2], context: usize) -> Result<Self, Error> {
        let config = Config::parse(names[0], config)?;
        let settings = config.settings(context)?;
        // Masks of attention, which old versions stored with every block.
        let mask = |name: &str| {
            name.starts_with("encoder.h.") && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"))
        };
        let file = Checkpoint::from_bytes_where(names[1], tensors, |name| !mask(name))?;

        // All tensors are compared with the sizes before anything of the model's size is made.
        let mut parameters = BTreeMap::new();
        for Entry { theirs, ours, shape, transposed } in entries(&settings) {
            let values = file.f32(&theirs, &shape)?;
            let parameter = match (transposed, &shape[..]) {
                (true, &[inputs, outputs]) => (Shape::from([outputs, inputs]), transpose(values, inputs, outputs)),
                _ => (Shape::from(shape), values.to_vec()),
            };
            parameters.insert(ours, parameter);
        }
        let table = |name: &'static str, rows: usize| Ok((name, file.f32(name, &[rows, settings.width])?.to_vec()));
        let tables = BTreeMap::from([table(WORDS, config.words()?)?, table(POSITIONS, config.positions()?)?]);
        let shift = tables[POSITIONS][..settings.width].to_vec();
        parameters.insert("shift".into(), (Shape::from([settings.width]), shift));

        let known: std::collections::BTreeSet<_> = entries(&settings).map(|entry| entry.theirs).collect();
        for (name, shape, _) in file.tensors() {
            if !known.contains(name) && !tables.contains_key(name) {
                let expected =
                    format!("the tensors of a decision transformer of {} layers and no other", settings.layers);
                return Err(Error::content(names[1], expected, format!("`{name}` {}", Shape::from(shape))));
            }
        }
        let model = DecisionTransformer::new(settings)
            .map_err(|error| Error::content(names[0], "sizes of a network", error.to_string()))?;
        let weights = model.parameters().pack(&parameters).expect("each tensor was compared with its parameter");
        Ok(Self { model, weights, config, tables })
    }

    /// The bytes of `config.json` and `model.safetensors`: equal checkpoints are equal bytes.
    pub fn to_bytes(&self) -> [Vec<u8>; 2] {
        let settings = self.model.settings();
        let parameters = self.model.parameters().unpack(self.weights.f32());
        let mut file = Checkpoint::new();
        // The framework of the tensors: `transformers` asks for it.
        file.set("format", "pt");
        for Entry { theirs, ours, shape, transposed } in entries(settings) {
            let values = match (parameters.get(&ours), transposed, &shape[..]) {
                (None, ..) => vec![0.0; shape.iter().product()],
                (Some((_, values)), true, &[inputs, outputs]) => transpose(values, outputs, inputs),
                (Some((_, values)), ..) => values.clone(),
            };
            file.insert(&theirs, &shape, Data::F32(values));
        }
        for (name, table) in &self.tables {
            let mut table = table.clone();
            if let (&POSITIONS, Some((_, shift))) = (name, parameters.get("shift")) {
                table[..settings.width].copy_from_slice(shift);
            }
            file.insert(name, &[table.len() / settings.width, settings.width], Data::F32(table));
        }
        [self.config.to_bytes(), file.to_bytes()]
    }

    /// Reads a folder; the model takes windows of `context` steps.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), or a file cannot be read. Folders of old versions have their tensors in
    /// `pytorch_model.bin`, a program in Python's pickle format; the sentence says how to convert them.
    #[cfg(feature = "files")]
    pub fn load(folder: &std::path::Path, context: usize) -> Result<Self, Error> {
        use crate::data::file::read;
        let [config, tensors, pickle] = [CONFIG, TENSORS, PICKLE].map(|name| folder.join(name));
        if !tensors.exists() && pickle.exists() {
            let load = "from transformers import DecisionTransformerModel as M";
            let command = format!("python -c \"{load}; M.from_pretrained('FOLDER').save_pretrained('NEW')\"");
            let expected = format!("`{TENSORS}`, which `{command}` makes");
            return Err(Error::content(&folder.display().to_string(), expected, format!("`{PICKLE}` alone")));
        }
        let names = [&config, &tensors].map(|path| path.display().to_string());
        let bytes = [read(&config)?, read(&tensors)?];
        Self::from_bytes([&names[0], &names[1]], [&bytes[0], &bytes[1]], context)
    }

    /// Writes a folder, whole or not at all.
    ///
    /// # Errors
    /// There is something in the folder already, or it cannot be written.
    #[cfg(feature = "files")]
    pub fn save(&self, folder: &std::path::Path) -> Result<(), Error> {
        let [config, tensors] = self.to_bytes();
        crate::data::file::write_folder(folder, &[(CONFIG, &config), (TENSORS, &tensors)])
    }
}

/// The tensors that are parameters, but for the row of `wpe`, with sizes as the settings say.
fn entries(settings: &Settings) -> impl Iterator<Item = Entry> + use<> {
    let Settings { observations, actions, width, layers, hidden, times, .. } = *settings;
    let outputs = match actions {
        Actions::Continuous(outputs) | Actions::Discrete(outputs) => outputs,
    };
    let entry = |theirs: String, ours: String, shape: &[usize], transposed| Entry {
        theirs,
        ours,
        shape: shape.to_vec(),
        transposed,
    };
    // Affine layers as PyTorch has them, and as GPT-2 in `transformers` has them: (inputs, outputs).
    let affine = move |theirs: &str, ours: &str, inputs: usize, outputs: usize, transposed: bool| {
        let shape = if transposed { [inputs, outputs] } else { [outputs, inputs] };
        [
            entry(format!("{theirs}.weight"), format!("{ours}.weight"), &shape, transposed),
            entry(format!("{theirs}.bias"), format!("{ours}.bias"), &[outputs], false),
        ]
    };
    let norm = move |theirs: &str, ours: &str| {
        ["weight", "bias"].map(|part| entry(format!("{theirs}.{part}"), format!("{ours}.{part}"), &[width], false))
    };
    let times = times.map(|times| {
        let name = "embed_timestep.weight";
        entry(name.into(), name.into(), &[times, width], false)
    });
    let outside = [
        affine("embed_return", "embed_return", 1, width, false),
        affine("embed_state", "embed_state", observations, width, false),
        affine("embed_action", "embed_action", outputs, width, false),
        norm("embed_ln", "embed_ln"),
        norm("encoder.ln_f", "norm"),
        affine("predict_action.0", "predict_action", width, outputs, false),
        affine("predict_state", "predict_state", width, observations, false),
        affine("predict_return", "predict_return", width, 1, false),
    ];
    let blocks = (0..layers).flat_map(move |index| {
        let (theirs, ours) = (format!("encoder.h.{index}"), format!("block{index}"));
        let affine = |part: &str, our: &str, inputs: usize, outputs: usize| {
            affine(&format!("{theirs}.{part}"), &format!("{ours}.{our}"), inputs, outputs, true)
        };
        [
            norm(&format!("{theirs}.ln_1"), &format!("{ours}.norm1")),
            affine("attn.c_attn", "qkv", width, 3 * width),
            affine("attn.c_proj", "proj", width, width),
            norm(&format!("{theirs}.ln_2"), &format!("{ours}.norm2")),
            affine("mlp.c_fc", "fc1", width, hidden),
            affine("mlp.c_proj", "fc2", hidden, width),
        ]
    });
    times.into_iter().chain(outside.into_iter().chain(blocks).flatten())
}

/// (rows, columns) to (columns, rows).
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

#[cfg(test)]
mod tests;

//! `config.json` of HuggingFace's decision transformers.

use serde_json::{Map, Value, json};

use crate::data::{Actions, Error, text};
use crate::models::decision_transformer::{
    DropoutRates, EmbeddingNorm, Initialisation, Positions, Returns, Settings, SettingsError, Tokens,
};
use crate::nn::{Activation, AttentionDropout, NormPlacement};

/// Larger sizes are mistakes: a network with one of them would not fit any memory.
const LARGEST: usize = 1 << 20;

/// Names of functions in HuggingFace's library. GELU by a hyperbolic tangent has several, whose results differ by rounding.
const ACTIVATIONS: [(&str, Activation); 7] = [
    ("relu", Activation::Relu),
    ("gelu", Activation::GeluErf),
    ("gelu_python", Activation::GeluErf),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
];

/// The entries of a file, those that say nothing about the network's outputs included.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    file: String,
    entries: Map<String, Value>,
}

impl Config {
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        match serde_json::from_str(text::decode(file, bytes)?) {
            Ok(Value::Object(entries)) => Ok(Self { file: file.to_owned(), entries }),
            Ok(other) => Err(Error::content(file, "a JSON object", other.to_string())),
            Err(error) => Err(Error::content(file, "a JSON object", error.to_string())),
        }
    }

    /// Returns the configuration of a network that was made here.
    pub(super) fn of(settings: &Settings) -> Result<Self, SettingsError> {
        let refuse = |expected: &str, got: String| {
            Err(SettingsError(format!("expected {expected} for HuggingFace's network, got {got}")))
        };
        let Actions::Continuous(act_dim) = settings.actions else {
            return refuse("continuous actions", format!("{:?}", settings.actions));
        };
        if let Some(frames) = settings.frames {
            return refuse("observations of numbers", format!("{frames:?}"));
        }
        if settings.tokens != Tokens::ReturnObservationAction || settings.returns != Returns::Number {
            let got = format!("{:?} and {:?}", settings.tokens, settings.returns);
            return refuse("tokens in the paper's order with returns as numbers", got);
        }
        if settings.norm != NormPlacement::Before || settings.embedding_norm != EmbeddingNorm::LayerNorm {
            let got = format!("{:?} and {:?}", settings.norm, settings.embedding_norm);
            return refuse("norms before the halves of a block and a layer norm on tokens", got);
        }
        if settings.positions != Positions::Steps {
            return refuse("an embedding of each step's time", format!("{:?}", settings.positions));
        }
        let Some(max_ep_len) = settings.times else { return refuse("an embedding of times", "none".into()) };
        if !settings.head_bias {
            return refuse("a head with a bias", "none".into());
        }
        let attn_pdrop = match settings.dropout.attention {
            AttentionDropout::None => 0.0,
            AttentionDropout::Probabilities(rate) => rate,
            AttentionDropout::Output(_) => {
                return refuse("dropout of attention's probabilities", "that of its output".into());
            }
        };
        let activation = ACTIVATIONS.iter().find(|(_, activation)| *activation == settings.activation);
        let activation = activation.expect("there is a name for each activation").0;
        let inner = (settings.hidden != 4 * settings.width).then_some(settings.hidden);
        // Through text, or 0.1 would be written with the digits that an f64 has more.
        let rate = |rate: f32| rate.to_string().parse::<f64>().expect("digits of a number");
        let entries = json!({
            "architectures": ["DecisionTransformerModel"],
            "model_type": MODEL_TYPE,
            "state_dim": settings.observations,
            "act_dim": act_dim,
            "hidden_size": settings.width,
            "max_ep_len": max_ep_len,
            "action_tanh": settings.bounded,
            "vocab_size": 1,
            "n_positions": 1024,
            "n_layer": settings.layers,
            "n_head": settings.heads,
            "n_inner": inner,
            "activation_function": activation,
            "resid_pdrop": rate(settings.dropout.residual),
            "embd_pdrop": rate(settings.dropout.embedding),
            "attn_pdrop": rate(attn_pdrop),
            "layer_norm_epsilon": EPSILON,
            "initializer_range": 0.02,
            "scale_attn_weights": true,
            "scale_attn_by_inverse_layer_idx": false,
            "reorder_and_upcast_attn": false,
            "add_cross_attention": false,
            // There is no vocabulary of which they could be words.
            "bos_token_id": null,
            "eos_token_id": null,
        });
        let Value::Object(entries) = entries else { unreachable!("the macro was given an object") };
        Ok(Self { file: "config.json".into(), entries })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        format!("{:#}\n", Value::Object(self.entries.clone())).into_bytes()
    }

    /// The network, with windows of `context` steps.
    pub(super) fn settings(&self, context: usize) -> Result<Settings, Error> {
        match self.entries.get("model_type") {
            Some(Value::String(model)) if model == MODEL_TYPE => {}
            other => return Err(self.unlike("model_type", &format!("\"{MODEL_TYPE}\""), other)),
        }
        self.expect("scale_attn_weights", true)?;
        self.expect("scale_attn_by_inverse_layer_idx", false)?;
        self.expect("add_cross_attention", false)?;
        let epsilon = self.number("layer_norm_epsilon", EPSILON)?;
        if epsilon as f32 != EPSILON as f32 {
            return Err(self.unlike("layer_norm_epsilon", "1e-5", Some(&json!(epsilon))));
        }
        let width = self.size("hidden_size", 128)?;
        let heads = self.size("n_head", 1)?;
        if !width.is_multiple_of(heads) {
            return Err(self.unlike(
                "n_head",
                &format!("a divisor of the hidden_size of {width}"),
                Some(&json!(heads)),
            ));
        }
        if context == 0 {
            return Err(Error::content(&self.file, "a context of at least one step to be asked for", "0"));
        }
        let hidden = match self.entries.get("n_inner") {
            None | Some(Value::Null) => 4 * width,
            Some(_) => self.size("n_inner", 0)?,
        };
        let attention = self.rate("attn_pdrop")?;
        let gym = Settings::gym(self.size("state_dim", 17)?, Actions::Continuous(self.size("act_dim", 4)?), context);
        Ok(Settings {
            times: Some(self.size("max_ep_len", 4096)?),
            width,
            layers: self.size("n_layer", 3)?,
            heads,
            hidden,
            activation: self.activation()?,
            dropout: DropoutRates {
                embedding: self.rate("embd_pdrop")?,
                attention: match attention {
                    0.0 => AttentionDropout::None,
                    rate => AttentionDropout::Probabilities(rate),
                },
                residual: self.rate("resid_pdrop")?,
            },
            bounded: self.flag("action_tanh", true)?,
            world_heads: true,
            shift: true,
            initialisation: Initialisation::Scaled,
            ..gym
        })
    }

    /// Rows of the table of positions, of which the first is read.
    pub(super) fn positions(&self) -> Result<usize, Error> {
        self.size("n_positions", 1024)
    }

    /// Rows of the table of words, of which none is read.
    pub(super) fn words(&self) -> Result<usize, Error> {
        self.size("vocab_size", 1)
    }

    fn activation(&self) -> Result<Activation, Error> {
        let name = match self.entries.get("activation_function") {
            None => "relu",
            Some(Value::String(name)) => name,
            other => return Err(self.unlike("activation_function", "a name", other)),
        };
        let found = ACTIVATIONS.iter().find(|(theirs, _)| *theirs == name);
        found.map(|(_, activation)| *activation).ok_or_else(|| {
            let names: Vec<_> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            self.unlike("activation_function", &format!("one of {}", names.join(", ")), Some(&json!(name)))
        })
    }

    /// A size, or HuggingFace's default where the file has none.
    fn size(&self, key: &str, default: usize) -> Result<usize, Error> {
        let Some(value) = self.entries.get(key) else { return Ok(default) };
        let size =
            value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| (1..=LARGEST).contains(size));
        size.ok_or_else(|| self.unlike(key, &format!("a number from 1 to {LARGEST}"), Some(value)))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, Error> {
        let Some(value) = self.entries.get(key) else { return Ok(default) };
        value.as_f64().ok_or_else(|| self.unlike(key, "a number", Some(value)))
    }

    /// A share of elements that are dropped.
    fn rate(&self, key: &str) -> Result<f32, Error> {
        let rate = self.number(key, 0.1)?;
        if !(0.0..1.0).contains(&rate) {
            return Err(self.unlike(key, "a number from 0 to below 1", Some(&json!(rate))));
        }
        Ok(rate as f32)
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        let Some(value) = self.entries.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.unlike(key, "true or false", Some(value)))
    }

    fn expect(&self, key: &str, expected: bool) -> Result<(), Error> {
        match self.flag(key, expected)? {
            got if got == expected => Ok(()),
            got => Err(self.unlike(key, &expected.to_string(), Some(&json!(got)))),
        }
    }

    fn unlike(&self, key: &str, expected: &str, got: Option<&Value>) -> Error {
        let got = got.map_or("no such key".to_owned(), Value::to_string);
        Error::content(&self.file, format!("`{key}` to be {expected}"), got)
    }
}

const MODEL_TYPE: &str = "decision_transformer";
const EPSILON: f64 = 1e-5;

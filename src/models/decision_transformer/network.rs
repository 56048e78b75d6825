//! The network: tokens of returns, observations and actions through causal transformer blocks.

use fourfold_shaders::Element;

use super::settings::{EmbeddingNorm, Initialisation, Positions, Returns, Settings, SettingsError, Tokens};
use crate::data::Actions;
use crate::graph::{AttentionMask, Tensor};
use crate::models::convolutional::NatureEncoder;
use crate::models::{SequenceModel, Window};
use crate::nn::{
    Dropout, Initialise, LayerNorm, Linear, Noise, NormPlacement, ParameterId, Parameters, Strided, TransformerBlock,
    TransformerOptions, Weights,
};

/// The predictions of the heads for each step of a window.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Outputs<'g> {
    /// (B, K, [`Actions::outputs`]): actions, or the logits of choices.
    pub actions: Tensor<'g>,
    /// The logits (B, K, classes) of the step's own return from what came before it, where there are return classes
    /// behind observations; the next step's return (B, K, 1) where there are world heads.
    pub returns: Option<Tensor<'g>>,
    /// The next observation (B, K, observations), where there are world heads.
    pub observations: Option<Tensor<'g>>,
}

/// A decision transformer (Chen, Lu et al. 2021): offline reinforcement learning as return-conditioned sequence
/// modelling, with continuous or discrete actions.
///
/// Each step of a window is a token of its return-to-go, one of its observation and one of its action. A token is an
/// affine map of its numbers plus an embedding of its time, which the tokens of a step share. They go through
/// one layer norm and through pre-norm causal blocks; the action comes from the observation's token, which sees everything before the
/// action and nothing of it. [`Settings`] name the variants.
#[derive(Debug, Clone)]
pub struct DecisionTransformer {
    settings: Settings,
    parameters: Parameters,
    times: Option<ParameterId>,
    /// (context * tokens of a step, width)
    positions: Option<ParameterId>,
    embed_return: Option<Embedding>,
    embed_observation: ObservationEmbedding,
    embed_action: Embedding,
    embedding_norm: Option<LayerNorm>,
    shift: Option<ParameterId>,
    blocks: Vec<TransformerBlock>,
    norm: Option<LayerNorm>,
    predict_action: Head,
    predict_return: Option<Linear>,
    predict_observation: Option<Linear>,
}

/// Numbers, or the number of a class, to a token.
#[derive(Debug, Clone, Copy)]
enum Embedding {
    Numbers(Linear),
    Table(ParameterId),
}

/// An observation to a token.
#[derive(Debug, Clone)]
enum ObservationEmbedding {
    Affine(Linear),
    Pictures(Box<NatureEncoder>),
}

/// The layers from a token to actions.
#[derive(Debug, Clone, Copy)]
enum Head {
    Affine(Linear),
    /// (outputs, width)
    Linear(ParameterId),
}

/// The step whose time a window has, where it has one alone.
#[derive(Debug, Clone, Copy)]
enum WindowTime {
    First,
    Last,
}

/// Streams of random numbers that a block may take.
const STREAMS: u32 = 3;

impl DecisionTransformer {
    /// Declares the parameters.
    ///
    /// # Errors
    /// Settings that describe no network.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let Settings { observations, actions, width, layers, .. } = settings;
        let scaled = settings.initialisation == Initialisation::Scaled;
        let small = Initialise::Normal(0.02);
        let residual = if scaled { Initialise::Normal(0.02 / (2.0 * layers as f32).sqrt()) } else { small };

        let mut parameters = Parameters::new();
        let parameters = &mut parameters;
        let linear = |parameters: &mut Parameters, name: &str, inputs: usize, outputs: usize| {
            let weights = if scaled { small } else { Initialise::linear(inputs) };
            let bias = if scaled { Initialise::Constant(0.0) } else { Initialise::linear(inputs) };
            Linear::initialised(parameters, name, [inputs, outputs], [weights, bias])
        };
        let table = |parameters: &mut Parameters, name: &str, rows: usize| {
            Embedding::Table(parameters.add(format!("{name}.table"), [rows, width], small))
        };
        let times = settings.times.map(|times| {
            let initialise = match settings.positions {
                Positions::Window => Initialise::Constant(0.0),
                Positions::Steps if scaled => small,
                Positions::Steps => Initialise::Normal(1.0),
            };
            parameters.add("embed_timestep.weight", [times, width], initialise)
        });
        let positions = (settings.positions == Positions::Window).then(|| {
            let tokens = settings.context * settings.tokens.of_a_step();
            parameters.add("embed_position.table", [tokens, width], Initialise::Constant(0.0))
        });
        let embed_return = (settings.tokens != Tokens::ObservationAction).then(|| match settings.returns {
            Returns::Number => Embedding::Numbers(linear(parameters, "embed_return", 1, width)),
            Returns::Classes(classes) => table(parameters, "embed_return", classes),
        });
        let embed_observation = match settings.frames {
            None => ObservationEmbedding::Affine(linear(parameters, "embed_state", observations, width)),
            Some(frames) => {
                let encoder = NatureEncoder::new(parameters, "embed_state", frames, width).map_err(SettingsError)?;
                ObservationEmbedding::Pictures(Box::new(encoder))
            }
        };
        let embed_action = match actions {
            Actions::Continuous(numbers) => Embedding::Numbers(linear(parameters, "embed_action", numbers, width)),
            Actions::Discrete(choices) => table(parameters, "embed_action", choices),
        };
        let normed = settings.embedding_norm == EmbeddingNorm::LayerNorm;
        let embedding_norm = normed.then(|| LayerNorm::new(parameters, "embed_ln", width));
        let shift = settings.shift.then(|| parameters.add("shift", [width], small));
        let block = TransformerOptions {
            dimension: width,
            heads: settings.heads,
            hidden: settings.hidden,
            activation: settings.activation,
            norm: settings.norm,
            dropout: settings.dropout.residual,
            attention_dropout: settings.dropout.attention,
            initialise: Some([small, residual]),
        };
        let blocks = (0..layers)
            .map(|index| TransformerBlock::new(parameters, &format!("block{index}"), block, 1 + STREAMS * index as u32))
            .collect();
        let norm = (settings.norm == NormPlacement::Before).then(|| LayerNorm::new(parameters, "norm", width));
        let outputs = actions.outputs();
        let predict_action = if settings.head_bias {
            Head::Affine(linear(parameters, "predict_action", width, outputs))
        } else {
            Head::Linear(parameters.add("predict_action.weight", [outputs, width], small))
        };
        let classes = match settings.returns {
            Returns::Classes(classes) if settings.tokens == Tokens::ObservationReturnAction => Some(classes),
            _ => settings.world_heads.then_some(1),
        };
        let predict_return = classes.map(|outputs| linear(parameters, "predict_return", width, outputs));
        let predict_observation =
            settings.world_heads.then(|| linear(parameters, "predict_state", width, observations));
        Ok(Self {
            settings,
            parameters: std::mem::take(parameters),
            times,
            positions,
            embed_return,
            embed_observation,
            embed_action,
            embedding_norm,
            shift,
            blocks,
            norm,
            predict_action,
            predict_return,
            predict_observation,
        })
    }

    /// Returns the sizes and variants.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Predicts returns, observations and actions of a window.
    #[track_caller]
    pub fn forward<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Outputs<'g> {
        self.forward_at(weights, window, noise, WindowTime::First)
    }

    /// Returns the attention weights of each block when it acts on a window, `(B, heads, tokens, tokens)`: a row for each
    /// query, a column for each key, the [tokens of a step](Tokens) side by side.
    #[track_caller]
    pub fn attention_weights<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Vec<Tensor<'g>> {
        let (mut x, keys) = self.tokens(weights, window, Noise::NONE, WindowTime::Last);
        let mask = AttentionMask { causal: true, keys: Some(keys) };
        let of_block = |block: &TransformerBlock| {
            let of_block = block.attention_weights(weights, x, mask);
            x = block.forward(weights, x, mask, Noise::NONE);
            of_block
        };
        self.blocks.iter().map(of_block).collect()
    }

    #[track_caller]
    fn forward_at<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        window: &Window<'g>,
        noise: Noise<'g>,
        time: WindowTime,
    ) -> Outputs<'g> {
        let every = self.settings.tokens.of_a_step();
        let acting = every - 2;
        let (x, keys) = self.tokens(weights, window, noise, time);
        let (last, before) = self.blocks.split_last().expect("there is at least one layer");
        let run = |x, block: &TransformerBlock| {
            block.forward(weights, x, AttentionMask { causal: true, keys: Some(keys) }, noise)
        };
        let x = before.iter().fold(x, run);
        let norm = |x| self.norm.map_or(x, |norm| norm.forward(weights, x));
        let acting = Strided { every, at: acting };
        // Heads read a token of a step each. With one of them, the last block has queries of that one alone.
        let Some(predict_return) = self.predict_return else {
            let x = last.forward_strided(weights, x, acting, Some(keys), noise);
            return Outputs { actions: self.actions_of(weights, norm(x)), returns: None, observations: None };
        };
        let x = run(x, last);
        let token = |at| norm(Strided { every, at }.of(x));
        let returns = predict_return.forward(weights, token(if self.settings.world_heads { every - 1 } else { 0 }));
        let observations = self.predict_observation.map(|head| head.forward(weights, token(every - 1)));
        let actions = self.actions_of(weights, norm(acting.of(x)));
        Outputs { actions, returns: Some(returns), observations }
    }

    /// The actions, or logits, of normed tokens (.., width).
    #[track_caller]
    fn actions_of<'g>(&self, weights: &Weights<'_, 'g>, tokens: Tensor<'g>) -> Tensor<'g> {
        let actions = match self.predict_action {
            Head::Affine(head) => head.forward(weights, tokens),
            Head::Linear(head) => tokens.matmul_transposed(weights.get(head), false, true),
        };
        match self.settings.actions {
            Actions::Continuous(_) if self.settings.bounded => actions.tanh(),
            _ => actions,
        }
    }

    /// Returns, those past the last class in the last.
    #[track_caller]
    fn classed<'g>(&self, returns: Tensor<'g>) -> Tensor<'g> {
        match self.settings.returns {
            Returns::Number => returns,
            Returns::Classes(classes) => returns.min(returns.graph().constant(classes as f32 - 1.0)),
        }
    }

    /// The tokens (B, tokens of all steps, width) that go into the first block, and their key mask.
    #[track_caller]
    fn tokens<'g>(
        &self,
        weights: &Weights<'_, 'g>,
        window: &Window<'g>,
        noise: Noise<'g>,
        time: WindowTime,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let [batch, context] = window.mask.shape()[..] else {
            let message = format!("takes a mask (batch, context), got {:?}", window.mask);
            let failure = window.mask.graph().fail("decision_transformer", message);
            return (failure, failure);
        };
        let width = self.settings.width;
        let embed = |embedding: Embedding, numbers: Tensor<'g>| match embedding {
            Embedding::Numbers(linear) => linear.forward(weights, numbers),
            Embedding::Table(table) => {
                let classes = numbers.reshape([batch, context]).cast(Element::U32);
                weights.get(table).gather(classes)
            }
        };
        let returns =
            self.embed_return.map(|map| embed(map, self.classed(window.returns).reshape([batch, context, 1])));
        let observation = match &self.embed_observation {
            ObservationEmbedding::Affine(map) => map.forward(weights, window.observations),
            ObservationEmbedding::Pictures(encoder) => encoder.forward(weights, window.observations),
        };
        let action = embed(self.embed_action, window.actions);
        let tokens: Vec<_> = match self.settings.tokens {
            Tokens::ReturnObservationAction => returns.into_iter().chain([observation, action]).collect(),
            Tokens::ObservationReturnAction => [observation].into_iter().chain(returns).chain([action]).collect(),
            Tokens::ObservationAction => vec![observation, action],
        };
        let step = tokens.len();
        let bounded = |token: Tensor<'g>| match self.settings.embedding_norm {
            EmbeddingNorm::Tanh => token.tanh(),
            _ => token,
        };
        let tokens: Vec<_> =
            tokens.into_iter().map(|token| bounded(token).reshape([batch, context, 1, width])).collect();
        let mut x = window.mask.graph().concatenate(&tokens, 2);
        x = match self.positions {
            None => match self.clipped(window.times.cast(Element::F32)) {
                Some((times, rows)) => x + weights.get(times).gather(rows).reshape([batch, context, 1, width]),
                None => x,
            },
            Some(positions) => {
                let places = weights.get(positions).reshape([context, step * width]);
                let (place, time) = places_in(window, time);
                let x = x + places.gather(place).reshape([batch, context, step, width]);
                match self.clipped(time) {
                    Some((times, rows)) => x + weights.get(times).gather(rows).reshape([batch, 1, 1, width]),
                    None => x,
                }
            }
        };
        if let Some(norm) = self.embedding_norm {
            x = norm.forward(weights, x);
        }
        if let Some(shift) = self.shift {
            x = x + weights.get(shift);
        }
        let x = x.reshape([batch, step * context, width]);
        let x = Dropout { rate: self.settings.dropout.embedding, stream: 0 }.forward(x, noise);
        let keys = window.mask.reshape([batch, context, 1]).broadcast_to([batch, context, step]);
        (x, keys.reshape([batch, step * context]))
    }

    /// The table of times, and its rows for these times: later ones share the last.
    #[track_caller]
    fn clipped<'g>(&self, times: Tensor<'g>) -> Option<(ParameterId, Tensor<'g>)> {
        let last = times.graph().constant(self.settings.times? as f32 - 1.0);
        Some((self.times?, times.min(last).cast(Element::U32)))
    }

    /// The mean of `losses: (B, K)` over the steps that are not padding.
    #[track_caller]
    fn mean_over_steps<'g>(losses: Tensor<'g>, mask: Tensor<'g>) -> Tensor<'g> {
        (losses * mask).sum_all() / mask.sum_all()
    }
}

impl SequenceModel for DecisionTransformer {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn observations(&self) -> usize {
        self.settings.observations
    }

    fn actions(&self) -> Actions {
        self.settings.actions
    }

    fn context(&self) -> usize {
        self.settings.context
    }

    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let outputs = self.forward(weights, window, noise);
        let shape = window.mask.shape();
        let losses = match self.settings.actions {
            Actions::Continuous(_) => (outputs.actions - window.actions).square().mean(2),
            Actions::Discrete(_) => {
                let choices = window.actions.reshape(shape.clone()).cast(Element::U32);
                outputs.actions.cross_entropy(choices, 0.0)
            }
        };
        let loss = Self::mean_over_steps(losses, window.mask);
        match outputs.returns {
            Some(logits) if self.settings.return_loss != 0.0 => {
                let classes = self.classed(window.returns).reshape(shape).cast(Element::U32);
                let returns = Self::mean_over_steps(logits.cross_entropy(classes, 0.0), window.mask);
                loss + returns * self.settings.return_loss
            }
            _ => loss,
        }
    }

    fn act<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        let actions = self.forward_at(weights, window, Noise::NONE, WindowTime::Last).actions;
        match actions.shape()[..] {
            [batch, context, outputs] => actions.narrow(1, context - 1, 1).reshape([batch, outputs]),
            _ => actions,
        }
    }
}

/// The place of each step in its window, counted from the first that is not padding, `u32` (B, K), and the time (B, 1)
/// that stands for the window.
#[track_caller]
fn places_in<'g>(window: &Window<'g>, time: WindowTime) -> (Tensor<'g>, Tensor<'g>) {
    let graph = window.mask.graph();
    let times = window.times.cast(Element::F32);
    let [batch, context] = times.shape()[..] else { return (times, times) };
    // The least of all times, where padding has one past any episode's.
    let past = graph.constant(-1e9);
    let first = -window.mask.select(-times, past).maximum(1).reshape([batch, 1]);
    let places = (times - first).max(graph.constant(0.0)).cast(Element::U32);
    let time = match time {
        WindowTime::First => first,
        WindowTime::Last => times.narrow(1, context - 1, 1),
    };
    (places, time)
}

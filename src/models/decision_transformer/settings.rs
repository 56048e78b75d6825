//! The sizes and variants of a decision transformer.

use std::fmt;

use crate::data::{Actions, FrameShape};
use crate::nn::{Activation, AttentionDropout, NormPlacement};

/// The tokens of one step, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tokens {
    /// Return-to-go, observation, action: the action comes from the observation's token (Decision Transformer).
    ReturnObservationAction,
    /// Observation, return-to-go, action: the return can be predicted from the observation's token, and the action comes
    /// from the return's (the paper's shortest paths; Elastic Decision Transformer).
    ObservationReturnAction,
    /// Observation and action: behaviour cloning by a transformer.
    ObservationAction,
}

impl Tokens {
    /// Returns the number of tokens of a step. The last is the action's; the one before it predicts the action.
    pub fn of_a_step(self) -> usize {
        match self {
            Tokens::ObservationAction => 2,
            Tokens::ReturnObservationAction | Tokens::ObservationReturnAction => 3,
        }
    }
}

/// The encoding of positions, added to each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Positions {
    /// An embedding of its step's time, which the tokens of a step share.
    Steps,
    /// An embedding of its own place in the window, counted from the first step that is not padding, and one of the
    /// window's time, where there are [times](Settings::times): that of its first step in training and of its last when
    /// acting, as in the paper's Atari code. Both begin as zeros.
    Window,
}

/// The form of a return-to-go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Returns {
    /// A real number.
    Number,
    /// One of this many classes, by its number; numbers past the last class are in the last.
    Classes(usize),
}

/// The treatment of tokens before the first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmbeddingNorm {
    /// One layer norm that all kinds of token share.
    LayerNorm,
    /// A hyperbolic tangent of each embedding, before the times are added (the paper's Atari network).
    Tanh,
    /// Nothing.
    None,
}

/// The distribution of initial weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Initialisation {
    /// The paper's code: normal with deviation 0.02 inside the blocks, PyTorch's defaults outside, times with deviation 1.
    Original,
    /// Deviation 0.02 for all, and `0.02 / sqrt(2 layers)` for what writes to the residual stream (GPT-2, HuggingFace).
    Scaled,
}

/// Shares of elements dropped in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutRates {
    /// Dropout of the tokens, before the first block.
    pub embedding: f32,
    /// Dropout within attention.
    pub attention: AttentionDropout,
    /// Dropout of the residual branch of each half of a block.
    pub residual: f32,
}

impl DropoutRates {
    /// No dropout anywhere.
    pub const NONE: Self = Self { embedding: 0.0, attention: AttentionDropout::None, residual: 0.0 };

    /// The same rate at the three places of the paper's code.
    pub fn all(rate: f32) -> Self {
        Self { embedding: rate, attention: AttentionDropout::Probabilities(rate), residual: rate }
    }
}

/// Everything that decides a decision transformer besides its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Numbers in an observation.
    pub observations: usize,
    /// The pictures that an observation is made of, which convolutions see; `None` for an affine map of its numbers.
    pub frames: Option<FrameShape>,
    /// The kind of action.
    pub actions: Actions,
    /// Steps of a window, K.
    pub context: usize,
    /// Times that have an embedding, `max_ep_len`: later ones share the last. `None` embeds no times.
    pub times: Option<usize>,
    /// The encoding of positions.
    pub positions: Positions,
    /// The length of a token.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// They divide the width.
    pub heads: usize,
    /// The width of the blocks' hidden layers.
    pub hidden: usize,
    /// The activation of the hidden layers.
    pub activation: Activation,
    /// The placement of the layer norms.
    pub norm: NormPlacement,
    /// The treatment of tokens before the first block.
    pub embedding_norm: EmbeddingNorm,
    /// The dropout rates.
    pub dropout: DropoutRates,
    /// The tokens of a step.
    pub tokens: Tokens,
    /// The form of the return-to-go.
    pub returns: Returns,
    /// The weight in the loss of the cross-entropy of predicted return classes, where there are
    /// [classes](Returns::Classes) and observations come before them.
    pub return_loss: f32,
    /// Continuous actions go through a hyperbolic tangent.
    pub bounded: bool,
    /// The head has a bias.
    pub head_bias: bool,
    /// Heads for the next observation and return on the action's token, as the paper's code has them: without a loss.
    pub world_heads: bool,
    /// A learnt vector that is added to every token before the blocks: the row `wpe` of HuggingFace's network.
    pub shift: bool,
    /// The distribution of the initial weights.
    pub initialisation: Initialisation,
}

impl Settings {
    /// The paper's network for continuous control (table 9): 3 layers of width 128, one head, ReLU, dropout 0.1. Its
    /// published results have a context of 20 (5 for Reacher) and 1,000 times.
    pub fn gym(observations: usize, actions: Actions, context: usize) -> Self {
        Self {
            observations,
            frames: None,
            actions,
            context,
            times: Some(1000),
            positions: Positions::Steps,
            width: 128,
            layers: 3,
            heads: 1,
            hidden: 4 * 128,
            activation: Activation::Relu,
            norm: NormPlacement::Before,
            embedding_norm: EmbeddingNorm::LayerNorm,
            dropout: DropoutRates::all(0.1),
            tokens: Tokens::ReturnObservationAction,
            returns: Returns::Number,
            return_loss: 0.0,
            bounded: true,
            head_bias: true,
            world_heads: false,
            shift: false,
            initialisation: Initialisation::Original,
        }
    }

    /// The paper's network for Atari (table 8) behind its convolutions, whose place an affine map of an observation takes:
    /// 6 layers of width 128, 8 heads, GELU, tanh on embeddings, places in the window. Its published results have a
    /// context of 30 (50 for Pong) and returns as they are.
    pub fn atari(observations: usize, choices: usize, context: usize, times: usize) -> Self {
        Self {
            times: Some(times),
            positions: Positions::Window,
            activation: Activation::GeluErf,
            embedding_norm: EmbeddingNorm::Tanh,
            head_bias: false,
            ..Self::gym(observations, Actions::Discrete(choices), context).sized(128, 6, 8)
        }
    }

    /// The paper's network for Atari with its convolutions: [`atari`](Self::atari) behind a
    /// [`NatureEncoder`](crate::models::convolutional::NatureEncoder).
    pub fn atari_frames(frames: FrameShape, choices: usize, context: usize, times: usize) -> Self {
        Self { frames: Some(frames), ..Self::atari(frames.numbers(), choices, context, times) }
    }

    /// The same with blocks of another width, hidden layers four times as wide.
    pub fn sized(self, width: usize, layers: usize, heads: usize) -> Self {
        Self { width, layers, heads, hidden: width.saturating_mul(4), ..self }
    }

    /// The same network without returns: behaviour cloning.
    pub fn without_returns(self) -> Self {
        Self { tokens: Tokens::ObservationAction, return_loss: 0.0, ..self }
    }

    /// Checks that the settings agree with each other.
    ///
    /// # Errors
    /// A size of 0, heads that do not divide the width, or a loss of returns that are not predicted.
    pub fn check(&self) -> Result<(), SettingsError> {
        let sizes = [
            ("observations", self.observations),
            ("action outputs", self.actions.outputs()),
            ("context", self.context),
            ("times", self.times.unwrap_or(1)),
            ("width", self.width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("hidden", self.hidden),
        ];
        if let Some((name, got)) = sizes.iter().find(|(_, size)| !(1..1 << 31).contains(size)) {
            let range = if *got == 0 { "at least 1" } else { "less than 2^31" };
            return Err(SettingsError(format!("expected {range} for {name}, got {got}")));
        }
        if let Some(frames) = self.frames.filter(|frames| frames.numbers() != self.observations) {
            let got = format!("{} numbers for {frames:?}", self.observations);
            return Err(SettingsError(format!("expected an observation of all pixels of its pictures, got {got}")));
        }
        if self.layers > 1_024 {
            return Err(SettingsError(format!("expected at most 1024 layers, got {}", self.layers)));
        }
        let DropoutRates { embedding, residual, .. } = self.dropout;
        if let Some(rate) = [embedding, residual].into_iter().find(|rate| !(0.0..1.0).contains(rate)) {
            return Err(SettingsError(format!("expected dropout rates of 0 to less than 1, got {rate}")));
        }
        if !self.return_loss.is_finite() {
            return Err(SettingsError(format!(
                "expected a finite weight of the loss of returns, got {}",
                self.return_loss
            )));
        }
        if !self.width.is_multiple_of(self.heads) {
            let Self { width, heads, .. } = self;
            return Err(SettingsError(format!("expected heads that divide the width of {width}, got {heads}")));
        }
        let classes = matches!(self.returns, Returns::Classes(classes) if classes > 0);
        let predicted = classes && self.tokens == Tokens::ObservationReturnAction;
        if self.return_loss != 0.0 && !predicted {
            let message = "a loss of returns takes return classes and observations before returns";
            return Err(SettingsError(format!("{message}, got {:?} and {:?}", self.returns, self.tokens)));
        }
        if self.world_heads && self.tokens != Tokens::ReturnObservationAction {
            let message = "heads for the next observation and return take tokens in the paper's order";
            return Err(SettingsError(format!("{message}, got {:?}", self.tokens)));
        }
        Ok(())
    }
}

/// Settings that describe no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub(super) String);

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "decision transformer: {}", self.0)
    }
}

impl std::error::Error for SettingsError {}

//! A decision transformer as a critic: the chance of the reward at each step, by what has been seen and done so far.

use fourfold_shaders::Element;

use super::{DecisionTransformer, Returns, Settings, SettingsError, Tokens};
use crate::data::Actions;
use crate::graph::Tensor;
use crate::models::{SequenceModel, Window};
use crate::nn::{Noise, Parameters, Weights};

/// A decision transformer that predicts the return of an episode, 0 or 1, at each of its observations (section 5.5 of
/// the paper). The returns of a window are what it learns to predict, and not what it sees: their tokens are blank.
#[derive(Debug, Clone)]
pub struct ReturnCritic(DecisionTransformer);

impl ReturnCritic {
    /// Creates a critic of the sizes of a policy.
    ///
    /// # Errors
    /// Settings that describe no network.
    pub fn new(policy: Settings) -> Result<Self, SettingsError> {
        let tokens = Tokens::ObservationReturnAction;
        let settings = Settings { tokens, returns: Returns::Classes(2), return_loss: 1.0, ..policy };
        Ok(Self(DecisionTransformer::new(settings)?))
    }

    /// Returns the probabilities (B, K, 2) of the returns 0 and 1.
    #[track_caller]
    pub fn chances<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        self.logits(weights, window, Noise::NONE).softmax()
    }

    #[track_caller]
    fn logits<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let blank = Window { returns: window.returns * 0.0, ..*window };
        let outputs = self.0.forward(weights, &blank, noise);
        outputs.returns.unwrap_or(outputs.actions)
    }
}

impl SequenceModel for ReturnCritic {
    fn parameters(&self) -> &Parameters {
        self.0.parameters()
    }

    fn observations(&self) -> usize {
        self.0.observations()
    }

    fn actions(&self) -> Actions {
        self.0.actions()
    }

    fn context(&self) -> usize {
        self.0.context()
    }

    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, noise: Noise<'g>) -> Tensor<'g> {
        let classes = window.returns.cast(Element::U32);
        let losses = self.logits(weights, window, noise).cross_entropy(classes, 0.0);
        (losses * window.mask).sum_all() / window.mask.sum_all()
    }

    fn act<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        self.0.act(weights, window)
    }
}

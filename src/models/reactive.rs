//! The attention neuron that sees with a network behind it that remembers nothing, on the graph, differentiable.

use fourfold_shaders::Error;
use fourfold_shaders::vision::ReactiveNetwork;

use super::VisionNeuronModel;
use crate::graph::Tensor;
use crate::nn::{Initialise, ParameterId, Parameters, Weights};
use crate::rollout::reactive_outputs;

/// The network that [`ReactiveNetwork`] describes, whose formulas and plain form stand there.
///
/// Its parameters are declared in the order of the flat vector of weights and with its shapes:
/// [`Parameters::from_dense`] takes it as it is.
///
/// ```
/// use fourfold::graph::{Graph, TensorType, gradients};
/// use fourfold::models::ReactiveModel;
/// use fourfold::shaders::vision::ReactiveNetwork;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = ReactiveModel::new(ReactiveNetwork::car_student())?;
/// let graph = Graph::new();
/// let weights = model.parameters().state(&graph, "weights");
/// let parameters = model.parameters().of(weights);
/// // Stacks of four pictures of 48 x 48, and what a teacher would do there.
/// let frames = graph.input("frames", TensorType::f32([32, 48 * 48, 4]));
/// let taught = graph.input("taught", TensorType::f32([32, 3]));
/// let positions = model.neuron().positions(&graph, "positions");
/// let seen = model.neuron().forward(&parameters, positions, frames, None);
/// let loss = model.outputs(&parameters, seen.messages).tanh().mean_squared_error(taught);
/// graph.output("gradient", gradients(loss, &[weights])[0]);
/// graph.check()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ReactiveModel {
    network: ReactiveNetwork,
    parameters: Parameters,
    neuron: VisionNeuronModel,
    /// The tensors behind the neuron's.
    tail: Vec<ParameterId>,
}

impl ReactiveModel {
    /// Declares the parameters, with PyTorch's initialisation.
    ///
    /// # Errors
    /// Sizes out of range.
    pub fn new(network: ReactiveNetwork) -> Result<Self, Error> {
        network.check()?;
        let mut parameters = Parameters::new();
        let neuron = VisionNeuronModel::new(&mut parameters, network.layer)?;
        let mut inputs = 1;
        let tail = network.tail().into_iter().map(|part| {
            // A bias is drawn as the weight before it is.
            if part.shape.len() > 1 {
                inputs = part.shape[1..].iter().product();
            }
            parameters.add(part.name, part.shape, Initialise::linear(inputs))
        });
        let tail = tail.collect();
        Ok(Self { network, parameters, neuron, tail })
    }

    /// Returns the sizes.
    pub fn network(&self) -> &ReactiveNetwork {
        &self.network
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the layer that sees.
    pub fn neuron(&self) -> &VisionNeuronModel {
        &self.neuron
    }

    /// The outputs `(batch, outputs)` behind messages `(batch, messages, dimension)`.
    #[track_caller]
    pub fn outputs<'g>(&self, weights: &Weights<'_, 'g>, messages: Tensor<'g>) -> Tensor<'g> {
        let mut ids = self.tail.iter();
        let next = || {
            let tensor = weights.get(*ids.next().expect("the tail has the tensors that the outputs take"));
            let shape: Vec<usize> = [1].into_iter().chain(tensor.shape().iter().copied()).collect();
            tensor.reshape(shape)
        };
        let outputs = reactive_outputs(&self.network, 1, messages, next);
        outputs.reshape([outputs.elements() / self.network.outputs, self.network.outputs])
    }
}

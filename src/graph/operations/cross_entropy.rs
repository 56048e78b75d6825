//! The cross-entropy of logits with labels.

use fourfold_shaders::elementwise::Compare;
use fourfold_shaders::loss::cross_entropy;
use fourfold_shaders::{Element, Sequence, Target};

use super::rows::{positions, row_sum};
use super::softmax::softmax_gradient;
use crate::graph::operation::{Operation, OutputGradients};
use crate::graph::rules::algebra::times;
use crate::graph::{Graph, Tensor, TensorType};

/// (logits `(rows, classes)`, labels `u32 (rows)`) to (loss `(rows)`, its gradient for the logits `(rows, classes)`).
#[derive(Debug)]
struct CrossEntropy {
    smoothing: f32,
}

impl Operation for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [logits, labels] if logits.is_float() && logits.shape.rank() == 2 && labels.element == Element::U32 => {
                Ok(vec![TensorType::f32([logits.shape[0]]), logits.clone()])
            }
            _ => Err("takes F32 logits (rows, classes) and U32 labels (rows)".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let (rows, classes) = inputs[0].rows().unwrap_or_default();
        Ok(cross_entropy::Problem { rows, classes, smoothing: self.smoothing }.sequence(target)?)
    }

    fn definition<'g>(&self, graph: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (logits, shape) = (inputs[0], inputs[0].shape());
        let (rows, classes) = (shape[0], shape[1]);
        let labels = inputs[1].cast(Element::F32).reshape([rows, 1]);
        let counted = labels.compare(Compare::Lt, graph.constant(classes as f32));
        let smoothing = graph.constant(self.smoothing);
        let right = positions(graph, classes).compare(Compare::Eq, labels);
        let target = right * (1.0 - smoothing) + smoothing / classes as f32;
        let logarithm = logits.log_softmax();
        // A mass of 0 counts infinite logits out.
        let zero = graph.constant(0.0);
        let loss = counted.select(-row_sum(target.select(target * logarithm, zero)), zero);
        Some(vec![loss.reshape([rows]), counted.select(logarithm.exp() - target, zero)])
    }

    /// The forward pass leaves the gradient of each row's loss, `softmax - target`, whose own derivative is the
    /// softmax's.
    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let (logits, labels, shape) = (node.inputs[0], node.inputs[1], node.inputs[0].shape());
        let column = [shape[0], 1];
        let first = node.gradients[0].map(|losses| times(node.outputs[1], losses.reshape(column)));
        let second = node.gradients[1].map(|dlogits| {
            // Rows whose label is not a class have neither loss nor gradient.
            let classes = node.graph.constant(shape[1] as f32);
            let counted = labels.cast(Element::F32).compare(Compare::Lt, classes).reshape(column);
            softmax_gradient(logits.softmax(), dlogits * counted, false, 1.0)
        });
        Some(first.into_iter().chain(second).map(|term| (0, term)).collect())
    }
}

impl<'g> Tensor<'g> {
    /// The cross-entropy of each row of logits `(.., classes)` with labels `u32 (..)`: a tensor of the labels' shape.
    ///
    /// The target is `(1 - smoothing) * onehot(label) + smoothing / classes`.
    #[track_caller]
    pub fn cross_entropy(self, labels: Tensor<'g>, smoothing: f32) -> Self {
        if self.is_poisoned() {
            return self;
        }
        let shape = self.shape();
        let fits = shape.rank() >= 1
            && labels.element() == Element::U32
            && labels.shape() == shape.without_axis(shape.rank() - 1)
            && (0.0..1.0).contains(&smoothing);
        let Some((rows, classes)) = self.kind().rows().filter(|_| fits) else {
            let message = format!(
                "takes logits (.., classes), u32 labels (..) and a smoothing in [0, 1), got {self:?}, {labels:?} and {smoothing}"
            );
            return self.graph().fail("cross_entropy", message);
        };
        let operands = [self.reshape([rows, classes]), labels.reshape([rows])];
        self.graph().fused(CrossEntropy { smoothing }, &operands).reshape(labels.shape())
    }
}

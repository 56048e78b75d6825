//! A multi-layer perceptron with tanh: the ordinary policy that others are compared with.

use crate::rollout::unroll::{Interface, Policy, Team};
use crate::{RuntimeChecks, product};

/// `x_l = tanh(W_l x_(l-1) + b_l)` for each hidden layer, `x_0` the inputs, and the same for the action, whose tanh is
/// a choice. Weights, layer by layer: `W_l (outputs, inputs)`, row-major, then `b_l (outputs)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perceptron {
    hidden: Vec<usize>,
    squashed: bool,
    source: String,
}

impl Perceptron {
    /// A perceptron with hidden layers of these widths and a tanh over the action. `&[16]` between 5 inputs and one
    /// action is the 5-16-1 network with 113 weights that Tang & Ha (2021) compare with.
    ///
    /// # Panics
    /// Without a hidden layer, which is [`Linear`](super::Linear), and if one has no width.
    pub fn new(hidden: &[usize]) -> Self {
        assert!(!hidden.is_empty() && !hidden.contains(&0), "a perceptron has hidden layers of at least one unit");
        let source = with_widths(hidden, wgsl!("perceptron.wgsl"));
        Self { hidden: hidden.to_vec(), squashed: true, source }
    }

    /// The same without a tanh over the action.
    pub fn linear_output(self) -> Self {
        Self { squashed: false, ..self }
    }

    /// The widths of the hidden layers.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// Returns true if a tanh bounds the action.
    pub fn is_squashed(&self) -> bool {
        self.squashed
    }
}

/// The WGSL with the widths of the hidden layers before it.
fn with_widths(hidden: &[usize], wgsl: &str) -> String {
    let widths: Vec<String> = hidden.iter().map(|width| format!("{width}u")).collect();
    format!("const WIDTHS = array<u32, {}>({});\n\n{wgsl}", hidden.len(), widths.join(", "))
}

/// The widest layer that an invocation of a GPU has registers for: longer loops over arrays are not unrolled.
const WIDEST_IN_REGISTERS: usize = 32;

impl Policy for Perceptron {
    fn file(&self) -> &str {
        "perceptron.wgsl"
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let hidden = &self.hidden;
        vec![
            ("HIDDEN_LAYERS", hidden.len()),
            ("FIRST_WIDTH", hidden[0]),
            ("LAST_WIDTH", hidden[hidden.len() - 1]),
            ("WIDEST", hidden.iter().copied().max().unwrap_or(1)),
        ]
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("SQUASHED", f64::from(u8::from(self.squashed)))]
    }

    fn weights(&self, interface: Interface) -> usize {
        let widths = [&[interface.inputs], &self.hidden[..], &[interface.actions]].concat();
        let layers = widths.windows(2).map(|pair| pair[0].saturating_add(1).saturating_mul(pair[1]));
        layers.fold(0, usize::saturating_add)
    }

    fn team(&self, _: Interface) -> Option<Team> {
        let widest = self.hidden.iter().copied().max().unwrap_or(1);
        (widest > WIDEST_IN_REGISTERS).then(|| Team {
            source: with_widths(&self.hidden, wgsl!("perceptron_team.wgsl")).into(),
            tables: 0,
            late_tables: 0,
            table_passes: 0,
            numbers: product(&[2, widest]),
        })
    }

    /// A sum over a layer errs by its length in units of its terms; the tanh of the layers passes errors on, at most
    /// times the sum of a row of weights, a few.
    fn rounding(&self) -> f64 {
        let widest = self.hidden.iter().copied().max().unwrap_or(1) as f64;
        (64.0 + 4.0 * widest) * self.hidden.len() as f64
    }

    fn runtime_checks(&self) -> RuntimeChecks {
        RuntimeChecks::own::<Self>()
    }

    fn act(&self, weights: &[f64], _: &mut [f64], inputs: &[f64], action: &mut [f64]) {
        let mut rest = weights;
        let mut layer = |x: &[f64], width: usize| -> Vec<f64> {
            let (matrix, others) = rest.split_at(width * x.len());
            let (bias, others) = others.split_at(width);
            rest = others;
            let product = |row: &[f64]| row.iter().zip(x).map(|(weight, x)| weight * x).sum::<f64>();
            matrix.chunks_exact(x.len()).zip(bias).map(|(row, bias)| bias + product(row)).collect()
        };
        let mut x = inputs.to_vec();
        for &width in &self.hidden {
            x = layer(&x, width).into_iter().map(f64::tanh).collect();
        }
        let sums = layer(&x, action.len());
        for (action, sum) in action.iter_mut().zip(sums) {
            *action = if self.squashed { sum.tanh() } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_the_paper_has_113_weights() {
        assert_eq!(Perceptron::new(&[16]).weights(Interface { inputs: 5, actions: 1 }), 113);
    }

    /// tanh(2 tanh(0.5) + 3 tanh(-1) + 0.25), the output layer with and without its tanh.
    #[test]
    fn a_small_network_is_worked_out_by_hand() {
        let weights = [0.5, -1.0, 0.0, 0.0, 2.0, 3.0, 0.25];
        let sum = 2.0 * 0.5_f64.tanh() + 3.0 * (-1.0_f64).tanh() + 0.25;
        let network = Perceptron::new(&[2]);
        let mut action = [0.0];
        network.act(&weights, &mut [], &[1.0], &mut action);
        assert!((action[0] - sum.tanh()).abs() < 1e-15);
        network.linear_output().act(&weights, &mut [], &[1.0], &mut action);
        assert!((action[0] - sum).abs() < 1e-15);
    }
}

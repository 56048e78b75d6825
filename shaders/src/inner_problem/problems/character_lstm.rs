//! A small LSTM that predicts the next character: the variance study of Vicol et al. (2021).

use crate::description::own_problem;
use crate::inner_problem::{InnerProblem, Loss};
use crate::random::threefry::Random;
use crate::rollout::unroll::EpisodeRandom;

/// One layer of LSTM reads a text; its weights are the outer parameters, its memory `(h, c)` is the inner state, and the
/// loss of a step is the cross-entropy (in nats) of the character that comes next.
///
/// ```text
/// forget, input, output = logistic(X x + a + H h + b),   cell = tanh(X x + a + H h + b),   each with its own weights
/// c <- forget c + input cell,   h <- output tanh(c),   loss = log sum exp(D h + d) - (D h + d)[next]
/// ```
///
/// The outer parameters are, one after another: the embedding (vocabulary, embedding); for each hidden unit, `X`'s row
/// and `a`, `H`'s row and `b`, (embedding + 1 + hidden + 1, 4), for the gates forget, input, output and cell; for each
/// character, `D`'s row and `d` (hidden + 1). Past its end the text starts over.
#[derive(Debug, Clone, PartialEq)]
pub struct CharacterLstm {
    vocabulary: usize,
    embedding: usize,
    hidden: usize,
    /// The characters as the kernel reads them.
    tokens: Vec<f32>,
}

const GATES: usize = 4;

impl CharacterLstm {
    /// The paper's network, an embedding of 5 and 5 hidden units, on a text of characters below `vocabulary`.
    ///
    /// # Panics
    /// If there are fewer than two characters, or one is not below `vocabulary`, or that is past 2^24.
    pub fn new(tokens: &[u32], vocabulary: usize) -> Self {
        Self::sized(tokens, vocabulary, 5, 5)
    }

    /// A network of other sizes.
    ///
    /// # Panics
    /// As [`new`](Self::new), and if a size is 0.
    pub fn sized(tokens: &[u32], vocabulary: usize, embedding: usize, hidden: usize) -> Self {
        assert!(tokens.len() > 1, "a character to read and one to predict");
        assert!(vocabulary <= 1 << 24, "characters that are exact in f32");
        assert!(tokens.iter().all(|&token| (token as usize) < vocabulary), "characters below {vocabulary}");
        assert!(embedding > 0 && hidden > 0, "an embedding and hidden units");
        Self { vocabulary, embedding, hidden, tokens: tokens.iter().map(|&token| token as f32).collect() }
    }

    /// The paper's network on uniformly random characters: what was read tells nothing.
    pub fn random(length: usize, vocabulary: usize, seed: u32) -> Self {
        let mut random = Random::new(seed, 0);
        let tokens: Vec<u32> = (0..length).map(|_| random.below(vocabulary as u32)).collect();
        Self::new(&tokens, vocabulary)
    }

    /// The paper's network on one character again and again.
    pub fn repeat(token: u32, length: usize, vocabulary: usize) -> Self {
        Self::new(&vec![token; length], vocabulary)
    }

    /// Weights that the paper starts from: an embedding uniform in +-0.1, matrices normal with deviation 1 / sqrt(inputs)
    /// and cut off at two deviations, no biases.
    pub fn start(&self, seed: u32) -> Vec<f32> {
        let mut random = Random::new(seed, 1);
        let mut weights = Vec::with_capacity(self.parameters());
        weights.extend((0..self.gates()).map(|_| 0.2 * random.uniform() - 0.1));
        let mut normal = |inputs: usize| loop {
            let deviate = random.normal();
            if deviate.abs() < 2.0 {
                break deviate / (inputs as f32).sqrt();
            }
        };
        for _ in 0..self.hidden {
            for inputs in [self.embedding, self.hidden] {
                weights.extend((0..GATES * inputs).map(|_| normal(inputs)));
                weights.extend([0.0; GATES]);
            }
        }
        for _ in 0..self.vocabulary {
            weights.extend((0..self.hidden).map(|_| normal(self.hidden)));
            weights.push(0.0);
        }
        weights
    }

    /// The index of the first weight of the gates.
    fn gates(&self) -> usize {
        self.vocabulary * self.embedding
    }

    /// The number of them for one hidden unit.
    fn unit(&self) -> usize {
        GATES * (self.embedding + self.hidden + 2)
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl InnerProblem for CharacterLstm {
    own_problem!("character_lstm.wgsl");

    fn states(&self) -> usize {
        2 * self.hidden
    }

    fn parameters(&self) -> usize {
        self.gates() + self.hidden * self.unit() + self.vocabulary * (self.hidden + 1)
    }

    /// A step for each character but the last.
    fn horizon(&self) -> Option<usize> {
        Some(self.tokens.len() - 1)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("VOCABULARY", self.vocabulary),
            ("EMBEDDING", self.embedding),
            ("HIDDEN", self.hidden),
            ("TRANSITIONS", self.tokens.len() - 1),
        ]
    }

    fn data(&self) -> &[f32] {
        &self.tokens
    }

    /// The embedding, the inputs of each hidden unit, and the hidden units for each character, with the loops around them.
    fn iterations(&self) -> usize {
        self.embedding
            + self.hidden * (self.embedding + self.hidden + 1)
            + self.vocabulary * (self.hidden + 1)
            + self.states()
    }

    /// At weights below 2, whose roundings are taken as independent: the gates err by some 100 units, of which the state
    /// gets as many, a logit twice as many for each hidden unit, and the loss the difference of two logits.
    fn rounding(&self) -> f64 {
        let inputs = (self.embedding + self.hidden + 2) as f64;
        8.0 * inputs * (4.0 * self.hidden as f64 + 4.0)
    }

    /// An error of the memory reaches each gate by each hidden unit, with weights below 2; the loss has a smaller one to
    /// begin with than its own rounding.
    fn growth(&self) -> f64 {
        4.0 * self.hidden as f64
    }

    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(0.0);
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], time: u32, _: &mut EpisodeRandom) -> Loss {
        let place = time as usize % (self.tokens.len() - 1);
        let (read, next) = (self.tokens[place] as usize, self.tokens[place + 1] as usize);
        let x = &parameters[read * self.embedding..][..self.embedding];
        let (gates, decoder) = parameters[self.gates()..].split_at(self.hidden * self.unit());

        let before = state.to_vec();
        for (unit, weights) in gates.chunks_exact(self.unit()).enumerate() {
            let inputs = x.iter().chain([&1.0]).chain(&before[..self.hidden]).chain([&1.0]);
            let mut sums = [0.0; GATES];
            for (input, weights) in inputs.zip(weights.chunks_exact(GATES)) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * input);
            }
            let [forget, input, output] = [0, 1, 2].map(|gate| logistic(sums[gate]));
            let cell = forget * before[self.hidden + unit] + input * sums[3].tanh();
            state[self.hidden + unit] = cell;
            state[unit] = output * cell.tanh();
        }

        let logit = |row: &[f64]| row.iter().zip(&state[..self.hidden]).map(|(weight, h)| weight * h).sum::<f64>();
        let logits: Vec<f64> = decoder.chunks_exact(self.hidden + 1).map(|row| logit(row) + row[self.hidden]).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        Loss { value: sum.ln() + largest - logits[next], done: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner_problem::problems::tests::after;

    #[test]
    fn the_network_of_the_paper_has_so_many_weights() {
        // Of 50 characters: embedding, four gates of two maps with biases, decoder with biases.
        let problem = CharacterLstm::repeat(0, 1_001, 50);
        assert_eq!(problem.parameters(), 50 * 5 + 4 * (5 * 5 + 5 + 5 * 5 + 5) + 50 * 5 + 50);
        assert_eq!((problem.states(), problem.horizon()), (10, Some(1_000)));
    }

    #[test]
    fn without_weights_every_character_is_as_likely() {
        let problem = CharacterLstm::random(30, 9, 5);
        let (state, loss) = after(&problem, &vec![0.0; problem.parameters()], 29);
        assert!((loss - 9.0_f64.ln()).abs() < 1e-14);
        assert!(state.iter().all(|&number| number == 0.0));
    }

    /// One hidden unit and an embedding of one, by the formula with each weight by its name.
    #[test]
    fn a_network_of_one_unit_is_that_of_the_formula() {
        let problem = CharacterLstm::sized(&[0, 1, 1, 0], 2, 1, 1);
        let weights: Vec<f64> = (0..problem.parameters()).map(|i| (1.7 * i as f64 + 0.3).sin()).collect();
        let [e0, e1, gates @ .., d0, b0, d1, b1] = &weights[..] else { panic!("22 weights") };
        assert_eq!(gates.len(), 16);
        let gate = |which: usize, x: f64, h: f64| {
            gates[which] * x + gates[4 + which] + gates[8 + which] * h + gates[12 + which]
        };
        let (mut h, mut c) = (0.0_f64, 0.0_f64);
        let (mut random, mut state) = (EpisodeRandom::new(0, 0, 0, 0), [0.0; 2]);
        // The last step reads the first character again.
        for (time, (read, next)) in [(0, 1), (1, 1), (1, 0), (0, 1)].into_iter().enumerate() {
            let x = if read == 0 { *e0 } else { *e1 };
            c = logistic(gate(0, x, h)) * c + logistic(gate(1, x, h)) * gate(3, x, h).tanh();
            // The old h is what the gates read.
            h = logistic(gate(2, x, h)) * c.tanh();
            let logits = [d0 * h + b0, d1 * h + b1];
            let expected = (logits[0].exp() + logits[1].exp()).ln() - logits[next];
            let loss = problem.step(&mut state, &weights, time as u32, &mut random).value;
            assert!((loss - expected).abs() < 1e-13, "{loss}, {expected}");
            assert!((state[0] - h).abs() < 1e-14 && (state[1] - c).abs() < 1e-14);
        }
    }

    /// A bias that makes a character certain, and one that makes it impossible.
    #[test]
    fn a_decoder_that_knows_loses_nothing() {
        let problem = CharacterLstm::repeat(2, 5, 4);
        let mut weights = vec![0.0; problem.parameters()];
        let bias = problem.parameters() - 6 - 1;
        weights[bias] = 40.0;
        assert!(after(&problem, &weights, 4).1 < 1e-15);
        weights[bias] = -40.0;
        assert!((after(&problem, &weights, 4).1 - 40.0 - 3.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_start_is_that_of_the_paper() {
        let problem = CharacterLstm::repeat(0, 3, 40);
        let weights = problem.start(42);
        assert_eq!(weights.len(), problem.parameters());
        assert!(weights[..200].iter().all(|weight| weight.abs() <= 0.1));
        assert!(weights[200..].iter().all(|weight| weight.abs() < 2.0 / 5.0_f32.sqrt()));
        // The biases: two of four gates for each unit, one for each character.
        assert_eq!(weights.iter().filter(|&&weight| weight == 0.0).count(), 5 * 8 + 40);
        assert_ne!(weights, problem.start(43));
        let loss = after(&problem, &weights.iter().map(|&weight| f64::from(weight)).collect::<Vec<_>>(), 2).1;
        assert!((loss - 40.0_f64.ln()).abs() < 0.5, "{loss}");
    }

    #[test]
    fn random_characters_are_spread_over_the_vocabulary() {
        let problem = CharacterLstm::random(2_000, 4, 5);
        for token in 0..4 {
            let count = problem.data().iter().filter(|&&other| other == token as f32).count();
            assert!((400..600).contains(&count), "{token}: {count}");
        }
    }
}

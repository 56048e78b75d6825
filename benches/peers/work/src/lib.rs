//! The work that both libraries do: sizes, and the same numbers for both.

mod half;

pub use half::{FIRST_STEP, Half, SERVE, serve};

/// Matrix product: (SIDE, SIDE) times (SIDE, SIDE).
pub const SIDE: usize = 1024;
/// Layer norm and softmax: (ROWS, COLUMNS), along the last axis.
pub const ROWS: usize = 4096;
pub const COLUMNS: usize = 512;
pub const EPSILON: f64 = 1e-5;
/// The perceptron: INPUTS - HIDDEN - CLASSES with ReLU, cross-entropy, plain SGD.
pub const BATCH: usize = 128;
pub const INPUTS: usize = 64;
pub const HIDDEN: usize = 128;
pub const CLASSES: usize = 10;
pub const RATE: f64 = 0.1;
/// Training steps in one sample: recorded or queued one after the other, waited for once.
pub const STEPS: usize = 16;

/// The work of one sample of a row, and the rate that its time is expressed as.
#[derive(Clone, Copy)]
pub enum Measure {
    /// Floating-point operations of one sample: GFLOP/s.
    Flops(f64),
    /// Bytes that must be read and written at least: GB/s.
    Bytes(f64),
    /// Training steps in one sample: milliseconds for each.
    Steps(usize),
}

/// One row of the table.
pub struct Row {
    pub name: &'static str,
    pub measure: Measure,
    /// The largest difference allowed between the results of the two libraries, as a share of the largest value.
    pub agreement: f32,
}

/// The rows, in the order in which each library lists its jobs.
pub const TABLE: [Row; 4] = [
    Row { name: "matrix product 1024^3", measure: Measure::Flops(2.0 * (SIDE * SIDE * SIDE) as f64), agreement: 1e-4 },
    Row { name: "layer norm 4096x512", measure: Measure::Bytes(2.0 * 4.0 * (ROWS * COLUMNS) as f64), agreement: 1e-4 },
    Row { name: "softmax 4096x512", measure: Measure::Bytes(2.0 * 4.0 * (ROWS * COLUMNS) as f64), agreement: 1e-4 },
    Row { name: "SGD step 64-128-10, batch 128", measure: Measure::Steps(STEPS), agreement: 1e-3 },
];

/// A job that is set up: its buffers are filled, and it can be run again and again.
pub trait Job {
    /// Runs the work once and waits until it is done.
    fn run(&mut self);
    /// The result of the last run, read back: the output, or the loss of the last training step.
    fn result(&mut self) -> Vec<f32>;
}

/// Numbers in [-1, 1) from a 64-bit linear congruential generator: the same for both libraries, whatever their own.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The starting point and the one batch of the training step.
pub struct Training {
    /// (INPUTS, HIDDEN)
    pub hidden_weight: Vec<f32>,
    /// (HIDDEN)
    pub hidden_bias: Vec<f32>,
    /// (HIDDEN, CLASSES)
    pub output_weight: Vec<f32>,
    /// (CLASSES)
    pub output_bias: Vec<f32>,
    /// (BATCH, INPUTS)
    pub input: Vec<f32>,
    /// (BATCH)
    pub labels: Vec<u32>,
}

impl Default for Training {
    fn default() -> Self {
        Self::new()
    }
}

impl Training {
    pub fn new() -> Self {
        let scaled = |seed, inputs: usize, count| {
            let bound = 1.0 / (inputs as f32).sqrt();
            numbers(seed, count).into_iter().map(|value| value * bound).collect()
        };
        Self {
            hidden_weight: scaled(1, INPUTS, INPUTS * HIDDEN),
            hidden_bias: scaled(2, INPUTS, HIDDEN),
            output_weight: scaled(3, HIDDEN, HIDDEN * CLASSES),
            output_bias: scaled(4, HIDDEN, CLASSES),
            input: numbers(5, BATCH * INPUTS),
            labels: (0..BATCH).map(|row| (row % CLASSES) as u32).collect(),
        }
    }
}

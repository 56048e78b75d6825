//! Random graphs as data, which can be shrunk: leaves, and steps that choose among the tensors before them.

use std::fmt;

use fourfold::graph::{Graph, Tensor, TensorType, Values, gradients};
use fourfold::shaders::Data;

use super::operations::{Apply, OPERATIONS, WRONG};

/// Random numbers: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn choose<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// A number from -1 to 1.
    pub fn signed(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// A graph that can be built.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Shapes of the inputs that the graph is differentiated by.
    pub leaves: Vec<Vec<usize>>,
    pub steps: Vec<Step>,
    /// How often gradients are taken: 0, 1 or 2 times.
    pub order: usize,
    /// Of the values of all inputs.
    pub seed: u64,
}

impl Step {
    /// The wrong operation.
    pub const WRONG: usize = usize::MAX;

    fn operation(&self) -> (&'static str, Apply) {
        OPERATIONS.get(self.operation).copied().unwrap_or(WRONG)
    }
}

/// An operation with all its choices.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The place in [`OPERATIONS`], or [`Step::WRONG`].
    pub operation: usize,
    /// Of the tensors it takes and its options.
    pub seed: u64,
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> =
            self.steps.iter().map(|step| format!("{}({:#x})", step.operation().0, step.seed)).collect();
        let (leaves, order, seed) = (&self.leaves, self.order, self.seed);
        write!(formatter, "leaves {leaves:?}, steps {}, gradients {order}, values {seed:#x}", steps.join(", "))
    }
}

impl Program {
    /// The random program of a number.
    pub fn random(seed: u64) -> Self {
        let mut random = Random(seed ^ 0x5851_f42d_4c95_7f2d);
        random.next();
        // One in thirty is wider than a row of workgroups, and shorter for that.
        let wide = random.below(30) == 0;
        let leaf = |random: &mut Random| -> Vec<usize> {
            if wide {
                return random.choose(&[&[70_000_usize][..], &[66_000, 2], &[1, 65_537], &[2, 1, 65_536]]).to_vec();
            }
            (0..random.below(5)).map(|_| random.choose(&[1, 1, 2, 3, 4, 5, 7, 8, 17, 33])).collect()
        };
        let leaves = (0..1 + random.below(3)).map(|_| leaf(&mut random)).collect();
        let steps = (0..1 + random.below(if wide { 3 } else { 7 }))
            .map(|_| Step { operation: random.below(OPERATIONS.len()), seed: random.next() })
            .collect();
        let order = if wide { random.below(2) } else { random.below(3) };
        Self { leaves, steps, order, seed: random.next() }
    }

    /// Builds the graph.
    pub fn build<'g>(&self, graph: &'g Graph) -> Built<'g> {
        let mut builder = Builder {
            graph,
            tensors: Vec::new(),
            trained: Vec::new(),
            values: Values::new(),
            random: Random(self.seed),
        };
        for shape in &self.leaves {
            let leaf = builder.leaf(shape);
            builder.tensors.push(leaf);
        }
        for step in &self.steps {
            let (_, apply) = step.operation();
            builder.random = Random(step.seed);
            let mut result = apply(&mut builder);
            if result.elements() > LARGEST {
                // Outer products of wide tensors would take minutes.
                result = result.reshape([result.elements()]).narrow(0, 0, LARGEST);
            }
            builder.tensors.push(result);
        }
        builder.finish(self.order)
    }
}

/// No tensor of a graph is larger.
const LARGEST: usize = 140_000;

/// The outputs of a graph, in order, and the values of its inputs.
pub struct Built<'g> {
    /// Each with the size of the terms that it is a sum of: where these cancel, the sum may be far smaller.
    pub outputs: Vec<(Tensor<'g>, f64)>,
    pub values: Values,
}

/// A graph in the making.
pub struct Builder<'g> {
    pub graph: &'g Graph,
    /// All `f32` results so far.
    pub tensors: Vec<Tensor<'g>>,
    /// Inputs that the graph is differentiated by.
    trained: Vec<Tensor<'g>>,
    values: Values,
    /// The choices of the step that is built.
    pub random: Random,
}

impl<'g> Builder<'g> {
    fn input(&mut self, kind: TensorType, data: Data) -> Tensor<'g> {
        let name = format!("input{}", self.values.len());
        let tensor = self.graph.input(&name, kind);
        self.values.insert(name, data);
        tensor
    }

    /// An input of random values from -2 to 2 that the graph is differentiated by.
    pub fn leaf(&mut self, shape: &[usize]) -> Tensor<'g> {
        let values = (0..elements(shape)).map(|_| 2.0 * self.random.signed() as f32).collect();
        let leaf = self.input(TensorType::f32(shape), Data::F32(values));
        self.trained.push(leaf);
        leaf
    }

    /// The same whose values lie far from 0 and from each other: where slopes jump, roundings must not cross.
    pub fn apart(&mut self, shape: &[usize]) -> Tensor<'g> {
        let count = elements(shape);
        let turn = self.random.below(count.max(1));
        // An odd stride visits each of a power of two places once.
        let places = count.next_power_of_two().max(2);
        let place = |index: usize| ((index + turn) * 0x9e37_79b1) % places;
        let step = 4.0 / places as f32;
        let values = (0..count).map(|index| (place(index) as f32 + 0.5) * step - 2.0).collect();
        let leaf = self.input(TensorType::f32(shape), Data::F32(values));
        self.trained.push(leaf);
        leaf
    }

    /// An input of whole numbers below `end`.
    pub fn whole(&mut self, shape: &[usize], end: usize) -> Tensor<'g> {
        let values = (0..elements(shape)).map(|_| self.random.below(end) as u32).collect();
        self.input(TensorType::u32(shape), Data::U32(values))
    }

    /// An input of zeros and ones.
    pub fn mask(&mut self, shape: &[usize]) -> Tensor<'g> {
        let values = (0..elements(shape)).map(|_| (self.random.below(3) > 0) as u8 as f32).collect();
        self.input(TensorType::f32(shape), Data::F32(values))
    }

    /// The seed of an operation that draws.
    pub fn seed(&mut self) -> Tensor<'g> {
        let values = vec![self.random.next() as u32, self.random.next() as u32];
        self.input(TensorType::u32([2]), Data::U32(values))
    }

    /// A tensor made before; recent ones more often.
    pub fn pick(&mut self) -> Tensor<'g> {
        let count = self.tensors.len();
        let first = if self.random.below(2) == 0 { count.saturating_sub(2) } else { 0 };
        self.tensors[first + self.random.below(count - first)]
    }

    /// A tensor made before, cut, repeated or padded to this shape.
    pub fn of_shape(&mut self, shape: &[usize]) -> Tensor<'g> {
        let (tensor, count) = (self.pick(), elements(shape));
        let flat = tensor.reshape([tensor.elements()]);
        let fitted = match flat.elements() {
            length if length >= count => flat.narrow(0, length - count, count),
            length if self.random.below(2) == 0 => flat.pad(&[self.random.below(count - length + 1)], [count]),
            length => flat
                .broadcast_to([count.div_ceil(length), length])
                .reshape([count.div_ceil(length) * length])
                .narrow(0, 0, count),
        };
        fitted.reshape(shape)
    }

    /// A tensor with rows: its shape, or two axes of few elements.
    pub fn rows(&mut self) -> Tensor<'g> {
        let tensor = self.pick();
        match tensor.shape().rank() {
            0 | 1 => {
                let [rows, columns] = [1 + self.random.below(5), 1 + self.random.below(9)];
                self.of_shape(&[rows, columns])
            }
            _ => tensor.reshape([
                tensor.elements() / tensor.shape().last().expect("an axis"),
                *tensor.shape().last().expect("an axis"),
            ]),
        }
    }

    /// Weighs the last tensors into a loss, differentiates it as often as asked, and collects what is compared.
    fn finish(mut self, order: usize) -> Built<'g> {
        let last: Vec<Tensor<'g>> = self.tensors.iter().rev().take(2).copied().collect();
        let mut size = 1.0;
        let mut outputs: Vec<_> = last.iter().map(|tensor| (*tensor, size)).collect();
        let mut weighed = last;
        for _ in 0..order {
            // Values and slopes are of a few units, and a mean divides them.
            size /= weighed.iter().map(|tensor| tensor.elements()).min().unwrap_or(1) as f64;
            let mut loss = self.graph.constant(0.0);
            for tensor in weighed {
                self.random = Random(tensor.elements() as u64);
                let values = (0..tensor.elements()).map(|_| self.random.signed() as f32).collect();
                let weights = self.input(TensorType::f32(tensor.shape()), Data::F32(values));
                // The mean: what flows back is of the size of the values.
                loss = loss + (tensor * weights).mean_all();
            }
            weighed = gradients(loss, &self.trained);
            outputs.extend(weighed.iter().map(|tensor| (*tensor, size)));
        }
        Built { outputs, values: self.values }
    }
}

fn elements(shape: &[usize]) -> usize {
    shape.iter().product()
}

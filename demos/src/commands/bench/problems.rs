//! The measured problems: every operation at sizes of practice, and every kernel that those do not reach at the largest of
//! the cases that it generates for its own verification.

use std::collections::BTreeSet;

use fourfold::shaders::elementwise::{Binary, Compare, Unary};
use fourfold::shaders::random::threefry::{Distribution, Random};
use fourfold::shaders::{self, Access, Activation, Data, Element, Error, Generator, Sequence, Slot, Target, kernels};

/// One operation at one size, with operands to run it on.
pub struct Problem {
    pub operation: String,
    pub size: String,
    pub sequence: Sequence,
    /// The caller's operands where a kernel has drawn them; others are [filled](Self::operands).
    drawn: Option<Vec<Data>>,
    /// Integers are below this.
    bound: u32,
    /// Floating-point operations, a multiply-add counted as two.
    pub flops: f64,
    /// Bytes of the caller's operands that must be read and written at least: scratch buffers are not counted.
    pub bytes: f64,
    /// An operation that people know by name, rather than a variant or one of many alike: these are plotted.
    pub known: bool,
}

impl Problem {
    /// Numbers between 0.5 and 1.5, which suit every kernel, and integers below `bound`.
    pub fn new(operation: &str, size: impl Into<String>, sequence: Result<Sequence, Error>, bound: u32) -> Self {
        let sequence = sequence.expect("a kernel takes every size of practice");
        Self { known: true, bound, ..Self::of(operation.to_owned(), size.into(), sequence) }
    }

    fn of(operation: String, size: String, sequence: Sequence) -> Self {
        let flops = sequence.steps.iter().map(|step| step.call.flops()).sum();
        let bytes = arguments(&sequence).iter().map(Argument::bytes).sum();
        Self { operation, size, sequence, drawn: None, bound: 1, flops, bytes, known: false }
    }

    /// Returns the caller's operands, in order.
    pub fn operands(&self) -> Vec<Data> {
        let mut random = Random::new(0, 0);
        let filled = |argument: &Argument| argument.filled(&mut random, self.bound);
        self.drawn.clone().unwrap_or_else(|| arguments(&self.sequence).iter().map(filled).collect())
    }

    /// The kernels that it runs, each named once.
    pub fn kernels(&self) -> BTreeSet<&str> {
        self.sequence.steps.iter().map(|step| step.call.kernel.name.as_ref()).collect()
    }

    /// True if the operation or a kernel of it has this name or begins with it.
    pub fn matches(&self, name: &str) -> bool {
        self.operation.starts_with(name) || self.kernels().iter().any(|kernel| kernel.starts_with(name))
    }
}

/// One of the caller's operands, as the steps use it.
#[derive(Clone, Copy)]
struct Argument {
    element: Element,
    length: usize,
    read: bool,
    written: bool,
}

impl Argument {
    fn filled(&self, random: &mut Random, bound: u32) -> Data {
        let count = 0..self.length;
        match self.element {
            Element::F32 => Data::F32(count.map(|_| random.uniform() + 0.5).collect()),
            Element::U32 => Data::U32(count.map(|_| random.below(bound)).collect()),
        }
    }

    fn bytes(&self) -> f64 {
        let passes = u8::from(self.read) + u8::from(self.written);
        f64::from(passes) * (self.length * Element::BYTES) as f64
    }
}

/// The arguments of a sequence in order.
fn arguments(sequence: &Sequence) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for step in &sequence.steps {
        let bindings = step.call.kernel.bindings.iter().zip(&step.call.lengths);
        for (slot, (binding, &length)) in step.operands.iter().zip(bindings) {
            let Slot::Argument(index) = *slot else { continue };
            let unused = Argument { element: binding.element, length: 0, read: false, written: false };
            arguments.resize(arguments.len().max(index + 1), unused);
            let argument = &mut arguments[index];
            argument.element = binding.element;
            argument.length = argument.length.max(length);
            // A later step that reads what an earlier one wrote may find it in a cache.
            argument.read |= binding.access != Access::Write && !argument.written;
            argument.written |= binding.access.writes();
        }
    }
    arguments
}

/// All problems for a target, those of `--kernel` alone where one is named.
pub fn problems(target: &Target, quick: bool, asked: Option<&str>) -> Vec<Problem> {
    let mut problems = of_practice(target, quick);
    let reached: BTreeSet<String> = problems.iter().flat_map(Problem::kernels).map(str::to_owned).collect();
    let others = kernels().into_iter().filter(|kernel| {
        let usable = kernel.lacks_subgroups(target.subgroups).is_none();
        usable && !reached.contains(&*kernel.name) && asked.is_none_or(|asked| kernel.name.starts_with(asked))
    });
    problems.extend(others.map(|kernel| {
        let cases = (0..if quick { 8 } else { 32 }).map(|seed| kernel.case.draw(&mut Generator::new(seed, 99)));
        let largest = cases.max_by_key(|case| case.call.bytes()).expect("there are cases");
        let size = format!("{} elements", largest.operands.iter().map(Data::len).max().unwrap_or(0));
        let drawn = Some(largest.operands);
        Problem { drawn, ..Problem::of(kernel.name.to_string(), size, largest.call.into()) }
    }));
    problems.retain(|problem| asked.is_none_or(|asked| problem.matches(asked)));
    problems
}

fn of_practice(target: &Target, quick: bool) -> Vec<Problem> {
    // Ragged sizes, for the variants that vectors of four do not fit.
    let (tables, lengths, counts) = if quick {
        (&[(256, 512)][..], &[64][..], &[1 << 16][..])
    } else {
        (&[(1023, 511), (256, 512), (4096, 512)][..], &[63, 64, 256][..], &[(1 << 20) - 1, 1 << 16, 1 << 20][..])
    };
    let mut problems = matrix_products(target, quick);
    problems.extend(tables.iter().flat_map(|&(rows, columns)| over_rows(target, rows, columns)));
    problems.extend(lengths.iter().flat_map(|&length| attention(target, length)));
    problems.extend(counts.iter().flat_map(|&count| over_elements(target, count)));
    problems.extend(images(target, if quick { 4 } else { 32 }));
    problems.extend(evolution(target, 256, 913));
    if !quick {
        // A hundredth of a second on a GPU is several seconds on a software driver.
        problems.extend(evolution(target, 10_000, if target.software { 5_000 } else { 100_000 }));
    }
    problems.extend(elementwise(if quick { 1 << 16 } else { 1 << 20 }));
    problems
}

fn matrix_products(target: &Target, quick: bool) -> Vec<Problem> {
    use shaders::matmul::Problem as Product;

    let mut sizes = vec![256, 512];
    if !quick {
        sizes.push(1024);
    }
    if !quick && !target.software {
        sizes.push(4096);
    }
    let square = |size: usize| (format!("{size} x {size} x {size}"), Product::new(size, size, size));
    let mut products: Vec<(&str, String, Product)> =
        sizes.into_iter().map(square).map(|(size, product)| ("matmul", size, product)).collect();
    let (size, product) = square(512);
    products.push(("matmul, a transposed", size.clone(), product.transposed(true, false)));
    products.push(("matmul, b transposed", size, product.transposed(false, true)));
    products.push(("matmul, batched", "64 of 64 x 64 x 64".into(), Product::new(64, 64, 64).batched(64)));
    products.push(("matmul, vector", "1 x 2048 x 2048".into(), Product::new(1, 2048, 2048)));
    products.push(("matmul, long sum", "64 x 64 x 16384".into(), Product::new(64, 64, 16384)));
    let layer = Product::new(128, 128, 64).with_epilogue(true, Activation::Relu);
    products.push(("matmul, bias and relu", "128 x 128 x 64".into(), layer));
    products.into_iter().map(|(name, size, product)| Problem::new(name, size, product.sequence(target), 1)).collect()
}

/// Operations on `(rows, columns)`.
fn over_rows(target: &Target, rows: usize, columns: usize) -> Vec<Problem> {
    use shaders::reduction::reduce::Reduction;
    use shaders::*;

    let bound = columns.min(rows) as u32;
    let size = format!("{rows} x {columns}");
    let one = |name: &str, sequence: Result<Sequence, Error>| Problem::new(name, &*size, sequence, bound);
    let reduction = |outer, axis, inner| reduction::reduce::Problem { reduction: Reduction::Sum, outer, axis, inner };
    let bias = elementwise::binary(Binary::Add, &[rows, columns], &[columns]);
    vec![
        one("softmax", normalisation::softmax::Problem { rows, columns, log: false }.sequence(target)),
        one("log-softmax", normalisation::softmax::Problem { rows, columns, log: true }.sequence(target)),
        one(
            "softmax, gradient",
            normalisation::softmax_backward::Problem { rows, columns, log: false, factor: 1.0 }.sequence(target),
        ),
        one("cross-entropy", loss::cross_entropy::Problem { rows, classes: columns, smoothing: 0.1 }.sequence(target)),
        one("mean squared error", loss::mean_squared_error::Problem { rows, columns }.sequence(target)),
        one("layer norm", normalisation::layer_norm::Problem { rows, columns, epsilon: 1e-5 }.sequence(target)),
        one("layer norm, gradient", normalisation::layer_norm_backward::Problem { rows, columns }.sequence(target)),
        one(
            "layer norm, scale and shift",
            normalisation::layer_norm_parameters::Problem { rows, columns }.sequence(target),
        ),
        one("sum of rows", reduction(rows, columns, 1).sequence(target)),
        one("sum of columns", reduction(1, rows, columns).sequence(target)),
        one("sum of all", reduction(1, rows * columns, 1).sequence(target)),
        one("argmax", reduction::argmax::Problem { outer: rows, axis: columns, inner: 1 }.sequence(target)),
        one("gather", layout::gather::Problem { rows, columns, count: rows }.sequence(target)),
        one("scatter-add", layout::scatter_add::Problem { rows, columns, count: rows }.sequence(target)),
        one(
            "permute",
            layout::copy::Problem::permute(Element::F32, &[rows, columns], &[1, 0])
                .and_then(|copy| copy.sequence(target)),
        ),
        one("broadcast add", bias),
        one(
            "pad",
            layout::pad::Problem {
                element: Element::F32,
                shape: vec![rows, columns],
                padding: vec![[1, 1], [4, 4]],
                word: 0f32.to_bits(),
            }
            .sequence(target),
        ),
    ]
}

/// Attention of 4 sequences with 8 heads of 64.
fn attention(target: &Target, length: usize) -> Vec<Problem> {
    use shaders::attention;

    let (batch, heads, head_size) = (4, 8, 64);
    let (length_q, length_k, factor) = (length, length, 0.125);
    let size = format!("4 x 8 x {length} x 64");
    let fused = attention::Problem { batch, heads, length_q, length_k, head_size, factor, causal: true, keys: false };
    let causal = Some(attention::masked_softmax::Causal::aligned(length, length));
    let scores = attention::masked_softmax::Problem { batch, heads, length_q, length_k, factor, causal, keys: false };
    let scores_size = format!("4 x 8 x {length} x {length}");
    vec![
        Problem::new("attention", &*size, fused.sequence(target), 1),
        Problem::new("attention, gradient", size, attention::attention_backward::sequence(&fused, target), 1),
        Problem::new("masked softmax", scores_size, scores.sequence(target), 1),
    ]
}

/// Operations on `count` elements, optimisers among them.
fn over_elements(target: &Target, count: usize) -> Vec<Problem> {
    use shaders::optimiser::sam_ascent::Norm;
    use shaders::*;

    let size = count.to_string();
    let one = |name: &str, sequence: Result<Sequence, Error>| Problem::new(name, &*size, sequence, 1);
    let threefry = |distribution| random::threefry::Problem { distribution, count, stream: 0 }.sequence(target);
    let ascent = |norm| optimiser::sam_ascent::Problem { count, norm, adaptive: 0, eta: 0.01 }.sequence(target);
    let sgd = optimiser::sgd::Problem { count, momentum: 0.9, nesterov: false, weight_decay: 1e-4, decayed: count };
    let adamw = optimiser::adamw::Problem {
        count,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
        decayed: count,
    };
    vec![
        one("add", elementwise::binary(Binary::Add, &[count], &[count])),
        one("gelu", elementwise::unary(Unary::GeluTanh, count)),
        one("random words", threefry(Distribution::Bits)),
        one("uniform deviates", threefry(Distribution::Uniform)),
        one("normal deviates", threefry(Distribution::Normal)),
        one("dropout", random::dropout::Problem { count, probability: 0.1, stream: 0 }.sequence(target)),
        Problem::new(
            "global norm",
            &*size,
            reduction::global_norm::Problem { lengths: vec![count] }.sequence(target),
            1,
        ),
        one("clip", optimiser::clip::Problem { count, max_norm: 1.0 }.sequence(target)),
        one("sgd", sgd.sequence(target)),
        one("adamw", adamw.sequence(target)),
        one("sam ascent, p = 2", ascent(Norm::L2)),
        one("sam ascent, p = infinity", ascent(Norm::LInfinity)),
    ]
}

/// Layers of convolutional networks on a batch of images.
fn images(target: &Target, images: usize) -> Vec<Problem> {
    use shaders::convolution::{self, Geometry, Map};
    use shaders::normalisation::{batch_norm, batch_norm_backward};
    use shaders::pooling::{average_pool, max_pool};
    use shaders::random::augment;

    let mut problems = Vec::new();
    let layers = [
        ("3 x 3", 28, [32, 32], 3, 1, 1),
        ("3 x 3", 8, [128, 128], 3, 1, 1),
        ("8 x 8, stride 4", 84, [4, 32], 8, 4, 0),
    ];
    for (kernel, side, [channels, outputs], taps, stride, padding) in layers {
        let geometry = Geometry::square([images, side, side, channels], outputs, taps, stride, padding);
        let size = format!("{images} x {side} x {side} x {channels} to {outputs}, {kernel}");
        let plain = Map::Output { bias: false, activation: Activation::None };
        for (name, map) in [
            ("convolution", plain),
            ("convolution, input gradient", Map::InputGradient),
            ("convolution, weight gradient", Map::WeightGradient),
        ] {
            problems.push(Problem::new(name, &*size, convolution::Problem::new(geometry, map).sequence(target), 1));
        }
    }
    let (rows, columns) = (images * 28 * 28, 32);
    let size = format!("{rows} x {columns}");
    let norm = batch_norm::Problem { rows, columns, epsilon: 1e-5, rectified: true };
    problems.push(Problem::new("batch norm", &*size, norm.sequence(target), 1));
    let gradient = batch_norm_backward::Problem { rows, columns, rectified: true };
    problems.push(Problem::new("batch norm, gradient", size, gradient.sequence(target), 1));
    let geometry = Geometry::square([images, 28, 28, 32], 32, 2, 2, 0).grouped(32);
    let size = format!("{images} x 28 x 28 x 32, 2 x 2");
    let max = |map| max_pool::Problem { geometry, map }.sequence(target);
    problems.push(Problem::new("max pool", &*size, max(max_pool::Map::Output), 1));
    problems.push(Problem::new("max pool, gradient", &*size, max(max_pool::Map::InputGradient), 784));
    let average = |map| average_pool::Problem { geometry, map }.sequence(target);
    problems.push(Problem::new("average pool", &*size, average(average_pool::Map::Output), 1));
    problems.push(Problem::new("average pool, gradient", size, average(average_pool::Map::InputGradient), 1));
    let options = augment::Options { crop: 4, mirror: true, hole: 16, hole_of_batch: true };
    for (name, border) in [("reflected", augment::Border::Reflected), ("black", augment::Border::Black)] {
        let (rows, columns, channels, stream) = (32, 32, 3, 0);
        let problem = augment::Problem { images, rows, columns, channels, border, options, stream };
        let size = format!("{images} x 32 x 32 x 3, border {name}");
        problems.push(Problem::new("augmentation", size, problem.sequence(target), 1));
    }
    problems
}

/// The kernels of a generation of evolution strategies beside its episodes.
fn evolution(target: &Target, members: usize, parameters: usize) -> Vec<Problem> {
    use shaders::*;

    let (directions, episodes) = (members / 2, 16);
    let fitness = evolution::fitness::Problem { members, episodes };
    let ranks = evolution::centred_ranks::Problem { members };
    let strategies =
        evolution::evolution_gradient::Problem { parameters, directions, stream: 0, sigma: 0.1, factor: -1.0 };
    let pgpe = evolution::pgpe_gradient::Problem { parameters, directions, stream: 0, factor: -1.0 };
    let deviation = evolution::pgpe_deviation::Problem { count: parameters, fraction: 0.2, floor: 1e-3 };
    let of_population = format!("{members} members, {episodes} episodes");
    let of_gradient = format!("{members} members, {parameters} parameters");
    vec![
        Problem::new("fitness", &*of_population, fitness.sequence(target), 1),
        Problem::new("fitness, summary", of_population, fitness.summary(target), 1000),
        Problem::new("centred ranks", format!("{members} members"), ranks.sequence(target), 1),
        Problem::new("gradient of OpenAI-ES", &*of_gradient, strategies.sequence(target), 1),
        Problem::new("gradients of PGPE", of_gradient, pgpe.sequence(target), 1),
        Problem::new("deviation of PGPE", parameters.to_string(), deviation.sequence(target), 1),
    ]
}

/// Every elementwise operation by itself.
fn elementwise(count: usize) -> Vec<Problem> {
    use shaders::elementwise::{binary, compare, unary};

    let shape = [count];
    let unary = Unary::ALL.into_iter().map(|operation| (operation.name(), unary(operation, count)));
    let binary = Binary::ALL.into_iter().map(|operation| (operation.name(), binary(operation, &shape, &shape)));
    let compare = Compare::ALL.into_iter().map(|operation| (operation.name(), compare(operation, &shape, &shape)));
    let named = unary.chain(binary).chain(compare);
    named
        .map(|(name, sequence)| Problem {
            known: false,
            ..Problem::new(&format!("elementwise {name}"), count.to_string(), sequence, 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_measured() {
        let problems = problems(&Target::default(), true, None);
        let measured: BTreeSet<&str> = problems.iter().flat_map(Problem::kernels).collect();
        for kernel in kernels().iter().filter(|kernel| kernel.subgroup_sizes.is_none()) {
            // A generated kernel of the list runs under the name of the program that its case draws.
            let listed = problems.iter().any(|problem| problem.operation == *kernel.name);
            assert!(listed || measured.contains(&*kernel.name), "{}", kernel.name);
        }
    }

    #[test]
    fn operands_have_the_lengths_that_the_calls_need() {
        for problem in problems(&Target::default(), true, None) {
            let operands = problem.operands();
            for step in &problem.sequence.steps {
                for (slot, &length) in step.operands.iter().zip(&step.call.lengths) {
                    if let Slot::Argument(index) = *slot {
                        assert!(operands[index].len() >= length, "{}", problem.operation);
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_chooses_an_operation_or_a_kernel() {
        let target = Target::default();
        assert!(problems(&target, true, Some("softmax")).len() >= 2);
        assert_eq!(problems(&target, true, Some("layer norm, gradient")).len(), 1);
        assert!(problems(&target, true, Some("no such")).is_empty());
    }

    #[test]
    fn a_matrix_product_counts_its_operations_and_each_operand_once() {
        let problems = problems(&Target::default(), true, Some("matmul"));
        let square = problems.iter().find(|problem| problem.size == "256 x 256 x 256").unwrap();
        assert_eq!(square.flops, 2.0 * 256f64.powi(3));
        assert_eq!(square.bytes, 3.0 * 4.0 * 256f64.powi(2));
    }
}

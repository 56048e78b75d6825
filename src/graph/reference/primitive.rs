//! The primitive operations on f64 slices, as plainly as possible.

use fourfold_shaders::elementwise::{Binary, Unary};
use fourfold_shaders::{Element, random::dropout, random::threefry, trajectories::windows};

use crate::graph::{Node, Op, Shape, TensorType};

/// True if an operation computes real numbers, which a device rounds, and copies, chooses or compares none.
pub fn rounds(node: &Node) -> bool {
    let real = node.outputs.iter().all(|output| output.element == Element::F32);
    let exact = [Unary::Neg, Unary::Abs, Unary::Sign, Unary::Step, Unary::Relu, Unary::Floor];
    real && match &node.op {
        Op::Unary(function) => !exact.contains(function),
        Op::Binary(function) => !matches!(function, Binary::Min | Binary::Max),
        Op::Sum { .. } | Op::Norm | Op::MatMul { .. } | Op::ScatterAdd { .. } => true,
        _ => false,
    }
}

/// The outputs of a primitive operation; `None` if the operation is not primitive.
pub fn evaluate(node: &Node, inputs: &[&[f64]], kinds: &[TensorType]) -> Option<Vec<Vec<f64>>> {
    let shape = &node.outputs.first()?.shape;
    let stretched = |input: usize| stretch(inputs[input], &kinds[input].shape, shape);
    Some(vec![match &node.op {
        Op::Constant(number) => vec![f64::from(*number)],
        Op::Unary(function) => inputs[0].iter().map(|&x| function.evaluate(x)).collect(),
        Op::Binary(function) if kinds[0].element == Element::U32 => {
            let pairs = stretched(0).into_iter().zip(stretched(1));
            pairs.map(|(a, b)| f64::from(function.evaluate_u32(a as u32, b as u32))).collect()
        }
        Op::Binary(function) => {
            stretched(0).into_iter().zip(stretched(1)).map(|(a, b)| function.evaluate(a, b)).collect()
        }
        Op::Compare(comparison) => {
            let pairs = stretched(0).into_iter().zip(stretched(1));
            pairs.map(|(a, b)| f64::from(u8::from(comparison.holds(a, b)))).collect()
        }
        Op::Select => {
            let choices = stretched(1).into_iter().zip(stretched(2));
            stretched(0).into_iter().zip(choices).map(|(c, (a, b))| if c != 0.0 { a } else { b }).collect()
        }
        // The conversion truncates and clamps; NaN becomes 0.
        Op::Cast(Element::U32) => inputs[0].iter().map(|&x| f64::from(x as u32)).collect(),
        Op::Cast(Element::F32) | Op::Reshape | Op::StopGradient => inputs[0].to_vec(),
        Op::Broadcast => stretched(0),
        Op::Permute { axes } => {
            let strides = kinds[0].shape.strides();
            let strides: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
            read(inputs[0], shape, &strides, 0)
        }
        Op::Slice { starts } => {
            let strides = kinds[0].shape.strides();
            read(inputs[0], shape, &strides, position(starts, &strides))
        }
        Op::Pad { starts } => {
            let mut padded = vec![0.0; shape.elements()];
            let strides = shape.strides();
            let from = position(starts, &strides);
            for (place, &value) in places(&kinds[0].shape, &strides).into_iter().zip(inputs[0]) {
                padded[from + place] = value;
            }
            padded
        }
        Op::Concatenate { axis } => concatenate(inputs, kinds, *axis),
        Op::View { offset } => inputs[0][*offset..offset + shape.elements()].to_vec(),
        Op::Pack { offsets } => {
            let mut packed = vec![0.0; shape.elements()];
            for (&offset, part) in offsets.iter().zip(inputs) {
                packed[offset..offset + part.len()].copy_from_slice(part);
            }
            packed
        }
        Op::Sum { axis } => reduce(inputs[0], &kinds[0].shape, *axis, |lane| lane.iter().sum()),
        Op::Max { axis } => {
            let largest = |a: f64, b: f64| Binary::Max.evaluate(a, b);
            reduce(inputs[0], &kinds[0].shape, *axis, |lane| lane.iter().copied().fold(f64::NEG_INFINITY, largest))
        }
        Op::ArgMax { axis } => reduce(inputs[0], &kinds[0].shape, *axis, |lane| {
            let largest = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // A NaN is the largest of all.
            let place = lane.iter().position(|x| x.is_nan()).or(lane.iter().position(|&x| x == largest));
            place.unwrap_or(0) as f64
        }),
        Op::Norm => vec![inputs[0].iter().map(|x| x * x).sum::<f64>().sqrt()],
        Op::MatMul { transpose_a, transpose_b } => {
            matmul((inputs[0], *transpose_a), (inputs[1], *transpose_b), [&kinds[0].shape, &kinds[1].shape], shape)
        }
        // Indices past the table give zeros and are left out.
        Op::Gather => {
            let columns = kinds[0].shape[1];
            let row = |&index: &f64| {
                let row = inputs[0].chunks(columns).nth(index as usize);
                row.map_or(vec![0.0; columns], <[f64]>::to_vec)
            };
            inputs[1].iter().flat_map(row).collect()
        }
        Op::ScatterAdd { .. } => {
            let columns = shape[1];
            let mut table = vec![0.0; shape.elements()];
            for (values, &index) in inputs[0].chunks(columns).zip(inputs[1]) {
                if let Some(row) = table.chunks_mut(columns).nth(index as usize) {
                    row.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
            }
            table
        }
        Op::Uniform { stream } => {
            let seed = seed(inputs[0]);
            elements(shape).map(|element| threefry::uniform_of(threefry::word(seed, *stream, element)).into()).collect()
        }
        Op::Normal { stream } => {
            let mut deviates = vec![0.0; shape.elements()];
            let uniform = threefry::Uniform { count: shape.elements() as u32, stream: *stream };
            threefry::normal(&uniform, &seed(inputs[0]), &mut deviates);
            deviates.into_iter().map(f64::from).collect()
        }
        Op::Windows { .. } => return windows(&node.op, &node.outputs, inputs),
        Op::Dropout { stream, rate } => {
            let problem = dropout::Problem { count: shape.elements(), probability: *rate, stream: *stream };
            let mask = problem.uniform();
            let seed = seed(inputs[1]);
            let kept = |element| threefry::word(seed, *stream, element) >= mask.threshold;
            let scale = f64::from(mask.scale);
            elements(shape).zip(inputs[0]).map(|(e, x)| if kept(e) { x * scale } else { x * 0.0 }).collect()
        }
        // Leaves, which the caller looks up, and effects, which have no values.
        Op::Poison | Op::Input { .. } | Op::State { .. } => return None,
        Op::Assign | Op::Sgd { .. } | Op::AdamW { .. } | Op::Advance | Op::Record => return None,
        // Computed by way of its definition.
        Op::Fused(_) => return None,
    }])
}

/// Whole numbers, of which the twin of the kernel is the definition.
fn windows(op: &Op, outputs: &[TensorType], inputs: &[&[f64]]) -> Option<Vec<Vec<f64>>> {
    let (&Op::Windows { stream, context, restart, largest }, &[seed, starts, episodes, firsts]) = (op, inputs) else {
        return None;
    };
    let count = outputs[0].elements();
    let words = |values: &[f64]| values.iter().map(|&value| value as u32).collect::<Vec<_>>();
    let uniform = windows::Uniform {
        batch: (count / context) as u32,
        context: context as u32,
        count: starts.len() as u32,
        steps: episodes.len() as u32,
        stream,
        restart: restart.into(),
        largest,
    };
    let (mut rows, mut times, mut mask) = (vec![0; count], vec![0; count], vec![0.0; count]);
    let [seed, starts, episodes, firsts] = [seed, starts, episodes, firsts].map(words);
    windows::windows(&uniform, &seed, &starts, &episodes, &firsts, &mut rows, &mut times, &mut mask);
    let whole = |values: Vec<u32>| values.into_iter().map(f64::from).collect();
    Some(vec![whole(rows), whole(times), mask.into_iter().map(f64::from).collect()])
}

/// The two words of a seed.
fn seed(words: &[f64]) -> [u32; 2] {
    [words[0] as u32, words[1] as u32]
}

/// The numbers of the elements.
fn elements(shape: &Shape) -> impl Iterator<Item = u32> {
    0..shape.elements() as u32
}

/// Returns the indices of the elements of `shape`, in row-major order, in a layout of these strides.
fn places(shape: &Shape, strides: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (&length, &stride) in shape.iter().zip(strides) {
        places = places.iter().flat_map(|place| (0..length).map(move |index| place + index * stride)).collect();
    }
    places
}

fn position(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(index, stride)| index * stride).sum()
}

fn read(values: &[f64], shape: &Shape, strides: &[usize], from: usize) -> Vec<f64> {
    places(shape, strides).into_iter().map(|place| values[from + place]).collect()
}

/// The values of shape `own`, broadcast to `shape`.
fn stretch(values: &[f64], own: &Shape, shape: &Shape) -> Vec<f64> {
    match own.broadcast_strides(shape) {
        Some(strides) => read(values, shape, &strides, 0),
        None => values.to_vec(),
    }
}

fn concatenate(inputs: &[&[f64]], kinds: &[TensorType], axis: usize) -> Vec<f64> {
    let leading = kinds[0].shape.around(axis).0;
    let block = |input: usize, lead: usize| {
        let length = inputs[input].len() / leading;
        &inputs[input][lead * length..(lead + 1) * length]
    };
    let blocks = (0..leading).flat_map(|lead| (0..inputs.len()).map(move |input| (input, lead)));
    blocks.flat_map(|(input, lead)| block(input, lead)).copied().collect()
}

/// `combine` of each lane along `axis`.
fn reduce(values: &[f64], shape: &Shape, axis: usize, combine: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let (leading, length, trailing) = shape.around(axis);
    let lanes = (0..leading).flat_map(|lead| (0..trailing).map(move |trail| (lead, trail)));
    lanes
        .map(|(lead, trail)| {
            let lane: Vec<f64> = (0..length).map(|index| values[(lead * length + index) * trailing + trail]).collect();
            combine(&lane)
        })
        .collect()
}

fn matmul(
    (a, transpose_a): (&[f64], bool),
    (b, transpose_b): (&[f64], bool),
    kinds: [&Shape; 2],
    out: &Shape,
) -> Vec<f64> {
    let inner = kinds[0][if transpose_a { 1 } else { 2 }];
    // The strides of (batch, row, column) of the matrix that is multiplied.
    let strides = |shape: &Shape, transposed: bool| {
        let batch = if shape[0] == 1 { 0 } else { shape[1] * shape[2] };
        if transposed { [batch, 1, shape[2]] } else { [batch, shape[2], 1] }
    };
    let (left, right) = (strides(kinds[0], transpose_a), strides(kinds[1], transpose_b));
    let mut product = Vec::with_capacity(out.elements());
    for batch in 0..out[0] {
        for row in 0..out[1] {
            for column in 0..out[2] {
                let term = |index: usize| {
                    a[batch * left[0] + row * left[1] + index * left[2]]
                        * b[batch * right[0] + index * right[1] + column * right[2]]
                };
                product.push((0..inner).map(term).sum());
            }
        }
    }
    product
}

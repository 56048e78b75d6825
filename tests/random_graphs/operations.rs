//! The operations of random graphs. Each takes tensors that were made before, fits them, and gives values and slopes of a few
//! units at most, so that differences are those of kernels and not of graphs that magnify.

use fourfold::graph::{Adaptive, AttentionMask, AugmentOptions, ConvolutionOptions, PoolOptions, Tensor};
use fourfold::shaders::Element;
use fourfold::shaders::elementwise::{Binary, Compare, Unary};

use super::custom::Cubic;
use super::program::Builder;

pub type Apply = for<'g> fn(&mut Builder<'g>) -> Tensor<'g>;

/// Positive, away from zero.
fn positive(x: Tensor<'_>) -> Tensor<'_> {
    x.unary(Unary::Softplus) + 0.5
}

/// An image `(images, rows, columns, channels)`.
fn image<'g>(b: &mut Builder<'g>) -> [usize; 4] {
    [1 + b.random.below(2), 2 + b.random.below(4), 2 + b.random.below(4), 1 + b.random.below(4)]
}

/// An operation whose kernel is wrong, which no random graph has.
pub const WRONG: (&str, Apply) = ("wrong", |b| {
    let x = b.pick().tanh();
    let [y] = b.graph.custom(Cubic { wrong: true }, &[x]);
    y
});

/// Names, and how a graph gets them.
pub const OPERATIONS: &[(&str, Apply)] = &[
    ("unary", |b| {
        let x = b.pick();
        let smooth = [
            Unary::Neg,
            Unary::Sin,
            Unary::Cos,
            Unary::Tanh,
            Unary::Erf,
            Unary::Sigmoid,
            Unary::Softplus,
            Unary::GeluErf,
            Unary::GeluTanh,
            Unary::GeluErfDerivative,
            Unary::GeluTanhDerivative,
        ];
        x.unary(b.random.choose(&smooth))
    }),
    ("unary of positive numbers", |b| {
        let x = positive(b.pick());
        x.unary(b.random.choose(&[Unary::Sqrt, Unary::Rsqrt, Unary::Recip, Unary::Log]))
    }),
    ("unary of small numbers", |b| {
        let x = b.pick().tanh();
        x.unary(b.random.choose(&[Unary::Exp, Unary::Square]))
    }),
    ("unary with jumps", |b| {
        let x = b.pick();
        let apart = b.apart(&x.shape());
        apart.unary(b.random.choose(&[Unary::Abs, Unary::Relu, Unary::Sign, Unary::Step, Unary::Floor])) * x
    }),
    ("binary", |b| {
        let x = b.pick();
        let mut shape = x.shape().to_vec();
        for axis in &mut shape {
            if b.random.below(3) == 0 {
                *axis = 1;
            }
        }
        shape.drain(..b.random.below(shape.len() + 1).saturating_sub(1));
        let y = b.of_shape(&shape);
        match b.random.below(4) {
            0 => x + y,
            1 => x - y,
            2 => x.tanh() * y,
            _ => x.binary(Binary::Div, positive(y)),
        }
    }),
    ("power", |b| {
        let x = b.pick();
        let y = b.of_shape(&x.shape());
        positive(x.tanh()).binary(Binary::Pow, y.tanh())
    }),
    ("extremes", |b| {
        let x = b.pick();
        let [p, q] = [b.apart(&x.shape()), b.apart(&x.shape())];
        // Half a place apart, so that none are equal.
        let q = q + 1.0 / x.elements().next_power_of_two().max(2) as f32;
        (if b.random.below(2) == 0 { p.max(q) } else { p.min(q) }) * x
    }),
    ("compare and select", |b| {
        let x = b.pick();
        let y = b.of_shape(&x.shape());
        let [p, q] = [b.apart(&x.shape()), b.apart(&x.shape())];
        let all = [Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge, Compare::Eq, Compare::Ne];
        p.compare(b.random.choose(&all), q).select(x, y.tanh())
    }),
    ("cast", |b| {
        let x = b.pick();
        let whole = b.whole(&x.shape(), 5);
        x.tanh() * whole.cast(Element::F32)
    }),
    ("reshape", |b| {
        let x = b.pick();
        x.reshape([x.elements()])
    }),
    ("broadcast", |b| {
        let x = b.pick();
        let shape: Vec<usize> = [2].iter().chain(x.shape().iter()).copied().collect();
        x.broadcast_to(shape)
    }),
    ("permute", |b| {
        let x = b.pick();
        let mut axes: Vec<usize> = (0..x.shape().rank()).collect();
        for axis in 1..axes.len() {
            axes.swap(axis, b.random.below(axis + 1));
        }
        x.permute(&axes)
    }),
    ("slice", |b| {
        let x = b.pick();
        let boxes: Vec<(usize, usize)> = x
            .shape()
            .iter()
            .map(|&axis| {
                let start = b.random.below(axis);
                (start, 1 + b.random.below(axis - start))
            })
            .collect();
        let [starts, lengths] = [
            boxes.iter().map(|(start, _)| *start).collect::<Vec<_>>(),
            boxes.iter().map(|(_, length)| *length).collect(),
        ];
        x.slice(&starts, lengths)
    }),
    ("pad", |b| {
        let x = b.pick();
        let starts: Vec<usize> = x.shape().iter().map(|_| b.random.below(3)).collect();
        let outer: Vec<usize> =
            x.shape().iter().zip(&starts).map(|(axis, start)| axis + start + b.random.below(2)).collect();
        x.pad(&starts, outer)
    }),
    ("concatenate", |b| {
        let x = b.rows();
        let axis = b.random.below(2);
        let mut shape = x.shape().to_vec();
        shape[axis] = 1 + b.random.below(3);
        let y = b.of_shape(&shape);
        b.graph.concatenate(&[x, y, x], axis)
    }),
    ("pack and view", |b| {
        let [m, n] = [1 + b.random.below(70), 1 + b.random.below(70)];
        let [x, y] = [b.of_shape(&[m]), b.of_shape(&[n])];
        let packed = b.graph.pack(&[(128, x), (0, y)], 256);
        packed.view(0, [n]).mean_all() * packed.view(128, [m]) + packed.view(64, [m]).tanh()
    }),
    ("stop gradient", |b| {
        let x = b.pick();
        x.stop_gradient() * x.tanh()
    }),
    ("sum", |b| {
        let x = b.rows();
        let axis = b.random.below(2);
        x.sum(axis).tanh()
    }),
    ("mean", |b| {
        let x = b.rows();
        let axis = b.random.below(2);
        x.mean(axis)
    }),
    ("sum to", |b| {
        let x = b.rows();
        x.tanh().sum_to(&[1, x.shape()[1]].into()).tanh()
    }),
    ("maximum", |b| {
        let x = b.rows();
        let apart = b.apart(&x.shape());
        let axis = b.random.below(2);
        apart.maximum(axis) + apart.argmax(axis).cast(Element::F32) * 0.01
    }),
    ("norm", |b| {
        let x = b.pick();
        (x + 0.25).norm().tanh() * x
    }),
    ("matmul", |b| {
        let x = b.rows();
        let (m, k) = (x.shape()[0], x.shape()[1]);
        let n = 1 + b.random.below(if m > 1000 { 2 } else { 40 });
        let [left, right] = [b.random.below(2) == 0, b.random.below(2) == 0];
        let y = b.of_shape(&if right { [n, k] } else { [k, n] });
        let x = if left { x.transpose() } else { x };
        (x.tanh().matmul_transposed(y.tanh(), left, right) * (1.0 / k as f32).sqrt()).tanh()
    }),
    ("batched matmul", |b| {
        let [n, m, k, columns] =
            [1 + b.random.below(4), 1 + b.random.below(9), 1 + b.random.below(9), 1 + b.random.below(9)];
        let x = b.of_shape(&[n, m, k]);
        let y = if b.random.below(2) == 0 { b.of_shape(&[k, columns]) } else { b.of_shape(&[n, k, columns]) };
        x.tanh().matmul(y.tanh()).tanh()
    }),
    ("linear", |b| {
        let x = b.rows();
        let (k, n) = (x.shape()[1], 1 + b.random.below(9));
        let [weight, bias] = [b.of_shape(&[n, k]), b.of_shape(&[n])];
        (x.tanh().linear(weight.tanh(), bias) * (1.0 / k as f32).sqrt()).tanh()
    }),
    ("gather", |b| {
        let x = b.rows();
        let count = 1 + b.random.below(20);
        let indices = b.whole(&[count], x.shape()[0] + 1);
        x.gather(indices)
    }),
    ("scatter-add", |b| {
        let x = b.rows();
        let rows = 1 + b.random.below(9);
        let indices = b.whole(&[x.shape()[0]], rows + 1);
        (x.tanh().scatter_add(indices, rows) * (1.0 / x.shape()[0] as f32).sqrt()).tanh()
    }),
    ("random numbers", |b| {
        let (x, seed, stream) = (b.pick(), b.seed(), b.random.next() as u32);
        let shape = x.shape();
        if b.random.below(2) == 0 { x * seed.uniform(stream, shape) } else { x + seed.normal(stream, shape) * 0.25 }
    }),
    ("dropout", |b| {
        let (x, seed, stream) = (b.pick(), b.seed(), b.random.next() as u32);
        x.dropout(seed, stream, 0.25)
    }),
    ("softmax", |b| {
        let x = b.rows();
        if b.random.below(2) == 0 { x.softmax() } else { x.tanh().log_softmax() }
    }),
    ("masked softmax", |b| {
        let [heads, queries, keys] = [1 + b.random.below(3), 1 + b.random.below(5), 1 + b.random.below(9)];
        let scores = b.of_shape(&[1, heads, queries, keys]);
        let mask = (b.random.below(2) == 0).then(|| b.mask(&[1, keys]));
        scores.masked_softmax(0.5, AttentionMask { causal: queries == keys && b.random.below(2) == 0, keys: mask })
    }),
    ("cross-entropy", |b| {
        let x = b.rows();
        let labels = b.whole(&[x.shape()[0]], x.shape()[1] + 1);
        let smoothing = b.random.choose(&[0.0, 0.2]);
        x.tanh().cross_entropy(labels, smoothing).tanh()
    }),
    ("layer norm", |b| {
        let x = b.rows();
        let columns = [x.shape()[1]];
        let [scale, shift] = [b.of_shape(&columns), b.of_shape(&columns)];
        // A large epsilon: rows of equal numbers would magnify.
        x.layer_norm(scale, shift, 0.5)
    }),
    ("layer norm with statistics", |b| {
        let x = b.rows();
        let columns = [x.shape()[1]];
        let [scale, shift] = [b.of_shape(&columns), b.of_shape(&columns)];
        let norm = x.layer_norm_with_statistics(scale, shift, 0.5);
        norm.y * (norm.mean * norm.reciprocal_deviation).reshape([x.shape()[0], 1])
    }),
    ("attention", |b| {
        let [batches, heads, queries, keys] =
            [1 + b.random.below(2), 1 + b.random.below(2), 1 + b.random.below(9), 1 + b.random.below(9)];
        let fused = b.random.below(2) == 0;
        let width = if fused { b.random.choose(&[4, 8, 16]) } else { 1 + b.random.below(9) };
        let [q, k, v] = [queries, keys, keys].map(|length| b.of_shape(&[batches, heads, length, width]).tanh());
        let mask = (b.random.below(2) == 0).then(|| b.mask(&[batches, keys]));
        let mask = AttentionMask { causal: queries == keys && b.random.below(2) == 0, keys: mask };
        if fused { q.attention_fused(k, v, mask) } else { q.attention_by_products(k, v, mask) }
    }),
    ("batch norm", |b| {
        let shape = image(b);
        let (x, [scale, shift]) = (b.of_shape(&shape), [b.of_shape(&[shape[3]]), b.of_shape(&[shape[3]])]);
        if b.random.below(2) == 0 {
            return x.batch_norm(scale, shift, 0.5).y;
        }
        let norm = x.batch_norm(scale, shift, 0.5);
        norm.y * norm.mean + norm.variance
    }),
    ("group norm", |b| {
        let [images, rows, columns, channels] = image(b);
        let groups = b.random.choose(&[1, 2]);
        let channels = channels * groups;
        let x = b.of_shape(&[images, rows, columns, channels]);
        let [scale, shift] = [b.of_shape(&[channels]), b.of_shape(&[channels])];
        x.group_norm(groups, scale, shift, 0.5)
    }),
    ("convolution", |b| {
        let [images, rows, columns, channels] = image(b);
        let groups = b.random.choose(&[1, 1, 2]);
        let [high, wide, outputs] =
            [1 + b.random.below(rows.min(3)), 1 + b.random.below(columns.min(3)), groups * (1 + b.random.below(3))];
        let x = b.of_shape(&[images, rows, columns, channels * groups]);
        let weights = b.of_shape(&[high, wide, channels, outputs]);
        let options =
            ConvolutionOptions { groups, ..ConvolutionOptions::new(1 + b.random.below(2), b.random.below(2)) };
        (x.tanh().convolution(weights.tanh(), options) * 0.25).tanh()
    }),
    ("max pool", |b| {
        let shape = image(b);
        let (apart, x) = (b.apart(&shape), b.pick());
        let pooled = apart.max_pool(PoolOptions {
            kernel: [2, 2],
            strides: [1 + b.random.below(2), 1],
            padding: [b.random.below(2), 0],
        });
        pooled * x.mean_all()
    }),
    ("average pool", |b| {
        let shape = image(b);
        let x = b.of_shape(&shape);
        x.average_pool(PoolOptions {
            kernel: [2, 2],
            strides: [1, 1 + b.random.below(2)],
            padding: [0, b.random.below(2)],
        })
    }),
    ("augment", |b| {
        let shape = image(b);
        let (images, seed, stream) = (b.of_shape(&shape).stop_gradient(), b.seed(), b.random.next() as u32);
        let options = AugmentOptions { crop: 1, mirror: true, hole: 2, hole_of_batch: b.random.below(2) == 0 };
        let black = (b.random.below(2) == 0).then(|| b.of_shape(&shape[1..]).stop_gradient());
        let x = b.of_shape(&shape);
        images.augment(seed, stream, options, black) * x
    }),
    ("frames", |b| {
        let [frames, words, count, stack] =
            [1 + b.random.below(4), 1 + b.random.below(3), 1 + b.random.below(4), 1 + b.random.below(3)];
        let table = b.whole(&[frames, words], 1 << 31);
        let [rows, times] = [b.whole(&[count], frames + 1), b.whole(&[count], 4)];
        let x = b.of_shape(&[count, 4 * words, stack]);
        table.frames(rows, times, stack, 0) * x
    }),
    ("ascent", |b| {
        let count = 1 + b.random.below(200);
        let [weights, gradient] = [b.of_shape(&[count]), b.of_shape(&[count])];
        let rho = b.of_shape(&[]).tanh();
        let scaled = b.random.choose(&[Adaptive::default(), Adaptive { count: count.div_ceil(2), eta: 0.1 }]);
        let gradient = gradient + 0.25;
        match b.random.below(3) {
            0 => weights.ascent(gradient, positive(gradient.norm()), rho, scaled),
            1 => {
                let apart = b.apart(&[count]);
                weights.tanh().sign_ascent(apart, rho, scaled)
            }
            _ => weights.tanh().scaled_gradient(gradient.tanh(), scaled),
        }
    }),
    ("custom", |b| {
        let x = b.pick().tanh();
        let [y] = b.graph.custom(Cubic { wrong: false }, &[x]);
        y
    }),
];

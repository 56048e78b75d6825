//! The mean of a tensor over the chunks of a batch, each of which is a graph of its own: the exchange of synchronised batch norm.

use fourfold::graph::{Operation, OutputGradients, Tensor, TensorType};
use fourfold::shaders::{Binding, Call, Case, Kernel, Module, Operand, Sequence, Target, Tolerance};

/// The name of the kernel, at which a step stops.
pub const NAME: &str = "mean_over_chunks";

/// The kernel copies what the own chunk gives; the host replaces it by the mean of all.
const WGSL: &str = "
@group(0) @binding(0) var<storage, read> own: array<f32>;  // (count)
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;  // (count)
@group(1) @binding(0) var<uniform> size: vec2<u32>;  // count, invocations in a row of workgroups

@compute @workgroup_size(64)
fn mean_over_chunks(@builtin(global_invocation_id) at: vec3<u32>) {
    let index = at.y * size.y + at.x;
    if index < size.x {
        mean[index] = own[index];
    }
}
";

static KERNEL: Kernel = Module::new::<[u32; 2]>(WGSL, |_| 0).kernel(
    NAME,
    const { &[Binding::read("own", "(count)"), Binding::write("mean", "(count)")] },
    |_, operands| {
        if let [Operand::F32(own), Operand::F32(mean)] = operands {
            mean.copy_from_slice(own);
        }
    },
    |_, _, _| Tolerance::Exact,
    |generator| {
        let count = generator.length(300);
        Case::new(count, call(count), [generator.values(count, 1e3)])
    },
);

fn call(count: usize) -> Call {
    let groups = count.div_ceil(64);
    Call::checked(&KERNEL, &[count as u32, 64 * groups.min(65_535) as u32], groups, [count, count])
}

/// The operation, whose gradient is itself.
#[derive(Debug)]
struct ChunkMean;

impl Operation for ChunkMean {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [x] if *x == TensorType::f32(x.shape.clone()) => Ok(vec![x.clone()]),
            _ => Err("takes one tensor of f32".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], _: &Target) -> Result<Sequence, String> {
        Ok(call(inputs[0].elements()).into())
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        Some(vec![(0, mean_over_chunks(node.gradient(0)))])
    }
}

/// The mean of `own` over all chunks.
pub fn mean_over_chunks(own: Tensor<'_>) -> Tensor<'_> {
    let [mean] = own.graph().custom(ChunkMean, &[own]);
    mean
}

/// The mean of several chunks' numbers, summed by a tree: the same bits whichever rank has which chunk.
pub fn tree_mean(chunks: &[&[f32]]) -> Vec<f32> {
    let mut sum = tree_sum(chunks);
    sum.iter_mut().for_each(|number| *number /= chunks.len() as f32);
    sum
}

fn tree_sum(chunks: &[&[f32]]) -> Vec<f32> {
    match chunks {
        [] => Vec::new(),
        [only] => only.to_vec(),
        several => {
            let (left, right) = several.split_at(several.len().div_ceil(2));
            tree_sum(left).iter().zip(tree_sum(right)).map(|(a, b)| a + b).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_summed_in_pairs_of_halves() {
        let chunks: [&[f32]; 3] = [&[1e8, 1.0], &[1.0, 2.0], &[-1e8, 6.0]];
        // (1e8 + 1) rounds to 1e8.
        assert_eq!(tree_mean(&chunks), [0.0, 3.0]);
        assert_eq!(tree_mean(&chunks[1..2]), [1.0, 2.0]);
    }
}

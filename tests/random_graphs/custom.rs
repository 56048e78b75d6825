//! An operation of one's own for random graphs: `y = x^3 / (1 + x^2)`, by a kernel, with a definition and no gradient.

use fourfold::graph::{Graph, Operation, Tensor, TensorType};
use fourfold::shaders::{Binding, Call, Case, Kernel, Module, Operand, Sequence, Target, Tolerance};

const WGSL: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;  // (count)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // (count)
@group(1) @binding(0) var<uniform> size: vec2<u32>;  // count, invocations in a row of workgroups

@compute @workgroup_size(64)
fn cubic(@builtin(global_invocation_id) at: vec3<u32>) {
    let index = at.y * size.y + at.x;
    if index < size.x {
        let value = x[index];
        y[index] = value * value * value / (1.0 + value * value);
    }
}
";

/// A mistake in it, which a comparison must find.
const WRONG: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;  // (count)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // (count)
@group(1) @binding(0) var<uniform> size: vec2<u32>;  // count, invocations in a row of workgroups

@compute @workgroup_size(64)
fn wrong_cubic(@builtin(global_invocation_id) at: vec3<u32>) {
    let index = at.y * size.y + at.x;
    if index < size.x {
        let value = x[index];
        y[index] = value * value * value / (1.0 + 1.002 * value * value);
    }
}
";

static KERNEL: Kernel = kernel(WGSL, "cubic");

static WRONG_KERNEL: Kernel = kernel(WRONG, "wrong_cubic");

const fn kernel(wgsl: &'static str, name: &'static str) -> Kernel {
    Module::new::<[u32; 2]>(wgsl, |_| 0).kernel(
        name,
        const { &[Binding::read("x", "(count)"), Binding::write("y", "(count)")] },
        twin,
        // Five roundings, none of which cancels.
        |_, _, _| Tolerance::Within { relative: 16.0 * Tolerance::EPSILON, absolute: 0.0 },
        |generator| {
            let count = generator.length(300);
            Case::new(count, call(&KERNEL, count), [generator.values(count, 1e3)])
        },
    )
}

fn call(kernel: &'static Kernel, count: usize) -> Call {
    let groups = count.div_ceil(64);
    Call::checked(kernel, &[count as u32, 64 * groups.min(65_535) as u32], groups, [count, count])
}

fn twin(_: &Call, operands: &mut [Operand<'_>]) {
    let [x, y] = operands else { return };
    for (x, y) in x.f32().iter().map(|x| f64::from(*x)).zip(y.f32()) {
        *y = (x * x * x / (1.0 + x * x)) as f32;
    }
}

/// `x^3 / (1 + x^2)` of each element.
#[derive(Debug)]
pub struct Cubic {
    /// Computes something else on the GPU.
    pub wrong: bool,
}

impl Operation for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [x] if *x == TensorType::f32(x.shape.clone()) => Ok(vec![x.clone()]),
            _ => Err("takes one tensor of f32".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], _: &Target) -> Result<Sequence, String> {
        Ok(call(if self.wrong { &WRONG_KERNEL } else { &KERNEL }, inputs[0].elements()).into())
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let x = inputs[0];
        Some(vec![x * x.square() / (x.square() + 1.0)])
    }
}

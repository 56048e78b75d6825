//! A tensor within a larger one of a constant value: `y[c] = x[c - before]` inside, `value` around it. The gradient of a
//! slice. Words are copied as they are, `f32` or `u32`.

use bytemuck::{Pod, Zeroable};
use rand::RngExt;

use crate::layout::copy::{MAX_RANK, words};
use crate::{
    Access, Binding, Call, Case, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target,
    Tolerance, product,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("pad.wgsl"), passes);

/// The axes, once for an element.
fn passes(call: &Call) -> u64 {
    call.constant("RANK").map_or(1, |rank| rank as u64) + 1
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&PAD_F32, &PAD_F32_VEC4, &PAD_U32, &PAD_U32_VEC4];

/// Any padding of `f32`.
pub static PAD_F32: Kernel = kernel("pad.f32", false, Element::F32, |g| case(g, false, Element::F32));
/// The same, four neighbours at a time.
pub static PAD_F32_VEC4: Kernel = kernel("pad.f32_vec4", true, Element::F32, |g| case(g, true, Element::F32));
/// Any padding of `u32`.
pub static PAD_U32: Kernel = kernel("pad.u32", false, Element::U32, |g| case(g, false, Element::U32));
/// The same, four neighbours at a time.
pub static PAD_U32_VEC4: Kernel = kernel("pad.u32_vec4", true, Element::U32, |g| case(g, true, Element::U32));

const fn kernel(name: &'static str, vec4: bool, element: Element, case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE
        .kernel(
            name,
            match element {
                Element::F32 => const { &bindings(Element::F32) },
                Element::U32 => const { &bindings(Element::U32) },
            },
            twin,
            |_, _, _| Tolerance::Exact,
            case,
        )
        .with_entry_point(if vec4 { "pad_vec4" } else { "pad" })
}

const fn bindings(element: Element) -> [Binding; 2] {
    [
        Binding { name: "x", access: Access::Read, element, shape: "(shape)" },
        Binding { name: "y", access: Access::Write, element, shape: "(padded)" },
    ]
}

/// The uniform block of `pad.wgsl`; dimensions innermost first.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    /// Elements, or groups of four, of `y`.
    pub count: u32,
    /// The word around `x`.
    pub value: u32,
    pub unused: [u32; 2],
    /// Lengths of `y`.
    pub padded: [u32; 8],
    /// Lengths of `x`.
    pub shape: [u32; 8],
    pub before: [u32; 8],
}

/// A tensor of shape `shape`, with `padding[d]` elements before and behind it in dimension `d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The type of the elements.
    pub element: Element,
    /// The shape before padding, outermost dimension first.
    pub shape: Vec<usize>,
    /// Before and behind, for each dimension.
    pub padding: Vec<[usize; 2]>,
    /// The word around the tensor: `f32::to_bits` of a number.
    pub word: u32,
}

/// A dimension of `x`, or several neighbours of which the outermost alone is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dimension {
    length: usize,
    before: usize,
    behind: usize,
}

impl Dimension {
    fn padded(self) -> usize {
        self.before + self.length + self.behind
    }
}

impl Problem {
    /// The shape of the result, `usize::MAX` where a dimension is longer.
    pub fn output(&self) -> Vec<usize> {
        let padded = self.shape.iter().zip(&self.padding);
        padded.map(|(length, [before, behind])| before.saturating_add(*length).saturating_add(*behind)).collect()
    }

    fn check(&self) -> Result<Sizes, Error> {
        let (rank, padded) = (self.shape.len(), self.padding.len());
        let sizes = Sizes("pad").expect("dimensions of the padding", padded == rank, rank, padded)?;
        let sizes = sizes.positive(&[("the length of `x`", product(&self.shape))])?;
        let sizes = sizes.positive(&[("the length of `y`", product(&self.output()))])?;
        let merged = self.merged().len();
        sizes.expect("dimensions", merged <= MAX_RANK, format_args!("at most {MAX_RANK} after merging"), merged)
    }

    /// Returns the dispatch with operands `x`, `y`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        self.check()?.sequence(self.call())
    }

    pub(crate) fn call(&self) -> Call {
        let dimensions = self.merged();
        let aligned = |length: usize| length.is_multiple_of(4);
        let vec4 = dimensions[0];
        let vec4 = aligned(vec4.length) && aligned(vec4.before) && aligned(vec4.behind);
        self.call_by(&dimensions, vec4)
    }

    fn call_by(&self, dimensions: &[Dimension], vec4: bool) -> Call {
        let kernel = match (vec4, self.element) {
            (false, Element::F32) => &PAD_F32,
            (true, Element::F32) => &PAD_F32_VEC4,
            (false, Element::U32) => &PAD_U32,
            (true, Element::U32) => &PAD_U32_VEC4,
        };
        let elements: usize = self.output().iter().product();
        let count = elements / if vec4 { 4 } else { 1 };
        let mut uniform = Uniform { count: count as u32, value: self.word, ..Uniform::zeroed() };
        (uniform.padded, uniform.shape) = ([1; 8], [1; 8]);
        for (d, dimension) in dimensions.iter().enumerate() {
            let width = if vec4 && d == 0 { 4 } else { 1 };
            uniform.padded[d] = (dimension.padded() / width) as u32;
            uniform.shape[d] = (dimension.length / width) as u32;
            uniform.before[d] = (dimension.before / width) as u32;
        }
        Call::new(kernel, &uniform, count.div_ceil(256), [self.shape.iter().product(), elements])
            .with_constant("RANK", dimensions.len() as u32)
    }

    /// Dimensions innermost first; one without padding within another is merged into it.
    fn merged(&self) -> Vec<Dimension> {
        let mut dimensions: Vec<Dimension> = vec![Dimension { length: 1, before: 0, behind: 0 }];
        for (&length, &[before, behind]) in self.shape.iter().zip(&self.padding).rev() {
            match dimensions.last_mut() {
                Some(inner) if inner.before == 0 && inner.behind == 0 => {
                    let size = inner.length;
                    *inner = Dimension { length: length * size, before: before * size, behind: behind * size };
                }
                _ => dimensions.push(Dimension { length, before, behind }),
            }
        }
        dimensions
    }
}

/// The twin; `width` words make an element.
pub(crate) fn pad(uniform: &Uniform, width: usize, x: &[u32], y: &mut [u32]) {
    for (flat, y) in (0..uniform.count).zip(y.chunks_mut(width)) {
        let (mut rest, mut stride, mut index, mut inside) = (flat, 1, 0, true);
        for d in 0..8 {
            let coordinate = rest % uniform.padded[d];
            rest /= uniform.padded[d];
            match coordinate.checked_sub(uniform.before[d]) {
                Some(own) if own < uniform.shape[d] => index += own * stride,
                _ => inside = false,
            }
            stride *= uniform.shape[d];
        }
        let first = index as usize * width;
        if inside { y.copy_from_slice(&x[first..first + width]) } else { y.fill(uniform.value) }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, y] = operands else { unreachable!("pad has two operands") };
    let width = if call.kernel.entry_point == "pad_vec4" { 4 } else { 1 };
    pad(&call.uniform(), width, words(x), words(y));
}

fn case(generator: &mut Generator, vec4: bool, element: Element) -> Case {
    let huge = !vec4 && element == Element::F32 && generator.huge();
    let rank = if huge { 1 } else { generator.rng().random_range(1..=MAX_RANK) };
    let most = [4000, 70, 18, 9, 6, 4][rank - 1];
    let width = |d| if vec4 && d == rank - 1 { 4 } else { 1 };
    let mut shape: Vec<usize> = (0..rank).map(|d| generator.length(most).next_multiple_of(width(d))).collect();
    if huge {
        shape[0] = 16_777_300;
    }
    let mut margin = |d| if generator.chance(0.5) { 0 } else { (generator.length(4) - 1) * width(d) };
    let padding = (0..rank).map(|d| [margin(d), margin(d)]).collect();
    let word = generator.pick(&[0.0f32, -1e9, 1.0]).to_bits();
    let problem = Problem { element, shape, padding, word };
    let length = problem.shape.iter().product();
    let x = match element {
        Element::F32 => generator.values_with_specials(length, 1e30),
        Element::U32 => generator.indices(length, u32::MAX),
    };
    Case::new(&problem, problem.call_by(&problem.merged(), vec4), [x])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Data;

    #[test]
    fn a_matrix_is_surrounded_by_the_value() {
        let problem =
            Problem { element: Element::F32, shape: vec![1, 2], padding: vec![[1, 0], [0, 1]], word: 9f32.to_bits() };
        let y = Case::new((), problem.call(), [Data::F32(vec![1.0, 2.0])]).expected().swap_remove(1);
        assert_eq!(y, Data::F32(vec![9.0, 9.0, 9.0, 1.0, 2.0, 9.0]));
    }

    #[test]
    fn rows_padded_as_a_whole_are_one_dimension() {
        let padding = vec![[1, 2], [0, 0], [0, 0]];
        let problem = Problem { element: Element::F32, shape: vec![5, 3, 4], padding, word: 0 };
        assert_eq!(problem.merged(), [Dimension { length: 60, before: 12, behind: 24 }]);
        assert_eq!(problem.call().kernel.name, "pad.f32_vec4");
    }
}

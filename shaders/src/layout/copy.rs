//! Copy of a strided view into a strided view: permute, slice, broadcast, and concatenate as copies into regions of the
//! destination. Words are copied as they are, `f32` or `u32`.
//!
//! A copy that covers its destination writes it ([`crate::Access::Write`]); a copy into a region updates it
//! ([`crate::Access::Update`]): elements outside the region keep their values. The padding with a constant is in
//! [`crate::layout::pad`].

use bytemuck::{Pod, Zeroable};
use rand::RngExt;

use super::view::{check_part, dense_strides};
use crate::elementwise::{BroadcastError, Mode};
use crate::{
    Access, Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target,
    Tolerance, product,
};

pub use super::view::View;

/// Dimensions that a view has at most, once those that lie contiguous in both views are merged.
pub const MAX_RANK: usize = 6;

const MODULE: Module = Module::new::<Uniform>(wgsl!("copy.wgsl"), passes);

/// The axes, once for an element.
fn passes(call: &Call) -> u64 {
    call.constant("RANK").map_or(1, |rank| rank as u64) + 1
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[
    &COPY_F32,
    &COPY_F32_VEC4,
    &COPY_F32_TRANSPOSE,
    &COPY_U32,
    &COPY_U32_VEC4,
    &COPY_U32_TRANSPOSE,
    &COPY_INTO_F32,
    &COPY_INTO_F32_VEC4,
    &COPY_INTO_U32,
    &COPY_INTO_U32_VEC4,
];

/// The number of elements that an invocation copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One.
    Scalar,
    /// Four that are neighbours in both views.
    Vec4,
    /// Four by four: neighbours in the source by neighbours in the destination.
    Transpose,
}

const F32: Element = Element::F32;
const U32: Element = Element::U32;
const WRITE: Access = Access::Write;
const UPDATE: Access = Access::Update;

/// A copy of `f32` that covers its destination.
pub static COPY_F32: Kernel = kernel("copy.f32", Form::Scalar, F32, WRITE, |g| case(g, &COPY_F32));
/// The same, four neighbours at a time.
pub static COPY_F32_VEC4: Kernel = kernel("copy.f32_vec4", Form::Vec4, F32, WRITE, |g| case(g, &COPY_F32_VEC4));
/// The same, blocks of four by four.
pub static COPY_F32_TRANSPOSE: Kernel =
    kernel("copy.f32_transpose", Form::Transpose, F32, WRITE, |g| case(g, &COPY_F32_TRANSPOSE));
/// A copy of `u32` that covers its destination.
pub static COPY_U32: Kernel = kernel("copy.u32", Form::Scalar, U32, WRITE, |g| case(g, &COPY_U32));
/// The same, four neighbours at a time.
pub static COPY_U32_VEC4: Kernel = kernel("copy.u32_vec4", Form::Vec4, U32, WRITE, |g| case(g, &COPY_U32_VEC4));
/// The same, blocks of four by four.
pub static COPY_U32_TRANSPOSE: Kernel =
    kernel("copy.u32_transpose", Form::Transpose, U32, WRITE, |g| case(g, &COPY_U32_TRANSPOSE));
/// A copy of `f32` into a region.
pub static COPY_INTO_F32: Kernel = kernel("copy.into_f32", Form::Scalar, F32, UPDATE, |g| case(g, &COPY_INTO_F32));
/// The same, four neighbours at a time.
pub static COPY_INTO_F32_VEC4: Kernel =
    kernel("copy.into_f32_vec4", Form::Vec4, F32, UPDATE, |g| case(g, &COPY_INTO_F32_VEC4));
/// A copy of `u32` into a region.
pub static COPY_INTO_U32: Kernel = kernel("copy.into_u32", Form::Scalar, U32, UPDATE, |g| case(g, &COPY_INTO_U32));
/// The same, four neighbours at a time.
pub static COPY_INTO_U32_VEC4: Kernel =
    kernel("copy.into_u32_vec4", Form::Vec4, U32, UPDATE, |g| case(g, &COPY_INTO_U32_VEC4));

const fn kernel(
    name: &'static str,
    form: Form,
    element: Element,
    access: Access,
    case: fn(&mut Generator) -> Case,
) -> Kernel {
    MODULE
        .kernel(
            name,
            match (element, access) {
                (Element::F32, Access::Update) => const { &bindings(F32, UPDATE) },
                (Element::U32, Access::Update) => const { &bindings(U32, UPDATE) },
                (Element::F32, _) => const { &bindings(F32, WRITE) },
                (Element::U32, _) => const { &bindings(U32, WRITE) },
            },
            |call, operands| {
                let [source, destination] = operands else { unreachable!("copy has two operands") };
                copy(&in_elements(call.uniform(), form_of(&call.kernel)), words(source), words(destination));
            },
            |_, _, _| Tolerance::Exact,
            case,
        )
        .with_entry_point(match form {
            Form::Scalar => "copy",
            Form::Vec4 => "copy_vec4",
            Form::Transpose => "transpose_vec4",
        })
}

fn form_of(kernel: &Kernel) -> Form {
    match kernel.entry_point {
        "copy" => Form::Scalar,
        "copy_vec4" => Form::Vec4,
        _ => Form::Transpose,
    }
}

const fn bindings(element: Element, access: Access) -> [Binding; 2] {
    [
        Binding { name: "source", access: Access::Read, element, shape: "(any)" },
        Binding { name: "destination", access, element, shape: "(any)" },
    ]
}

/// The uniform block of `copy.wgsl`; dimensions innermost first.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub count: u32,
    pub source_offset: u32,
    pub destination_offset: u32,
    pub unused: u32,
    pub shape: [u32; 8],
    pub source_strides: [u32; 8],
    pub destination_strides: [u32; 8],
}

/// A copy of the elements of `shape` from one view to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The type of the elements.
    pub element: Element,
    /// The shape of the part that is copied, outermost dimension first.
    pub shape: Vec<usize>,
    /// The place it is read from.
    pub source: View,
    /// Elements of the whole source.
    pub source_length: usize,
    /// The place it is written to.
    pub destination: View,
    /// Elements of the whole destination.
    pub destination_length: usize,
}

impl Problem {
    /// Dimension `d` of the result is dimension `order[d]` of a source of shape `shape`.
    ///
    /// # Errors
    /// If the order does not hold every dimension once.
    pub fn permute(element: Element, shape: &[usize], order: &[usize]) -> Result<Self, Error> {
        let rank = shape.len();
        let once = order.len() == rank && (0..rank).all(|dimension| order.contains(&dimension));
        let expected = format!("the dimensions below {rank}, each once");
        Sizes("permute").expect("the order", once, expected, format_args!("{order:?}"))?;
        let strides = dense_strides(shape);
        let permuted: Vec<usize> = order.iter().map(|&dimension| shape[dimension]).collect();
        let source = View { offset: 0, strides: order.iter().map(|&dimension| strides[dimension]).collect() };
        Ok(Self::to_dense(element, permuted, source, product(shape)))
    }

    /// The part of shape `lengths` of a source of shape `shape` that begins at the coordinates `starts`.
    ///
    /// # Errors
    /// If the part does not lie within the source.
    pub fn slice(element: Element, shape: &[usize], starts: &[usize], lengths: &[usize]) -> Result<Self, Error> {
        check_part("slice", shape, starts, lengths)?;
        Ok(Self::to_dense(element, lengths.to_vec(), View::part(shape, starts), product(shape)))
    }

    /// A source of shape `shape` repeated to the shape `output`: shapes align at their last dimension, dimensions of 1
    /// are repeated.
    ///
    /// # Errors
    /// If `shape` does not broadcast to `output`.
    pub fn broadcast(element: Element, shape: &[usize], output: &[usize]) -> Result<Self, Error> {
        if Mode::of(output, shape).is_none() {
            return Err(BroadcastError { left: shape.to_vec(), right: output.to_vec() }.into());
        }
        let mut strides = vec![0; output.len() - shape.len()];
        let own = dense_strides(shape).into_iter().zip(shape);
        strides.extend(own.map(|(stride, &length)| if length == 1 { 0 } else { stride }));
        Ok(Self::to_dense(element, output.to_vec(), View { offset: 0, strides }, product(shape)))
    }

    /// A dense tensor of shape `shape` into the region of a destination of shape `destination` that begins at `starts`.
    ///
    /// # Errors
    /// If the region does not lie within the destination.
    pub fn into_region(
        element: Element,
        shape: &[usize],
        destination: &[usize],
        starts: &[usize],
    ) -> Result<Self, Error> {
        check_part("into_region", destination, starts, shape)?;
        Ok(Self {
            element,
            shape: shape.to_vec(),
            source: View::dense(shape),
            source_length: product(shape),
            destination: View::part(destination, starts),
            destination_length: product(destination),
        })
    }

    fn to_dense(element: Element, shape: Vec<usize>, source: View, source_length: usize) -> Self {
        let destination = View::dense(&shape);
        let destination_length = product(&shape);
        Self { element, shape, source, source_length, destination, destination_length }
    }

    /// Returns the dispatch with operands `source`, `destination`.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        self.check()?.sequence(self.call())
    }

    pub(crate) fn call(&self) -> Call {
        let mut merged = self.merged();
        let update = merged.count() < self.destination_length;
        let form = match merged.transposable() {
            _ if merged.is_vec4() => Form::Vec4,
            Some(dimension) if !update => {
                merged.dimensions.swap(1, dimension);
                Form::Transpose
            }
            _ => Form::Scalar,
        };
        merged.call(self, select(form, self.element, update))
    }

    fn check(&self) -> Result<Sizes, Error> {
        let Self { shape, source, destination, .. } = self;
        let sizes = Sizes("copy").positive(&[("the number of elements", product(shape))])?;
        for (name, view, length) in
            [("source", source, self.source_length), ("destination", destination, self.destination_length)]
        {
            view.check(sizes, name, shape, length)?;
        }
        // Ordered by their strides, each dimension steps over all that those before it reach.
        let mut dimensions: Vec<_> = destination.strides.iter().zip(shape).filter(|&(_, &length)| length > 1).collect();
        dimensions.sort_unstable();
        let mut reached = 0;
        for (&stride, &length) in dimensions {
            sizes.expect(
                "a stride of the destination",
                stride > reached,
                format_args!("above {reached}, so that no element is written twice"),
                stride,
            )?;
            reached += (length - 1) * stride;
        }
        let merged = self.merged().dimensions.len();
        sizes.expect("dimensions", merged <= MAX_RANK, format_args!("at most {MAX_RANK} after merging"), merged)
    }

    /// Dimensions innermost first, without those of one element and with neighbours merged that lie contiguous in both
    /// views.
    fn merged(&self) -> Merged {
        let mut merged = Merged { dimensions: Vec::new(), offsets: [self.source.offset, self.destination.offset] };
        for d in (0..self.shape.len()).rev() {
            let strides = [self.source.strides[d], self.destination.strides[d]];
            let length = self.shape[d];
            match merged.dimensions.last_mut() {
                _ if length == 1 => {}
                Some((inner, own)) if [0, 1].iter().all(|&view| own[view] * *inner == strides[view]) => {
                    *inner *= length
                }
                _ => merged.dimensions.push((length, strides)),
            }
        }
        merged
    }
}

/// A copy with its dimensions merged: lengths with the strides in source and destination.
#[derive(Debug, Clone)]
struct Merged {
    dimensions: Vec<(usize, [usize; 2])>,
    offsets: [usize; 2],
}

impl Merged {
    fn count(&self) -> usize {
        self.dimensions.iter().map(|&(length, _)| length).product()
    }

    /// True if groups of four neighbours lie aligned in both views.
    fn is_vec4(&self) -> bool {
        let Some((&(length, strides), outer)) = self.dimensions.split_first() else { return false };
        let mut outer = outer.iter().map(|&(_, strides)| strides);
        length.is_multiple_of(4) && strides == [1, 1] && outer.all(aligned) && aligned(self.offsets)
    }

    /// The dimension that is contiguous in the source, where it is not the one that is in the destination and blocks of
    /// four by four lie aligned in both views.
    fn transposable(&self) -> Option<usize> {
        let dimension = self.dimensions.iter().position(|&(_, [source, _])| source == 1)?;
        let (first, second) = (self.dimensions[0], self.dimensions[dimension]);
        let others = self.dimensions.iter().enumerate().filter(|&(d, _)| d != 0 && d != dimension);
        let fits = dimension > 0
            && first.1[1] == 1
            && aligned([first.0, second.0])
            && aligned([first.1[0], second.1[1]])
            && aligned(self.offsets)
            && others.into_iter().all(|(_, &(_, strides))| aligned(strides));
        fits.then_some(dimension)
    }

    fn call(&self, problem: &Problem, kernel: &'static Kernel) -> Call {
        let form = form_of(kernel);
        let (workgroup, block, width) = match form {
            Form::Scalar => (256, 1, 1),
            Form::Vec4 => (256, 4, 4),
            Form::Transpose => (64, 16, 4),
        };
        let mut uniform = Uniform {
            count: (self.count() / block) as u32,
            source_offset: (self.offsets[0] / width) as u32,
            destination_offset: (self.offsets[1] / width) as u32,
            ..Uniform::zeroed()
        };
        uniform.shape = [1; 8];
        for (d, &(length, [source, destination])) in self.dimensions.iter().enumerate() {
            // A dimension of which an invocation copies four elements: its stride counts those four, in groups of four.
            let four = d == 0 && form != Form::Scalar || d == 1 && form == Form::Transpose;
            let (length, width) = if four { (length / 4, 1) } else { (length, width) };
            uniform.shape[d] = length as u32;
            uniform.source_strides[d] = (source / width) as u32;
            uniform.destination_strides[d] = (destination / width) as u32;
        }
        let workgroups = (uniform.count as usize).div_ceil(workgroup);
        Call::new(kernel, &uniform, workgroups, [problem.source_length, problem.destination_length])
            .with_constant("RANK", self.dimensions.len().max(1) as u32)
    }
}

fn aligned(values: [usize; 2]) -> bool {
    values.iter().all(|value| value.is_multiple_of(4))
}

fn select(form: Form, element: Element, update: bool) -> &'static Kernel {
    match (form, element, update) {
        (Form::Scalar, Element::F32, false) => &COPY_F32,
        (Form::Vec4, Element::F32, false) => &COPY_F32_VEC4,
        (Form::Scalar, Element::U32, false) => &COPY_U32,
        (Form::Vec4, Element::U32, false) => &COPY_U32_VEC4,
        (Form::Scalar, Element::F32, true) => &COPY_INTO_F32,
        (Form::Vec4, Element::F32, true) => &COPY_INTO_F32_VEC4,
        (Form::Scalar, Element::U32, true) => &COPY_INTO_U32,
        (Form::Vec4, Element::U32, true) => &COPY_INTO_U32_VEC4,
        (Form::Transpose, Element::F32, _) => &COPY_F32_TRANSPOSE,
        (Form::Transpose, Element::U32, _) => &COPY_U32_TRANSPOSE,
    }
}

/// The twin, on numbers that count elements.
pub(crate) fn copy(uniform: &Uniform, source: &[u32], destination: &mut [u32]) {
    for flat in 0..uniform.count {
        let mut rest = flat;
        let (mut from, mut to) = (uniform.source_offset, uniform.destination_offset);
        for d in 0..8 {
            let coordinate = rest % uniform.shape[d];
            rest /= uniform.shape[d];
            from += coordinate * uniform.source_strides[d];
            to += coordinate * uniform.destination_strides[d];
        }
        destination[to as usize] = source[from as usize];
    }
}

/// A uniform block of any form with numbers that count elements.
fn in_elements(uniform: Uniform, form: Form) -> Uniform {
    let mut all = uniform;
    if form == Form::Scalar {
        return all;
    }
    let fours = if form == Form::Vec4 { 1 } else { 2 };
    all.count *= 4u32.pow(fours);
    all.source_offset *= 4;
    all.destination_offset *= 4;
    for d in 0..8 {
        if d < fours as usize {
            all.shape[d] *= 4;
        } else {
            all.source_strides[d] *= 4;
            all.destination_strides[d] *= 4;
        }
    }
    all
}

/// The words of an operand of either type.
pub(crate) fn words<'a>(operand: &'a mut Operand<'_>) -> &'a mut [u32] {
    match operand {
        Operand::F32(values) => bytemuck::cast_slice_mut(values),
        Operand::U32(values) => values,
    }
}

fn case(generator: &mut Generator, kernel: &'static Kernel) -> Case {
    let Binding { element, access, .. } = kernel.bindings[1];
    let form = form_of(kernel);
    let problem = draw(generator, form, element, access);
    let mut merged = problem.merged();
    if form == Form::Transpose {
        // Drawn so that it can.
        let dimension = merged.transposable().expect("a transpose in blocks of four by four");
        merged.dimensions.swap(1, dimension);
    }
    let call = merged.call(&problem, kernel);
    let mut values = |length| match element {
        Element::F32 => generator.values_with_specials(length, 1e30),
        Element::U32 => generator.indices(length, u32::MAX),
    };
    let mut inputs: Vec<Data> = vec![values(problem.source_length)];
    if access == UPDATE {
        inputs.push(values(problem.destination_length));
    }
    Case::new(&problem, call, inputs)
}

/// A problem whose sizes suit a form of the kernel.
fn draw(generator: &mut Generator, form: Form, element: Element, access: Access) -> Problem {
    if form == Form::Transpose {
        // A workgroup copies 1,024 elements: more than 65,535 of them would take 268 MB.
        let mut four = |most: usize| generator.length(most / 4) * 4;
        let shape = [four(12) / 4, four(80), four(12) / 4, four(80)];
        let order = generator.pick(&[[0, 3, 2, 1], [3, 0, 2, 1], [2, 3, 0, 1], [0, 2, 3, 1]]);
        return permuted(element, &shape, &order);
    }
    let vec4 = form == Form::Vec4;
    if !vec4 && access == WRITE && element == F32 && generator.huge() {
        return permuted(element, &[4_194_400, 4], &[1, 0]);
    }
    let rank = generator.rng().random_range(1..=MAX_RANK);
    let most = [4000, 70, 18, 9, 6, 4][rank - 1];
    let mut shape: Vec<usize> = (0..rank).map(|_| generator.length(most)).collect();
    if vec4 {
        shape[rank - 1] = shape[rank - 1].next_multiple_of(4);
    }
    // A destination or source larger than the region by so many elements in front of it and behind it.
    let margin: Vec<[usize; 2]> = (0..rank)
        .map(|d| [(); 2].map(|()| (generator.length(4) - 1) * if vec4 && d == rank - 1 { 4 } else { 1 }))
        .collect();
    let larger: Vec<usize> =
        shape.iter().zip(&margin).map(|(length, [before, behind])| before + length + behind).collect();
    let starts: Vec<usize> = margin.iter().map(|[before, _]| *before).collect();
    if access == UPDATE {
        return Problem::into_region(element, &shape, &larger, &starts).expect("a region within");
    }
    match generator.rng().random_range(0..3) {
        0 => Problem::slice(element, &larger, &starts, &shape).expect("a part within"),
        1 => {
            let mut order: Vec<usize> = (0..rank).collect();
            // The innermost dimension stays where four neighbours are to be read at once.
            let last = if vec4 { rank - 1 } else { rank };
            for d in (1..last).rev() {
                order.swap(d, generator.rng().random_range(0..=d));
            }
            permuted(element, &shape, &order)
        }
        _ => {
            let kept = |d| vec4 && d == rank - 1;
            let source: Vec<usize> =
                (0..rank).map(|d| if kept(d) || generator.chance(0.5) { shape[d] } else { 1 }).collect();
            Problem::broadcast(element, &source, &shape).expect("dimensions of 1")
        }
    }
}

fn permuted(element: Element, shape: &[usize], order: &[usize]) -> Problem {
    Problem::permute(element, shape, order).expect("every dimension once")
}

#[cfg(test)]
mod tests;

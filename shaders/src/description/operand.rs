//! Operands on the CPU: owned values, and the borrowed slices that twins work on.

use crate::Element;

/// The values of one tensor on the CPU.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floating-point numbers.
    F32(Vec<f32>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
}

impl Data {
    /// A tensor whose every element is a NaN, or 0xDEADBEEF: what a kernel fails to write stays visible.
    pub fn poison(element: Element, length: usize) -> Self {
        match element {
            Element::F32 => Data::F32(vec![f32::NAN; length]),
            Element::U32 => Data::U32(vec![0xDEAD_BEEF; length]),
        }
    }

    /// A tensor of zeros.
    pub fn zeros(element: Element, length: usize) -> Self {
        match element {
            Element::F32 => Data::F32(vec![0.0; length]),
            Element::U32 => Data::U32(vec![0; length]),
        }
    }

    /// Returns the type of the elements.
    pub fn element(&self) -> Element {
        match self {
            Data::F32(_) => Element::F32,
            Data::U32(_) => Element::U32,
        }
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(values) => values.len(),
            Data::U32(values) => values.len(),
        }
    }

    /// Returns true if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as little-endian bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::F32(values) => bytemuck::cast_slice(values),
            Data::U32(values) => bytemuck::cast_slice(values),
        }
    }

    /// Values from little-endian bytes, which need no alignment.
    pub fn from_bytes(element: Element, bytes: &[u8]) -> Self {
        match element {
            Element::F32 => Data::F32(bytemuck::pod_collect_to_vec(bytes)),
            Element::U32 => Data::U32(bytemuck::pod_collect_to_vec(bytes)),
        }
    }

    /// The values of an `f32` tensor.
    ///
    /// # Panics
    /// If the elements are `u32`.
    pub fn f32(&self) -> &[f32] {
        match self {
            Data::F32(values) => values,
            Data::U32(_) => panic!("the tensor holds u32"),
        }
    }

    /// The values of a `u32` tensor.
    ///
    /// # Panics
    /// If the elements are `f32`.
    pub fn u32(&self) -> &[u32] {
        match self {
            Data::U32(values) => values,
            Data::F32(_) => panic!("the tensor holds f32"),
        }
    }

    /// A copy of the first elements.
    pub(crate) fn first(&self, length: usize) -> Self {
        match self {
            Data::F32(values) => Data::F32(values[..length].to_vec()),
            Data::U32(values) => Data::U32(values[..length].to_vec()),
        }
    }

    /// Overwrites the first elements.
    pub(crate) fn overwrite(&mut self, first: &Data) {
        match (self, first) {
            (Data::F32(values), Data::F32(first)) => values[..first.len()].copy_from_slice(first),
            (Data::U32(values), Data::U32(first)) => values[..first.len()].copy_from_slice(first),
            _ => panic!("the tensor holds other elements"),
        }
    }

    /// The whole tensor as an operand of a twin.
    pub fn operand(&mut self) -> Operand<'_> {
        match self {
            Data::F32(values) => Operand::F32(values),
            Data::U32(values) => Operand::U32(values),
        }
    }
}

/// A borrowed operand of a twin.
#[derive(Debug)]
pub enum Operand<'a> {
    /// 32-bit floating-point numbers.
    F32(&'a mut [f32]),
    /// 32-bit unsigned integers.
    U32(&'a mut [u32]),
}

impl Operand<'_> {
    /// The values of an `f32` operand.
    ///
    /// # Panics
    /// If the elements are `u32`: the kernel's description and its twin disagree.
    pub fn f32(&mut self) -> &mut [f32] {
        match self {
            Operand::F32(values) => values,
            Operand::U32(_) => panic!("the operand holds u32"),
        }
    }

    /// The values of a `u32` operand.
    ///
    /// # Panics
    /// If the elements are `f32`: the kernel's description and its twin disagree.
    pub fn u32(&mut self) -> &mut [u32] {
        match self {
            Operand::U32(values) => values,
            Operand::F32(_) => panic!("the operand holds f32"),
        }
    }
}

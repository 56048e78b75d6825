//! The layout of WGSL types in words of 32 bits.
//!
//! Types that a buffer can hold lie as WGSL lays them out; those with booleans, which no buffer holds, lie packed.

use naga::proc::IndexableLength;
use naga::{Handle, Module, Scalar, Type, TypeInner, VectorSize};

/// A type that the interpreter has no layout for.
pub(super) type Unknown = String;

/// Returns the words between two columns of a matrix.
pub(super) fn column_stride(rows: VectorSize) -> u32 {
    if rows == VectorSize::Tri { 4 } else { rows as u32 }
}

fn known(scalar: Scalar) -> Result<(), Unknown> {
    let word = [Scalar::F32, Scalar::U32, Scalar::I32, Scalar::BOOL].contains(&scalar);
    if word { Ok(()) } else { Err(format!("a scalar of {} bytes ({:?})", scalar.width, scalar.kind)) }
}

fn has_booleans(module: &Module, ty: Handle<Type>) -> bool {
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => *scalar == Scalar::BOOL,
        TypeInner::Array { base, .. } => has_booleans(module, *base),
        TypeInner::Struct { members, .. } => members.iter().any(|member| has_booleans(module, member.ty)),
        _ => false,
    }
}

/// Returns the words of a value; 0 for an array whose length only its binding knows.
pub(super) fn words(module: &Module, inner: &TypeInner) -> Result<u32, Unknown> {
    match inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => known(*scalar).map(|()| 1),
        TypeInner::Vector { size, scalar } => known(*scalar).map(|()| *size as u32),
        TypeInner::Matrix { columns, rows, scalar } => known(*scalar).map(|()| *columns as u32 * column_stride(*rows)),
        TypeInner::Array { .. } => elements(module, inner).map(|(stride, length)| stride * length.unwrap_or(0)),
        TypeInner::Struct { members, span } => match members.len().checked_sub(1) {
            Some(last) if members.iter().any(|member| has_booleans(module, member.ty)) => {
                Ok(offset(module, inner, last as u32)? + words(module, &module.types[members[last].ty].inner)?)
            }
            _ => Ok(span / 4),
        },
        TypeInner::Pointer { .. } | TypeInner::ValuePointer { .. } => Ok(1),
        other => Err(format!("the type {other:?}")),
    }
}

/// Returns the words between two elements of an array, a vector or a matrix, and how many elements it has; none where
/// only the binding knows.
pub(super) fn elements(module: &Module, inner: &TypeInner) -> Result<(u32, Option<u32>), Unknown> {
    match inner {
        TypeInner::Vector { size, .. } => Ok((1, Some(*size as u32))),
        TypeInner::Matrix { columns, rows, .. } => Ok((column_stride(*rows), Some(*columns as u32))),
        TypeInner::Array { base, size, stride } => {
            let stride = if has_booleans(module, *base) {
                words(module, &module.types[*base].inner)?
            } else {
                stride.div_ceil(4)
            };
            match size.resolve(module.to_ctx()).map_err(|error| format!("this array: {error}"))? {
                IndexableLength::Known(length) => Ok((stride, Some(length))),
                IndexableLength::Dynamic => Ok((stride, None)),
            }
        }
        other => Err(format!("an index into {other:?}")),
    }
}

/// Returns where the part `index` of a value begins, in words.
pub(super) fn offset(module: &Module, inner: &TypeInner, index: u32) -> Result<u32, Unknown> {
    let TypeInner::Struct { members, .. } = inner else {
        return Ok(elements(module, inner)?.0 * index);
    };
    if !members.iter().any(|member| has_booleans(module, member.ty)) {
        return Ok(members[index as usize].offset / 4);
    }
    members[..index as usize].iter().map(|member| words(module, &module.types[member.ty].inner)).sum()
}

/// Returns the type that a pointer points to, or the type itself.
pub(super) fn target(module: &Module, inner: &TypeInner) -> TypeInner {
    match *inner {
        TypeInner::Pointer { base, .. } => module.types[base].inner.clone(),
        TypeInner::ValuePointer { size: Some(size), scalar, .. } => TypeInner::Vector { size, scalar },
        TypeInner::ValuePointer { size: None, scalar, .. } => TypeInner::Scalar(scalar),
        ref other => other.clone(),
    }
}

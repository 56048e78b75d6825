//! Concatenation, as copies into regions of the result.

use crate::layout::copy::Problem;
use crate::{Element, Error, Sequence, Sizes, Slot, Target};

/// The copies that concatenate tensors of the given shapes, equal but for `axis`, with the tensors as operands, then
/// the result: each copy updates its part.
///
/// # Errors
/// If there is no tensor, the axis or another length differs, or the result is too large.
pub fn concatenate(element: Element, shapes: &[&[usize]], axis: usize) -> Result<Sequence, Error> {
    let sizes = Sizes("concatenate").positive(&[("tensors", shapes.len())])?;
    let mut whole = shapes[0].to_vec();
    let rank = whole.len();
    sizes.expect("the axis", axis < rank, format_args!("below {rank}"), axis)?;
    for shape in &shapes[1..] {
        let equal = shape.len() == rank && (0..rank).all(|other| other == axis || shape[other] == whole[other]);
        let expected = format!("{:?} but for axis {axis}", shapes[0]);
        sizes.expect("a shape", equal, expected, format_args!("{shape:?}"))?;
    }
    whole[axis] = shapes.iter().fold(0, |sum: usize, shape| sum.saturating_add(shape[axis]));
    let (mut sequence, mut starts) = (Sequence::default(), vec![0; rank]);
    for (index, shape) in shapes.iter().enumerate() {
        let copy = Problem::into_region(element, shape, &whole, &starts)?;
        let call = copy.sequence(&Target::default())?.steps.swap_remove(0).call;
        sequence.step(call, [Slot::Argument(index), Slot::Argument(shapes.len())]);
        starts[axis] += shape[axis];
    }
    Ok(sequence)
}

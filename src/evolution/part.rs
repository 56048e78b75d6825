//! Parts of a population, each unrolled by another process, and the numbers that they tell each other.

use std::ops::Range;

use super::Error;
use crate::gpu::{BufferView, Gpu};
use fourfold_shaders::Element;

/// The place of a process among those that share a population: it unrolls some members and computes the update from the
/// numbers of all, in the same order as a process that has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Its number, from 0 on.
    pub index: usize,
    /// Processes.
    pub count: usize,
}

impl Part {
    /// The whole population.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Returns its members of so many: neighbours, the first parts one more where they do not divide evenly.
    pub fn range(&self, members: usize) -> Range<usize> {
        let (each, more) = (members / self.count, members % self.count);
        let start = |index: usize| index * each + index.min(more);
        start(self.index)..start(self.index + 1)
    }

    /// Returns the members of each part, in the order of parts.
    pub fn ranges(&self, members: usize) -> Vec<Range<usize>> {
        (0..self.count).map(|index| Self { index, ..*self }.range(members)).collect()
    }

    pub(super) fn check(&self, unit: &str, members: usize) -> Result<(), Error> {
        let Self { index, count } = *self;
        if index >= count || count > members {
            return Error::settings(format!(
                "a population of {members} {unit} has 1 to {members} parts, but this is part {index} of {count}"
            ));
        }
        Ok(())
    }
}

/// A tensor (rows, stride) of which each part computes some columns.
#[derive(Debug, Clone)]
pub struct Divided {
    /// The tensor, on the device.
    pub view: BufferView,
    /// Rows.
    pub rows: usize,
    /// Elements from row to row.
    pub stride: usize,
    /// The columns of each part.
    pub columns: Vec<Range<usize>>,
}

impl Divided {
    /// Words that a part tells of it.
    fn words(&self, part: usize) -> usize {
        self.rows * self.columns[part].len()
    }

    /// Places of a part's words in the tensor.
    fn places(&self, part: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows).flat_map(move |row| self.columns[part].clone().map(move |column| row * self.stride + column))
    }

    /// Elements up to the last one that any part computes.
    fn length(&self) -> usize {
        let columns = self.columns.iter().map(|columns| columns.end).max().unwrap_or(0);
        (self.rows.max(1) - 1) * self.stride + columns
    }
}

/// Brings parts together: it takes the words of one and how many each of them has, and returns those of all in the order
/// of parts.
pub type Tell<'a, E> = dyn FnMut(&[u32], &[usize]) -> Result<Vec<u32>, E> + 'a;

/// Tells the other parts the own columns of tensors, and fills in theirs.
pub(super) async fn exchange<E: From<Error>>(
    gpu: &Gpu,
    part: Part,
    tensors: &[Divided],
    tell: &mut Tell<'_, E>,
) -> Result<(), E> {
    let wrong = |error: crate::gpu::Error| E::from(Error::from(error));
    // Floats travel as their bits.
    let views: Vec<_> = tensors.iter().map(|tensor| (tensor.view.part(0, tensor.length()), Element::U32)).collect();
    let values = gpu.submit_readback(&views).map_err(wrong)?.await.map_err(wrong)?;
    let mut values: Vec<Vec<u32>> = values.iter().map(|data| data.u32().to_vec()).collect();
    let own = tensors.iter().zip(&values);
    let own: Vec<u32> = own.flat_map(|(tensor, values)| tensor.places(part.index).map(|place| values[place])).collect();
    let counts: Vec<usize> =
        (0..part.count).map(|part| tensors.iter().map(|tensor| tensor.words(part)).sum()).collect();
    let mut all = tell(&own, &counts)?.into_iter();
    for other in 0..part.count {
        for (tensor, values) in tensors.iter().zip(&mut values) {
            for (place, word) in tensor.places(other).zip(&mut all) {
                values[place] = word;
            }
        }
    }
    for (tensor, values) in tensors.iter().zip(&values) {
        gpu.write("numbers of other parts", &tensor.view, values).map_err(wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_neighbours_and_differ_by_one_member_at_most() {
        let ranges = |members, count| Part { index: 0, count }.ranges(members);
        assert_eq!(ranges(10, 4), [0..3, 3..6, 6..8, 8..10]);
        assert_eq!(ranges(3, 3), [0..1, 1..2, 2..3]);
        let all = 0..7;
        assert_eq!(ranges(7, 1), [all]);
    }

    #[test]
    fn more_parts_than_members_are_refused() {
        assert!(Part { index: 0, count: 4 }.check("pairs", 4).is_ok());
        let sentence = Part { index: 1, count: 5 }.check("pairs", 4).unwrap_err().to_string();
        assert!(sentence.contains("1 to 4 parts") && sentence.contains("part 1 of 5"), "{sentence}");
    }
}

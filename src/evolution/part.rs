//! The numbers that the parts of a population, each unrolled by another process, tell each other.

use std::ops::Range;

use super::Error;
use crate::gpu::{BufferView, Gpu};
use crate::rollout::Part;
use fourfold_shaders::Element;

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

//! The sharing of a workgroup's invocations among the rows of a row kernel (softmax, layer norm, losses).
//!
//! Such a kernel has the overridable constants `WORKGROUP`, the invocations of a workgroup, and `LANES`, how many of
//! them share a row: a power of two that divides `WORKGROUP`. With one lane no barrier is met.

use bytemuck::Pod;

use crate::{Call, Choice, Family, Kernel, Target};

/// The number of invocations that share a row, and of those in a workgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sharing {
    pub lanes: usize,
    pub workgroup: usize,
    /// The choice that decided for it, if it was not the rule.
    pub choice: Option<Choice>,
}

/// Rows from which on a choice of lanes holds: fewer leave a device idle, whatever was measured.
const MANY: usize = 64;

impl Sharing {
    /// The sharing for `rows` rows, each read by `loads` load instructions (of one or of four elements).
    pub fn choose(rows: usize, loads: usize, target: &Target) -> Self {
        let rule = Self::by_rule(rows, loads, target);
        // A row kernel has up to three loops over its row, which share a software driver's limit.
        let least = target.parts_of_loop(loads, 3);
        let suits = |lanes: usize| rows >= MANY && (least..=loads).contains(&lanes);
        let choice = target.choice(Family::Rows, loads, |variant| suits(1 << variant));
        let lanes = choice.map_or(rule.lanes, |choice| 1 << choice.variant);
        Self { lanes, workgroup: lanes.max(if choice.is_some() { 64 } else { rule.workgroup }), choice }
    }

    fn by_rule(rows: usize, loads: usize, target: &Target) -> Self {
        // A software driver pays for each load and each barrier, whoever issues it: an invocation owns its row,
        // unless there are too few rows to fill its vectors of eight.
        if target.software {
            let few = if rows < 8 && loads >= 64 { 8 } else { 1 };
            let lanes = target.parts_of_loop(loads, 3).next_power_of_two().clamp(few, 128);
            return Self { lanes, workgroup: lanes.max(if rows < 512 { 16 } else { 64 }), choice: None };
        }
        // On a GPU neighbouring invocations read neighbouring words, about four loads each.
        let lanes = if loads <= 4 { 1 } else { (loads / 4).next_power_of_two().clamp(4, 128) };
        Self { lanes, workgroup: lanes.max(64), choice: None }
    }

    /// The call of a row kernel over `rows` rows.
    pub fn call(
        self,
        kernel: &'static Kernel,
        uniform: &impl Pod,
        rows: usize,
        lengths: impl Into<Vec<usize>>,
    ) -> Call {
        Call::new(kernel, uniform, rows.div_ceil(self.workgroup / self.lanes), lengths)
            .with_constant("WORKGROUP", self.workgroup as u32)
            .with_constant("LANES", self.lanes as u32)
            .chosen_by(self.choice)
    }
}

/// The most passes of a row kernel: `loops` loops over the loads of a row of `columns` elements that a lane makes, and
/// `joins` joins of the lanes.
pub(crate) fn passes(call: &Call, columns: u32, loops: u64, joins: u64) -> u64 {
    let width = if call.kernel.entry_point.ends_with("_vec4") { 4 } else { 1 };
    let lanes = call.constant("LANES").map_or(1, |lanes| lanes as u64);
    loops * (u64::from(columns).div_ceil(width * lanes) + 1) + joins * (u64::from(lanes.ilog2()) + 1)
}

/// The error that summing `terms` terms in any order may add, in units of [`crate::Tolerance::EPSILON`] of the sum of
/// their magnitudes: each of the `terms - 1` additions errs by at most one unit of a partial sum, which is no larger, and
/// the twin's own rounding to `f32` is one more. Three terms do reach more than half of it.
pub(crate) fn sum_units(terms: usize) -> f64 {
    terms as f64
}

/// Draws the rows and columns of a row kernel's case.
pub(crate) fn shape(generator: &mut crate::Generator) -> (usize, usize) {
    if generator.of_models() {
        return generator.pick(&[(2, 100_000), (8, 33_001), (3, 50_257), (9, 4_096), (60_000, 3)]);
    }
    // Two lanes to a row, by which a software driver gets below its limit of passes.
    if generator.chance(0.05) {
        return (8, 33_001);
    }
    // Short rows share a workgroup by 64: past 65,535 workgroups from 4,194,241 rows on.
    if generator.huge() { (4_200_000, 2) } else { (generator.length(300), generator.length(700)) }
}

/// The same with rows that suit a kernel of loads of `width` elements, one or four: of a multiple of four columns, or not.
pub(crate) fn shape_of_width(generator: &mut crate::Generator, width: usize) -> (usize, usize) {
    let (rows, columns) = shape(generator);
    let columns = if width == 4 { columns.next_multiple_of(4) } else { columns + usize::from(columns % 4 == 0) };
    (rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_divide_the_workgroup_for_every_shape() {
        for software in [false, true] {
            let target = Target { software, ..Target::default() };
            for rows in [1, 7, 8, 600, 100_000] {
                for loads in 1..3000 {
                    let Sharing { lanes, workgroup, .. } = Sharing::choose(rows, loads, &target);
                    assert!(lanes.is_power_of_two() && workgroup % lanes == 0 && workgroup <= 256);
                }
            }
        }
    }
}

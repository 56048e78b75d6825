//! Operations that the lanes of a subgroup do together.

use naga::{CollectiveOperation, SubgroupOperation};

use super::code::{Exchange, Number, Op};
use super::finding::Fault;
use super::log::{Log, Visit};
use super::machine::Invocation;

/// Executes the operation at which all lanes wait.
pub(super) fn exchange(lanes: &mut [Invocation], op: Op, log: &mut Log<'_>, visit: Visit) {
    let Op::Subgroup { to, from, lane, count, kind } = op else {
        unreachable!("the lanes wait at a subgroup operation")
    };
    let count = usize::from(count);
    let (to, from) = (to as usize, from as usize);
    let values: Vec<Vec<u32>> = lanes.iter().map(|own| own.memory[from..from + count].to_vec()).collect();
    match kind {
        Exchange::Ballot => {
            let mut votes = [0u32; 4];
            for (index, value) in values.iter().enumerate() {
                votes[index / 32 % 4] |= u32::from(value[0] != 0) << (index % 32);
            }
            lanes.iter_mut().for_each(|own| own.memory[to..to + 4].copy_from_slice(&votes));
        }
        Exchange::Collect(operation, collective, number) => {
            for (index, own) in lanes.iter_mut().enumerate() {
                let taken = match collective {
                    CollectiveOperation::Reduce => &values[..],
                    CollectiveOperation::InclusiveScan => &values[..=index],
                    CollectiveOperation::ExclusiveScan => &values[..index],
                };
                for component in 0..count {
                    let numbers = taken.iter().map(|value| value[component]);
                    own.memory[to + component] = numbers
                        .reduce(|a, b| combine(operation, number, a, b))
                        .unwrap_or_else(|| neutral(operation, number));
                }
            }
        }
        _ => {
            for (index, own) in lanes.iter_mut().enumerate() {
                let index = index as u32;
                let given = own.memory[lane as usize];
                let source = match kind {
                    Exchange::First => 0,
                    Exchange::Lane => given,
                    Exchange::Down => index.wrapping_add(given),
                    Exchange::Up => index.wrapping_sub(given),
                    Exchange::Xor => index ^ given,
                    Exchange::Quad => (index & !3) + given,
                    Exchange::QuadSwap(mask) => index ^ mask,
                    Exchange::Ballot | Exchange::Collect(..) => unreachable!("these have no source lane"),
                };
                match values.get(source as usize) {
                    Some(value) => own.memory[to..to + count].copy_from_slice(value),
                    None => {
                        let reader = Visit { who: own.who, ..visit };
                        log.add(reader, None, |_| Fault::Lane { lane: source });
                    }
                }
            }
        }
    }
}

fn combine(operation: SubgroupOperation, number: Number, a: u32, b: u32) -> u32 {
    let float = |function: fn(f32, f32) -> f32| function(f32::from_bits(a), f32::from_bits(b)).to_bits();
    let signed = |function: fn(i32, i32) -> i32| function(a as i32, b as i32) as u32;
    match (operation, number) {
        (SubgroupOperation::All | SubgroupOperation::And, _) => a & b,
        (SubgroupOperation::Any | SubgroupOperation::Or, _) => a | b,
        (SubgroupOperation::Xor, _) => a ^ b,
        (SubgroupOperation::Add, Number::F32) => float(|a, b| a + b),
        (SubgroupOperation::Mul, Number::F32) => float(|a, b| a * b),
        (SubgroupOperation::Min, Number::F32) => float(f32::min),
        (SubgroupOperation::Max, Number::F32) => float(f32::max),
        (SubgroupOperation::Add, _) => a.wrapping_add(b),
        (SubgroupOperation::Mul, _) => a.wrapping_mul(b),
        (SubgroupOperation::Min, Number::I32) => signed(i32::min),
        (SubgroupOperation::Max, Number::I32) => signed(i32::max),
        (SubgroupOperation::Min, Number::U32) => a.min(b),
        (SubgroupOperation::Max, Number::U32) => a.max(b),
    }
}

/// The result of no lanes, which WGSL defines for exclusive sums and products alone.
fn neutral(operation: SubgroupOperation, number: Number) -> u32 {
    match (operation, number) {
        (SubgroupOperation::Mul, Number::F32) => 1.0f32.to_bits(),
        (SubgroupOperation::Mul, _) => 1,
        _ => 0,
    }
}

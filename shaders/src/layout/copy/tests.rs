//! Tests of copies.

use super::*;
use crate::layout::concatenate::concatenate;

fn run(problem: &Problem, source: Vec<f32>) -> Vec<f32> {
    let mut destination = Data::F32(vec![-1.0; problem.destination_length]);
    problem.call().run_twin(&mut [Data::F32(source).operand(), destination.operand()]);
    destination.f32().to_vec()
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|value| value as f32).collect()
}

#[test]
fn a_transposed_matrix_has_its_columns_as_rows() {
    let problem = Problem::permute(F32, &[2, 3], &[1, 0]).unwrap();
    assert_eq!(run(&problem, numbers(6)), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn a_slice_is_the_part_at_its_start() {
    let problem = Problem::slice(F32, &[3, 3], &[1, 1], &[2, 1]).unwrap();
    assert_eq!(run(&problem, numbers(9)), [4.0, 7.0]);
}

#[test]
fn a_region_alone_is_written() {
    let problem = Problem::into_region(F32, &[1, 2], &[2, 3], &[1, 1]).unwrap();
    assert_eq!(run(&problem, vec![7.0, 8.0]), [-1.0, -1.0, -1.0, -1.0, 7.0, 8.0]);
    assert_eq!(problem.call().kernel.bindings[1].access, Access::Update);
}

#[test]
fn a_broadcast_repeats_dimensions_of_one() {
    let problem = Problem::broadcast(F32, &[2, 1], &[2, 2, 2]).unwrap();
    assert_eq!(run(&problem, vec![1.0, 2.0]), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
}

#[test]
fn concatenation_fills_the_whole_destination() {
    let sequence = concatenate(F32, &[&[2, 1], &[2, 2]], 1).unwrap();
    let mut whole = Data::poison(F32, 6);
    for (step, part) in sequence.steps.iter().zip([vec![1.0, 2.0], vec![3.0, 4.0, 5.0, 6.0]]) {
        step.call.run_twin(&mut [Data::F32(part).operand(), whole.operand()]);
    }
    assert_eq!(whole, Data::F32(vec![1.0, 3.0, 4.0, 2.0, 5.0, 6.0]));
}

#[test]
fn a_large_transpose_goes_in_blocks() {
    let problem = Problem::permute(F32, &[3, 8, 16], &[0, 2, 1]).unwrap();
    assert_eq!(problem.call().kernel.name, "copy.f32_transpose");
    let y = run(&problem, numbers(3 * 8 * 16));
    let expected = (0..3 * 8 * 16).map(|i| i / 128 * 128 + i % 8 * 16 + i / 8 % 16);
    assert!(y.into_iter().eq(expected.map(|value| value as f32)));
}

#[test]
fn heads_are_split_four_neighbours_at_a_time() {
    let problem = Problem::permute(F32, &[2, 5, 3, 8], &[0, 2, 1, 3]).unwrap();
    assert_eq!(problem.call().kernel.name, "copy.f32_vec4");
}

//! Values of the authors' PyTorch code for made-up weights, and what no order of the patches changes.

use super::*;
use crate::vision::{DrivingNetwork, ReactiveNetwork};

/// The golden values were computed in f32, a softmax over hundreds of patches and two normalisations deep.
const MESSAGE: f64 = 3e-6;

/// `0.1 sin(1.7 i)`.
fn waves(count: usize) -> Vec<f64> {
    (0..count).map(|index| 0.1 * (1.7 * index as f64).sin()).collect()
}

/// `(7 k^2 + 3 row + 5 column + row column) mod 256` in frame `k`.
fn frames(layer: &VisionNeuron) -> Vec<Vec<u8>> {
    let pixel =
        |frame: usize, row: usize, column: usize| (7 * frame * frame + 3 * row + 5 * column + row * column) as u8;
    let VisionNeuron { rows, columns, stack, .. } = *layer;
    (0..stack).map(|frame| (0..rows * columns).map(|at| pixel(frame, at / columns, at % columns)).collect()).collect()
}

fn message(layer: &VisionNeuron, frames: &[Vec<u8>], action: &[f64], keep: Option<&[bool]>) -> Vec<f64> {
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    layer.message(&waves(layer.parameters()), &frames, action, keep, None)
}

#[track_caller]
fn near(got: &[f64], expected: [f64; 3]) {
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < MESSAGE, "{got} for {expected}");
    }
}

#[test]
fn the_layer_of_car_racing_gives_the_messages_of_the_published_code() {
    let layer = VisionNeuron::car_racing();
    let message = message(&layer, &frames(&layer), &[0.1, -0.2, 0.3], None);
    near(&message, [0.9139143, -0.7661851, -0.8332305]);
    near(&message[1023 * 16..], [0.9259346, -0.7576641, -0.8334386]);
    let sum: f64 = message.iter().map(|m| m.abs()).sum();
    assert!((sum - 14824.10).abs() < 0.02, "{sum}");
}

#[test]
fn the_layer_of_pong_gives_the_messages_of_the_published_code() {
    let layer = VisionNeuron::pong();
    let message = message(&layer, &frames(&layer), &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], None);
    near(&message, [0.09091228, 0.12830053, -0.10852092]);
    near(&message[399 * 32..], [0.09092395, 0.12826946, -0.1085148]);
    let sum: f64 = message.iter().map(|m| m.abs()).sum();
    assert!((sum - 1278.4178).abs() < 0.002, "{sum}");
}

#[test]
fn networks_have_the_published_numbers_of_parameters() {
    for (got, expected) in [
        (VisionNeuron::car_racing().parameters(), 4_256),
        (VisionNeuron::pong().parameters(), 8_744),
        (DrivingNetwork::car_racing().parameters(), 7_212),
        (ReactiveNetwork::pong().parameters(), 1_687_726),
        (ReactiveNetwork::pong_student().parameters(), 45_547),
        (ReactiveNetwork::car_student().parameters(), 31_107),
    ] {
        assert_eq!(got, expected);
    }
    let length = |parts: Vec<Part>| parts.iter().map(|part| part.shape.iter().product::<usize>()).sum::<usize>();
    assert_eq!(length(DrivingNetwork::car_racing().parts()), 7_212);
    assert_eq!(length(ReactiveNetwork::pong().parts()), 1_687_726);
}

/// A layer small enough to be tried often.
fn small() -> VisionNeuron {
    VisionNeuron { rows: 12, columns: 18, patch: 3, messages: 16, dimension: 8, ..VisionNeuron::pong() }
}

/// A picture whose patch `i` is patch `order[i]` of the given one.
fn shuffled(layer: &VisionNeuron, picture: &[u8], order: &[usize]) -> Vec<u8> {
    let mut shuffled = vec![0; picture.len()];
    for (to, &from) in order.iter().enumerate() {
        let across = layer.columns / layer.patch;
        for (pixel, byte) in layer.patch_of(picture, from).enumerate() {
            let row = to / across * layer.patch + pixel / layer.patch;
            shuffled[row * layer.columns + to % across * layer.patch + pixel % layer.patch] = byte;
        }
    }
    shuffled
}

#[test]
fn no_order_of_the_patches_changes_the_message() {
    let layer = small();
    let (seen, action) = (frames(&layer), [0.3; 6]);
    let order: Vec<usize> = (0..24).map(|i| (5 * i + 7) % 24).collect();
    let moved: Vec<Vec<u8>> = seen.iter().map(|frame| shuffled(&layer, frame, &order)).collect();
    assert_ne!(seen, moved);
    let [plain, other] = [&seen, &moved].map(|frames| message(&layer, frames, &action, None));
    assert!(plain.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn the_previous_action_and_the_keys_bias_change_nothing() {
    let (layer, action) = (small(), [0.9, -0.7, 0.1, 0.0, 1.0, -1.0]);
    let seen = frames(&layer);
    let [still, moved] = [&[0.0; 6], &action].map(|action| message(&layer, &seen, action, None));
    assert!(still.iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-12));
    let mut weights = waves(layer.parameters());
    let first = 8 * 8 + 8 + 8 * layer.key_inputs();
    weights[first..first + 8].fill(3.0);
    let views: Vec<&[u8]> = seen.iter().map(Vec::as_slice).collect();
    let biased = layer.message(&weights, &views, &action, None, None);
    assert!(still.iter().zip(&biased).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn a_patch_that_is_absent_is_not_black() {
    let layer = small();
    let (seen, action) = (frames(&layer), [0.0; 6]);
    let keep: Vec<bool> = (0..24).map(|patch| patch % 3 > 0).collect();
    let absent = message(&layer, &seen, &action, Some(&keep));
    let black: Vec<Vec<u8>> = seen.iter().map(|frame| changed(&layer, frame, &keep, |_| 0)).collect();
    let black = message(&layer, &black, &action, None);
    assert!(absent.iter().zip(&black).any(|(a, b)| (a - b).abs() > 1e-6));
    let other: Vec<Vec<u8>> = seen.iter().map(|frame| changed(&layer, frame, &keep, |byte| byte ^ 0x5A)).collect();
    assert_eq!(absent, message(&layer, &other, &action, Some(&keep)));
}

/// The picture with other pixels in the patches that are absent.
fn changed(layer: &VisionNeuron, picture: &[u8], keep: &[bool], other: impl Fn(u8) -> u8) -> Vec<u8> {
    let across = layer.columns / layer.patch;
    let patch = |at: usize| at / layer.columns / layer.patch * across + at % layer.columns / layer.patch;
    picture.iter().enumerate().map(|(at, &byte)| if keep[patch(at)] { byte } else { other(byte) }).collect()
}

#[test]
fn sizes_out_of_range_are_named() {
    let error = |layer: VisionNeuron| layer.check().unwrap_err().to_string();
    let car = VisionNeuron::car_racing();
    assert_eq!(error(VisionNeuron { rows: 97, ..car }), "vision neuron: rows must be a multiple of 6, got 97");
    assert_eq!(error(VisionNeuron { stack: 5, ..car }), "vision neuron: stack must be 2 to 4, got 5");
    assert_eq!(error(VisionNeuron { patch: 0, ..car }), "vision neuron: patch must be 1 to 22, got 0");
}

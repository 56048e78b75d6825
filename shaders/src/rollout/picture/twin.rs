//! Pictures in f64.

use super::Composition;
use crate::rollout::unroll::{Environment, PictureSize};
use crate::{Call, Data, Operand, Tolerance};

fn environment(call: &Call) -> &dyn Environment {
    let composition: &Composition = call.context_of().expect("a call of a picture carries its composition");
    &*composition.environment
}

/// The levels of a scene, row by row, the channels of a pixel side by side, not yet rounded; 0 behind the last up to the end
/// of its word.
pub(super) fn levels(environment: &dyn Environment, scene: &[f64]) -> Vec<f64> {
    let size = environment.picture().expect("only worlds with a picture are drawn");
    let mut levels = Vec::with_capacity(4 * size.words());
    for (row, column) in (0..size.rows).flat_map(|row| (0..size.columns).map(move |column| (row, column))) {
        match size.channels {
            1 => levels.push(environment.pixel(scene, row, column)),
            _ => levels.extend(environment.colour(scene, row, column)),
        }
    }
    levels.resize(4 * size.words(), 0.0);
    levels
}

/// A level as a byte.
pub(super) fn byte(level: f64) -> u8 {
    (level.clamp(0.0, 255.0) + 0.5) as u8
}

pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let environment = environment(call);
    let [observations, pictures, ..] = operands else { unreachable!("bindings of a picture") };
    let scenes = observations.f32().chunks_exact(environment.observations());
    let words = environment.picture().map_or(1, PictureSize::words);
    for (scene, picture) in scenes.zip(pictures.u32().chunks_exact_mut(words)) {
        let scene: Vec<f64> = scene.iter().map(|&number| f64::from(number)).collect();
        for (word, levels) in picture.iter_mut().zip(levels(environment, &scene).chunks(4)) {
            let mut bytes = [0; 4];
            bytes.iter_mut().zip(levels).for_each(|(byte_of, &level)| *byte_of = byte(level));
            *word = u32::from_le_bytes(bytes);
        }
    }
}

/// The relative change of a scene, and the change of a level, that f32 may make of a pixel.
const DIFFERENCE: f64 = 1.0 / 65_536.0;

/// Every byte is the twin's, but for those that hang by the last bits: where a level lies half-way between two numbers, or
/// where the pixel is another for a scene of which one number differs by a few units in the last place.
pub(super) fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let environment = environment(call);
    let Data::F32(observations) = &operands[0] else { unreachable!("scenes are f32") };
    let mut bounds = Vec::new();
    for scene in observations.chunks_exact(environment.observations()) {
        let scene: Vec<f64> = scene.iter().map(|&number| f64::from(number)).collect();
        let right = levels(environment, &scene);
        let (mut least, mut most) = (right.clone(), right);
        for signs in [[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]] {
            let moved = |(i, number): (usize, &f64)| number * (1.0 + signs[i % 2] * DIFFERENCE);
            let moved: Vec<f64> = scene.iter().enumerate().map(moved).collect();
            for ((least, most), level) in least.iter_mut().zip(&mut most).zip(levels(environment, &moved)) {
                (*least, *most) = (least.min(level), most.max(level));
            }
        }
        let jumps = least.iter().zip(&most).map(|(least, most)| {
            let margin = 255.0 * DIFFERENCE;
            f64::from(byte(most + margin) - byte(least - margin))
        });
        let jumps: Vec<f64> = jumps.collect();
        bounds.extend(jumps.chunks(4).map(|jumps| {
            let places = [1.0, 256.0, 65_536.0, 16_777_216.0];
            jumps.iter().zip(places).map(|(jump, place)| jump * place).sum::<f64>()
        }));
    }
    Tolerance::PerElement(bounds)
}

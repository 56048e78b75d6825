//! Tracks as one table of f32, which kernels read.

use super::STATES;
use super::track::{MOST_SECTIONS, Track};

/// Cross-sections of a bounding circle.
pub(super) const CIRCLE: usize = 16;
const CIRCLES: usize = MOST_SECTIONS / CIRCLE;

/// Place of the circles in a track's numbers.
const CIRCLES_AT: usize = 1 + STATES;

/// Numbers of a track: how many cross-sections it has; the state of a car at its start; place and radius of a circle around the
/// middles of the road of each 16 tiles; x, y, cosine and sine of the
/// angle, and side of the kerb of each cross-section.
pub(super) const TRACK_NUMBERS: usize = CIRCLES_AT + 3 * CIRCLES + 5 * MOST_SECTIONS;

/// The table of these tracks, [`TRACK_NUMBERS`] for each; 0 where a track has no more cross-sections.
pub(super) fn packed(tracks: &[Track], start_of: impl Fn(&Track) -> [f64; STATES]) -> Vec<f32> {
    let mut table = vec![0.0; TRACK_NUMBERS * tracks.len()];
    for (track, numbers) in tracks.iter().zip(table.chunks_exact_mut(TRACK_NUMBERS)) {
        numbers[0] = track.sections().len() as f32;
        let start = start_of(track).map(|number| number as f32);
        numbers[1..CIRCLES_AT].copy_from_slice(&start);
        let (circles, sections) = numbers[CIRCLES_AT..].split_at_mut(3 * CIRCLES);
        for (first, circle) in (0..track.sections().len()).step_by(CIRCLE).zip(circles.chunks_exact_mut(3)) {
            let tiles = first..track.sections().len().min(first + CIRCLE);
            // The tiles between the cross-sections: the one before the first, too.
            let places: Vec<[f64; 2]> = tiles.flat_map(|tile| track.tile(tile).map(|section| section.place)).collect();
            let mean = |axis: usize| places.iter().map(|place| place[axis]).sum::<f64>() / places.len() as f64;
            let center = [mean(0) as f32, mean(1) as f32];
            let distance = |place: &[f64; 2]| (place[0] - f64::from(center[0])).hypot(place[1] - f64::from(center[1]));
            let radius = places.iter().map(distance).fold(0.0, f64::max);
            // A little more, for roundings.
            circle.copy_from_slice(&[center[0], center[1], (1.0001 * radius) as f32]);
        }
        for (section, numbers) in track.sections().iter().zip(sections.chunks_exact_mut(5)) {
            let [x, y, cosine, sine] = [section.place, section.across].concat()[..] else {
                unreachable!("two and two")
            };
            numbers.copy_from_slice(&[x, y, cosine, sine, section.kerb].map(|number| number as f32));
        }
    }
    table
}

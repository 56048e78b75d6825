//! The picture of a scene: the screen of 160 x 210 pixels, the brighter of two frames, as means over areas.

use super::machine::paddle_top;

const FIELD: f64 = 87.0;
const WHITE: f64 = 236.0;
const ORANGE: f64 = 148.0;
/// Our paddle where both frames show it.
const GREEN: f64 = 147.0;
/// Our paddle where one frame shows it: the larger of green and brown for each colour.
const GREEN_ONCE: f64 = 163.0;

/// The length that two intervals share.
fn shared([a0, a1]: [f64; 2], [b0, b1]: [f64; 2]) -> f64 {
    (a1.min(b1) - a0.max(b0)).max(0.0)
}

/// The grey of a pixel of 84 x 84, each the mean over 160 / 84 x 2.5 pixels of the screen. The rows of the score are black.
pub(super) fn pixel(scene: &[f64], row: usize, column: usize) -> f64 {
    if row < 10 {
        return 0.0;
    }
    let (row, column) = (row as f64, column as f64);
    let rows = [2.5 * row, 2.5 * row + 2.5];
    let columns = [column * 160.0 / 84.0, (column + 1.0) * 160.0 / 84.0];
    let area = 2.5 * 160.0 / 84.0;
    let wall = (shared(rows, [24.0, 34.0]) + shared(rows, [194.0, 210.0])) / 2.5;
    let mut grey = FIELD + wall * (WHITE - FIELD);
    let rows = [rows[0].max(34.0), rows[1].min(194.0)];
    if rows[1] <= rows[0] {
        return grey;
    }

    let (a, b) = (scene[2], scene[6]);
    let union = shared(rows, [a - 15.0, a + 1.0]) + shared(rows, [b - 15.0, b + 1.0])
        - shared(rows, [a.max(b) - 15.0, a.min(b) + 1.0]);
    grey += (ORANGE - FIELD) * (shared(columns, [16.0, 20.0]) * union) / area;

    let [a, b] = [scene[3], scene[7]].map(|player| f64::from(paddle_top(player.round() as i32)));
    let both = shared(rows, [a.max(b), a.min(b) + 16.0]);
    let either = shared(rows, [a, a + 16.0]) + shared(rows, [b, b + 16.0]) - both;
    let ours = shared(columns, [140.0, 144.0]) / area;
    grey += ours * ((GREEN - FIELD) * both + (GREEN_ONCE - FIELD) * (either - both));

    // The ball, 2 x 4 pixels, lies over everything.
    let mut ball = 0.0;
    let (first, second) = (&scene[..2], &scene[4..6]);
    for at in [first, second].into_iter().filter(|at| at[1] > 0.0) {
        ball += shared(columns, [at[0] - 49.0, at[0] - 47.0]) * shared(rows, [at[1] - 14.0, at[1] - 10.0]);
    }
    if first[1] > 0.0 && second[1] > 0.0 {
        let (most, least) = ([0, 1].map(|i| first[i].max(second[i])), [0, 1].map(|i| first[i].min(second[i])));
        ball -= shared(columns, [most[0] - 49.0, least[0] - 47.0]) * shared(rows, [most[1] - 14.0, least[1] - 10.0]);
    }
    (grey + (WHITE - FIELD) * ball / area).min(WHITE)
}

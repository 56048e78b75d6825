//! The density of a Hessian's spectrum, drawn as in figure 3 of the SAM paper.

use crate::picture::axis::Axis;
use crate::picture::plot::{Line, LinePlot};

/// The width of the Gaussian over each eigenvalue, by the range of all: the root of 1e-5, as in Ghorbani et al. (2019).
const WIDTH: f64 = 0.003_162_277_7;

/// Densities below are not drawn.
const FLOOR: f64 = 1e-7;

/// Places at which a density is drawn: some three in a width.
const PLACES: usize = 1200;

/// Returns the plot of densities, given as eigenvalues and their shares, by name.
pub fn plot(title: &str, densities: &[(&str, &[[f64; 2]])]) -> LinePlot {
    let (least, most) = range(densities.iter().flat_map(|(_, nodes)| nodes.iter()));
    let line = |name: &str, nodes: &[[f64; 2]]| {
        let own = range(nodes);
        let width = WIDTH * (own.1 - own.0);
        let at = |place: usize| {
            let x = least + (most - least) * (1.04 * place as f64 / (PLACES - 1) as f64 - 0.02);
            (x, density(nodes, width, x).max(FLOOR))
        };
        Line::new(name, (0..PLACES).map(at))
    };
    LinePlot::new(
        title,
        "eigenvalue of the Hessian",
        Axis::logarithmic("density"),
        densities.iter().map(|(name, nodes)| line(name, nodes)),
    )
}

/// The least and the largest of 0 and the eigenvalues, which differ.
fn range<'n>(nodes: impl IntoIterator<Item = &'n [f64; 2]>) -> (f64, f64) {
    nodes.into_iter().fold((0.0, 1e-9), |(least, most), node| (node[0].min(least), node[0].max(most)))
}

/// The sum of Gaussians of a width over the eigenvalues, each times its share.
fn density(nodes: &[[f64; 2]], width: f64, x: f64) -> f64 {
    let scale = 1.0 / (width * std::f64::consts::TAU.sqrt());
    nodes.iter().map(|[value, share]| share * scale * (-0.5 * ((x - value) / width).powi(2)).exp()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_of_a_density_is_one() {
        let nodes = [[0.0, 0.25], [3.0, 0.75]];
        let sum: f64 = (-1000..5000).map(|place| 1e-3 * density(&nodes, 0.05, 1e-3 * f64::from(place))).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}

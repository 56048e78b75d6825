//! The objective over the plane of the two outer parameters, computed on the device.

use std::rc::Rc;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{Error, Evaluated, Evaluator, EvaluatorSettings, InnerProblem};

use crate::Picture;
use crate::colour_map::cividis;
use crate::pending::Pending;

/// Cells of a side of the map.
const CELLS: usize = 96;

/// The part of the plane that is seen: the logarithms of both learning rates.
pub(super) const PLANE: [f32; 2] = [-5.0, 5.0];

/// The objectives of the darkest and the lightest colour, on a logarithmic scale.
pub(super) const COLOURS: [f64; 2] = [500.0, 10_000.0];

/// The map, which comes a while after it was asked for.
pub(super) struct Surface {
    evaluator: Rc<Evaluator>,
    pending: Pending<Result<Vec<Evaluated>, Error>>,
    picture: Option<Picture>,
}

/// The share of the plane at which a parameter lies.
pub(super) fn share(theta: f32) -> f32 {
    (theta - PLANE[0]) / (PLANE[1] - PLANE[0])
}

/// The parameter at a share of the plane.
pub(super) fn theta(share: f32) -> f32 {
    PLANE[0] + share.clamp(0.0, 1.0) * (PLANE[1] - PLANE[0])
}

impl Surface {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, Error> {
        let problem: Arc<dyn InnerProblem> = Arc::new(ToyRegression::default());
        let evaluator = Evaluator::new(gpu, problem, &EvaluatorSettings::new(CELLS * CELLS, 0))?;
        Ok(Self { evaluator: Rc::new(evaluator), pending: Pending::none(), picture: None })
    }

    /// True if the map is neither there nor on its way.
    pub(super) fn is_missing(&self) -> bool {
        self.picture.is_none() && !self.pending.is_waiting()
    }

    /// Asks for the map.
    pub(super) fn ask(&mut self) {
        let cell = |index: usize| theta((index as f32 + 0.5) / CELLS as f32);
        // The first parameter goes to the right, the second upwards.
        let row = |row: usize| (0..CELLS).flat_map(move |column| [cell(column), cell(CELLS - 1 - row)]);
        let points: Vec<f32> = (0..CELLS).flat_map(row).collect();
        let evaluator = self.evaluator.clone();
        self.pending.expect(async move { evaluator.run_async(&points).await });
    }

    /// Takes the map if it has come.
    pub(super) fn poll(&mut self) -> Result<bool, Error> {
        if let Some(values) = self.pending.take() {
            let rgba = values?.iter().flat_map(|value| cividis(tone(value.sum))).collect();
            self.picture = Some(Picture { size: [CELLS; 2], rgba, version: 1, smooth: false });
        }
        Ok(!self.pending.is_waiting())
    }

    pub(super) fn picture(&self) -> Option<&Picture> {
        self.picture.as_ref()
    }
}

/// The place of an objective on the scale of colours; the best are the lightest.
fn tone(objective: f64) -> f32 {
    let [least, greatest] = COLOURS.map(f64::ln);
    (1.0 - (objective.ln() - least) / (greatest - least)) as f32
}

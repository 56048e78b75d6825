//! Persistent evolution strategies beside their kin, on the toy regression of the paper.
//!
//! Two outer parameters, so that the whole objective is a map: smooth valleys between cliffs, of which short truncations see
//! nothing.

mod descent;
mod picture;
mod surface;

use std::rc::Rc;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{self, Evaluated, Evaluator, EvaluatorSettings, InnerProblem};
use fourfold::shaders::Data;

use crate::pending::Pending;
use crate::{Control, Drawing, Error, Kind, Pointer, Reading, Scene, Value, View};
use descent::{CONTESTANTS, RING, Run, Settings};
use surface::Surface;

/// The choices of truncations, which divide the 100 steps of the inner problem.
const TRUNCATIONS: [usize; 5] = [5, 10, 20, 50, 100];

/// The choices of particles.
const PARTICLES: [usize; 5] = [10, 30, 100, 300, 1_000];

/// The metadata `problem` of a file of the command.
const PROBLEM: &str = "toy";

/// All estimators on one map.
pub(crate) struct Pes {
    gpu: Gpu,
    surface: Surface,
    settings: Settings,
    runs: Vec<Run>,
    /// The objective where each run is now, and the iteration there.
    evaluator: Rc<Evaluator>,
    objectives: Pending<Result<Vec<Evaluated>, evolution::Error>>,
    asked: usize,
    /// Iterations submitted.
    iteration: usize,
}

/// Opens the scene.
pub(crate) fn open(gpu: &Gpu, seed: u32) -> Result<Box<dyn Scene>, Error> {
    let start = ToyRegression::START;
    let settings = Settings { truncation: 10, sigma: 0.3, particles: 100, rate: 0.02, start, seed };
    let problem: Arc<dyn InnerProblem> = Arc::new(ToyRegression::default());
    let evaluator = Evaluator::new(gpu, problem, &EvaluatorSettings::new(CONTESTANTS.len(), 0))?;
    Ok(Box::new(Pes {
        gpu: gpu.clone(),
        surface: Surface::new(gpu)?,
        settings,
        runs: runs(gpu, settings)?,
        evaluator: Rc::new(evaluator),
        objectives: Pending::none(),
        asked: 0,
        iteration: 0,
    }))
}

fn runs(gpu: &Gpu, settings: Settings) -> Result<Vec<Run>, Error> {
    Ok(CONTESTANTS.iter().map(|contestant| Run::new(gpu, *contestant, settings)).collect::<Result<_, _>>()?)
}

impl Pes {
    /// Begins anew with these settings.
    fn begin(&mut self, settings: Settings) -> Result<(), Error> {
        self.runs = runs(&self.gpu, settings)?;
        self.settings = settings;
        self.objectives = Pending::none();
        (self.iteration, self.asked) = (0, 0);
        Ok(())
    }

    /// Asks for the objective where the runs are now.
    fn judge(&mut self) {
        let theta: Vec<f32> = self.runs.iter().flat_map(Run::theta).collect();
        let evaluator = self.evaluator.clone();
        self.asked = self.iteration;
        self.objectives.expect(async move { evaluator.run_async(&theta).await });
    }
}

impl Scene for Pes {
    fn controls(&self) -> Vec<Control> {
        let Settings { truncation, sigma, particles, rate, .. } = self.settings;
        let index = |choices: &[usize], value| choices.iter().position(|&choice| choice == value).unwrap_or(0);
        let choice = |name, label: &'static str, key, help, choices: &[usize], value| {
            let options = choices.iter().map(|choice| choice.to_string().into()).collect();
            let kind = Kind::Choice { value: index(choices, value), options };
            Control { name, label: label.into(), key: Some(key), help, kind }
        };
        let start = "Begin anew with the start of the paper, far from the best valley.";
        vec![
            choice("k", "K", 'k', "Inner steps of an unroll, of 100.", &TRUNCATIONS, truncation),
            Control::slider("sigma", "Sigma", "Size of the perturbations.", f64::from(sigma), [0.03, 1.0], 0.01)
                .logarithmic()
                .with_key('s'),
            choice("particles", "Particles", 'n', "Members of the population.", &PARTICLES, particles),
            Control::slider("rate", "Rate", "Learning rate of Adam.", f64::from(rate), [0.001, 0.1], 0.001)
                .logarithmic()
                .with_key('l'),
            Control::button("start", "Start of the paper", 'b', start),
        ]
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        let settings = self.settings;
        let settings = match (name, value) {
            ("k", Value::Index(index)) => Settings { truncation: TRUNCATIONS[index], ..settings },
            ("particles", Value::Index(index)) => Settings { particles: PARTICLES[index], ..settings },
            ("sigma", Value::Number(sigma)) => Settings { sigma: sigma as f32, ..settings },
            ("rate", Value::Number(rate)) => Settings { rate: rate as f32, ..settings },
            ("start", _) => Settings { start: ToyRegression::START, ..settings },
            _ => return Ok(()),
        };
        self.begin(settings)
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        let map = picture::places(view).map;
        if pointer != Pointer::Press || !map.contains(at) {
            return Ok(false);
        }
        let [right, down] = map.share(at);
        self.begin(Settings { start: [surface::theta(right), surface::theta(1.0 - down)], ..self.settings })?;
        Ok(true)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.begin(Settings { seed, ..self.settings })
    }

    fn poll(&mut self) -> Result<bool, Error> {
        let mut idle = self.surface.poll()?;
        for run in &mut self.runs {
            idle &= run.poll()?;
        }
        if let Some(values) = self.objectives.take() {
            for (run, value) in self.runs.iter_mut().zip(values?) {
                run.curve.push([self.asked as f64, value.sum]);
            }
        }
        Ok(idle && !self.objectives.is_waiting())
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        if self.surface.is_missing() {
            self.surface.ask();
        }
        // Where the runs are: what the last submission brought.
        if self.iteration != self.asked || self.runs.iter().all(|run| run.curve.is_empty()) {
            self.judge();
        }
        let steps = steps.min(RING);
        for run in &mut self.runs {
            run.submit(steps)?;
        }
        self.iteration += steps;
        Ok(())
    }

    fn steps(&self) -> f64 {
        4.0
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readings = vec![Reading::new("iteration", self.iteration as f64, 0)];
        for (contestant, run) in CONTESTANTS.iter().zip(&self.runs) {
            let objective = run.curve.last().map_or(f64::NAN, |point| point[1]);
            readings.push(Reading::new(contestant.name, objective, 0));
        }
        readings
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    /// All begin at the theta of a run of `fourfold pes toy`.
    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let wrong = |error: fourfold::data::Error| Error::Input(error.to_string());
        let file = Checkpoint::from_bytes(name, bytes).map_err(wrong)?;
        file.expect("problem", PROBLEM).map_err(wrong)?;
        let theta = file.f32("theta", &[2]).map_err(wrong)?;
        if !theta.iter().all(|number| number.is_finite()) {
            return Err(Error::input(name, "a finite theta", format_args!("{theta:?}")));
        }
        self.begin(Settings { start: [theta[0], theta[1]], ..self.settings })
    }

    /// The theta at which PES is, as `fourfold pes toy --start` takes it.
    fn save(&self) -> Option<(String, Vec<u8>)> {
        let theta = self.runs.first()?.theta();
        if !theta.iter().all(|number| number.is_finite()) {
            return None;
        }
        let mut file = Checkpoint::new();
        file.set("problem", PROBLEM);
        file.insert("theta", &[2], Data::F32(theta.to_vec()));
        Some(("theta-pes.safetensors".into(), file.to_bytes()))
    }
}

#[cfg(test)]
mod tests;

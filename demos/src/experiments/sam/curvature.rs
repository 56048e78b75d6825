//! The sharpness of a minimum: the loss at the worst point near the weights, and the largest eigenvalues of the Hessian.

use std::collections::BTreeMap;

use clap::ValueEnum;
use fourfold::Gpu;
use fourfold::data::Dataset;
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values, gradients};
use fourfold::models::Classifier;
use fourfold::nn::{Mode, Noise};
use fourfold::optim::Sam;
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Eigenvalues of largest size, by Lanczos.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Ritz values, the algebraically largest first.
    pub eigenvalues: Vec<f64>,
    /// The norm of each one's residual `H v - lambda v`.
    pub residuals: Vec<f64>,
}

/// The statistics of batch norm in the loss whose curvature is measured. The two differ twentyfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurvatureNorm {
    /// The running ones: the network as it is used
    #[default]
    Running,
    /// Those of the images themselves, differentiated through
    Batch,
}

/// The symmetric tridiagonal matrix of a Lanczos iteration.
#[derive(Debug, Clone, PartialEq)]
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// The numbers beside the diagonal; the last one is beyond the matrix.
    beside: Vec<f64>,
}

/// The mean cross-entropy over a fixed set, without label smoothing, weight decay and dropout, of a network that lies in
/// another session's buffers: its value, its value after an ascent step, and its Hessian times a vector.
#[derive(Debug)]
pub struct Curvature {
    session: Session,
    length: usize,
    /// True for each element of the flat tensor that is a parameter and not a gap between two.
    parameters: Vec<bool>,
}

impl Curvature {
    /// On all rows of `data`, which should be a fixed subset of the training set; `rho` is the radius of the ascent.
    pub fn new(
        gpu: &Gpu,
        classifier: &Classifier,
        data: &Dataset,
        rho: f32,
        norm: CurvatureNorm,
        shared: &BTreeMap<String, BufferView>,
    ) -> Result<Self, Failure> {
        let (rows, features) = (data.len(), data.features());
        let length = classifier.parameters().length();
        let graph = Graph::new();
        let x = graph.input("images", TensorType::f32([rows, features]));
        let y = graph.input("labels", TensorType::u32([rows]));
        let direction = graph.input("direction", TensorType::f32([length]));
        let flat = classifier.parameters().state(&graph, "weights");
        let mode = match norm {
            CurvatureNorm::Running => Classifier::evaluation(classifier.running(&graph, "statistics")),
            CurvatureNorm::Batch => Mode::from(Noise::NONE),
        };
        let outcome = Sam::default().gradient(flat, graph.constant(rho), |w, _| {
            classifier.forward(w, x, mode).cross_entropy(y, 0.0).mean_all()
        });
        let slope = gradients(outcome.loss, &[flat])[0];
        graph.output("loss", outcome.loss);
        graph.output("sharpened_loss", outcome.sharpened_loss);
        graph.output("product", gradients(slope.dot(direction), &[flat])[0]);
        let plan = Plan::new(&graph, &gpu.target())?;
        let values = Values::from([
            ("images".into(), Data::F32(data.images().to_vec())),
            ("labels".into(), Data::U32(data.labels().to_vec())),
        ]);
        let session = Session::on_buffers(gpu, plan, &values, shared)?;
        let mut parameters = vec![false; length];
        for parameter in classifier.parameters().iter() {
            parameters[parameter.offset..][..parameter.shape.elements()].fill(true);
        }
        Ok(Self { session, length, parameters })
    }

    /// The loss at w, and at w + eps with ||eps|| = rho.
    pub fn losses(&mut self) -> Result<(f64, f64), Failure> {
        self.session.submit(1)?;
        let values = self.session.submit_readback(&["loss", "sharpened_loss"])?.wait()?;
        Ok((f64::from(values[0].f32()[0]), f64::from(values[1].f32()[0])))
    }

    /// The Hessian times `v`.
    pub fn product(&mut self, v: &[f64]) -> Result<Vec<f64>, Failure> {
        let v = v.iter().map(|&v| v as f32).collect();
        self.session.write("direction", &Data::F32(v))?;
        self.session.submit(1)?;
        Ok(self.session.read("product")?.f32().iter().map(|&h| f64::from(h)).collect())
    }

    /// The `count` largest eigenvalues by `steps` Lanczos steps from a seeded normal start. `go_on` is asked before each
    /// step.
    pub fn spectrum(
        &mut self,
        count: usize,
        steps: usize,
        seed: u32,
        go_on: impl Fn() -> Result<(), Failure>,
    ) -> Result<Spectrum, Failure> {
        let mut random = Random::new(seed, 0x004c_616e);
        let start = self.parameters.iter().map(|&own| if own { f64::from(random.normal()) } else { 0.0 });
        let start = start.collect();
        Ok(self.lanczos(start, steps, go_on)?.largest(count))
    }

    /// The density of the spectrum by stochastic Lanczos quadrature (Ghorbani et al. 2019): eigenvalues and shares that add
    /// up to 1, from `starts` random vectors of signs.
    pub fn density(
        &mut self,
        starts: usize,
        steps: usize,
        seed: u32,
        go_on: impl Fn() -> Result<(), Failure>,
    ) -> Result<Vec<[f64; 2]>, Failure> {
        let mut random = Random::new(seed, 0x0064_656e);
        let mut density = Vec::new();
        for _ in 0..starts {
            let sign = |own: &bool, random: &mut Random| match own {
                true if random.uniform() < 0.5 => -1.0,
                true => 1.0,
                false => 0.0,
            };
            let start = self.parameters.iter().map(|own| sign(own, &mut random)).collect();
            let nodes = self.lanczos(start, steps, &go_on)?.quadrature();
            density.extend(nodes.into_iter().map(|[value, share]| [value, share / starts as f64]));
        }
        Ok(density)
    }

    /// Runs `steps` Lanczos steps with full re-orthogonalisation; products are f32, all else f64.
    fn lanczos(
        &mut self,
        start: Vec<f64>,
        steps: usize,
        go_on: impl Fn() -> Result<(), Failure>,
    ) -> Result<Tridiagonal, Failure> {
        let mut basis = vec![unit(start)];
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        for step in 0..steps.clamp(1, self.length) {
            go_on()?;
            let current = &basis[step];
            let mut next = self.product(current)?;
            diagonal.push(dot(current, &next));
            // Twice, since once leaves rounding errors along the vectors of large eigenvalues.
            for _ in 0..2 {
                for vector in &basis {
                    let along = dot(vector, &next);
                    next.iter_mut().zip(vector).for_each(|(next, vector)| *next -= along * vector);
                }
            }
            let norm = dot(&next, &next).sqrt();
            beside.push(norm);
            if norm < 1e-9 {
                break;
            }
            basis.push(unit(next));
        }
        Ok(Tridiagonal { diagonal, beside })
    }
}

impl Tridiagonal {
    fn eigen(&self) -> SymmetricEigen<f64, nalgebra::Dyn> {
        let size = self.diagonal.len();
        SymmetricEigen::new(DMatrix::from_fn(size, size, |row, column| match row.abs_diff(column) {
            0 => self.diagonal[row],
            1 => self.beside[row.min(column)],
            _ => 0.0,
        }))
    }

    fn largest(&self, count: usize) -> Spectrum {
        let SymmetricEigen { eigenvalues, eigenvectors } = self.eigen();
        let size = self.diagonal.len();
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| eigenvalues[b].total_cmp(&eigenvalues[a]));
        order.truncate(count);
        // The residual of a Ritz pair is the last off-diagonal number times the last component of its vector.
        let last = self.beside[size - 1];
        Spectrum {
            eigenvalues: order.iter().map(|&index| eigenvalues[index]).collect(),
            residuals: order.iter().map(|&index| (last * eigenvectors[(size - 1, index)]).abs()).collect(),
        }
    }

    /// The nodes and weights of the Gauss quadrature of the start's spectral measure: the weight of a Ritz value is the
    /// square of the first component of its vector.
    fn quadrature(&self) -> Vec<[f64; 2]> {
        let SymmetricEigen { eigenvalues, eigenvectors } = self.eigen();
        (0..self.diagonal.len()).map(|index| [eigenvalues[index], eigenvectors[(0, index)].powi(2)]).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = dot(&v, &v).sqrt();
    v.iter_mut().for_each(|v| *v /= norm);
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_of_a_quadrature_are_those_of_its_start() {
        let lanczos = Tridiagonal { diagonal: vec![3.0, -1.0, 0.5], beside: vec![2.0, 0.7, 0.1] };
        let nodes = lanczos.quadrature();
        let moment = |power| nodes.iter().map(|[value, share]| share * value.powi(power)).sum::<f64>();
        // The first entry of the powers of the matrix: 1, 3, 3^2 + 2^2.
        for (power, expected) in [(0, 1.0), (1, 3.0), (2, 13.0)] {
            assert!((moment(power) - expected).abs() < 1e-12, "{power}: {}", moment(power));
        }
    }
}

//! The sharpness of a minimum: the loss at the worst point near the weights, and the largest eigenvalues of the Hessian.

use std::collections::BTreeMap;

use fourfold::Gpu;
use fourfold::data::Dataset;
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values, gradients};
use fourfold::models::Classifier;
use fourfold::optim::Sam;
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;
use nalgebra::{DMatrix, SymmetricEigen};

use crate::failure::Failure;

/// Eigenvalues of largest size, by Lanczos.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Ritz values, the algebraically largest first.
    pub eigenvalues: Vec<f64>,
    /// The norm of each one's residual `H v - lambda v`.
    pub residuals: Vec<f64>,
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
        shared: &BTreeMap<String, BufferView>,
    ) -> Result<Self, Failure> {
        let (rows, features) = (data.len(), data.features());
        let length = classifier.parameters().length();
        let graph = Graph::new();
        let x = graph.input("images", TensorType::f32([rows, features]));
        let y = graph.input("labels", TensorType::u32([rows]));
        let direction = graph.input("direction", TensorType::f32([length]));
        let flat = classifier.parameters().state(&graph, "weights");
        // With the running statistics: the network as it is used. Those of the batch give eigenvalues 20 times smaller.
        let mode = Classifier::evaluation(classifier.running(&graph, "statistics"));
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

    /// The `count` largest eigenvalues by `steps` Lanczos steps with full re-orthogonalisation, from a seeded normal
    /// start (Ghorbani et al. 2019); products are f32, all else f64. `go_on` is asked before each step.
    pub fn spectrum(
        &mut self,
        count: usize,
        steps: usize,
        seed: u32,
        go_on: impl Fn() -> Result<(), Failure>,
    ) -> Result<Spectrum, Failure> {
        let mut random = Random::new(seed, 0x004c_616e);
        let start = self.parameters.iter().map(|&own| if own { f64::from(random.normal()) } else { 0.0 });
        let mut basis = vec![unit(start.collect())];
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
        let size = diagonal.len();
        let tridiagonal = DMatrix::from_fn(size, size, |row, column| match row.abs_diff(column) {
            0 => diagonal[row],
            1 => beside[row.min(column)],
            _ => 0.0,
        });
        let SymmetricEigen { eigenvalues, eigenvectors } = SymmetricEigen::new(tridiagonal);
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| eigenvalues[b].total_cmp(&eigenvalues[a]));
        order.truncate(count);
        // The residual of a Ritz pair is the last off-diagonal number times the last component of its vector.
        let last = beside[size - 1];
        Ok(Spectrum {
            eigenvalues: order.iter().map(|&index| eigenvalues[index]).collect(),
            residuals: order.iter().map(|&index| (last * eigenvectors[(size - 1, index)]).abs()).collect(),
        })
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

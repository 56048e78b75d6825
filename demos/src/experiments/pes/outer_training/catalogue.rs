//! The problems by name, each with the settings of its paper.
//!
//! To add one, write a function that returns its [`Task`], and a line in [`find`] and in [`NAMES`].

use std::path::Path;
use std::sync::Arc;

use fourfold::data::{Regression, diabetes};
use fourfold::evolution::problems::{InfluenceBalancing, Lorenz, Ridge, ToyRegression};
use fourfold::evolution::{Estimator, Perturbation};

use super::judge::Judged;
use super::recipe::{ObjectiveName, OptimiserName, Recipe};
use super::task::{Entry, Map, Reference, Task};
use crate::failure::Failure;

/// The names on the command line.
pub const NAMES: &str = "toy, influence, lorenz, ridge or ridge:FILE";

/// Returns the file that the name of a problem names.
pub fn file(name: Option<&str>) -> Option<&str> {
    name?.strip_prefix("ridge:")
}

/// Returns the name of the folder of a run of this command on a problem.
pub fn folder(command: &str, problem: Option<&str>) -> String {
    let problem = problem.and_then(|name| name.split(':').next()).unwrap_or_default();
    format!("{command} {problem}").trim_end().to_owned()
}

/// Returns the problem of a name.
///
/// # Errors
/// There is none, or its file cannot be used.
pub fn find(name: Option<&str>) -> Result<Task, Failure> {
    let Some(named) = name else {
        return Err(Failure::Input(format!("PROBLEM is missing: {NAMES} (see `fourfold pes --help`)")));
    };
    if let Some(file) = file(name) {
        return ridge(named, &Regression::load(Path::new(file))?, 1);
    }
    match named {
        "toy" => Ok(toy()),
        "influence" => Ok(influence()),
        "lorenz" => Ok(lorenz()),
        "ridge" => ridge(named, &diabetes().truncated(308, 6), SPLIT),
        _ => Err(Failure::Input(format!(
            "PROBLEM takes {NAMES}, got `{named}` (policies, networks and a learned optimiser have commands of their own: see \
             `fourfold pes --help`)"
        ))),
    }
}

/// Returns the settings that the estimators of a problem share.
fn base(objective: ObjectiveName, truncation: usize, particles: usize, sigma: f32) -> Recipe {
    Recipe {
        estimator: Estimator::PES,
        objective,
        truncation,
        particles,
        sigma,
        chunks: 1,
        staggered: false,
        optimiser: OptimiserName::Adam,
        beta1: 0.9,
        rate: 1e-2,
        clip: None,
        iterations: 1_000,
        theta: None,
    }
}

/// Section 4.1 of the paper, with the settings of the authors' code.
fn influence() -> Task {
    let pes = Recipe {
        optimiser: OptimiserName::Sgd,
        rate: 1e-4,
        iterations: 3_000,
        ..base(ObjectiveName::Last, 1, 1_000, 0.1)
    };
    let with = |estimator| pes.with_estimator(estimator, None);
    let backpropagation = |truncation| Recipe { truncation, ..with(Estimator::Tbptt) };
    let entries = vec![
        Entry::new("PES", pes.clone()),
        Entry::new("RTRL", with(Estimator::Rtrl)),
        Entry::new("UORO", Recipe { rate: 1e-5, iterations: 30_000, ..with(Estimator::Uoro) }),
        Entry::new("PES + Analytic", with(Estimator::PES_ANALYTIC)),
        Entry::new("DODGE", with(Estimator::Dodge(Perturbation::NRES))),
        Entry::new("truncated ES", with(Estimator::TRUNCATED_ES)),
        Entry::new("TBPTT, K 1", backpropagation(1)),
        Entry::new("TBPTT, K 10", backpropagation(10)),
        Entry::new("TBPTT, K 100", backpropagation(100)),
    ];
    Task {
        name: "influence".into(),
        about: "Influence balancing (Tallec and Ollivier 2017, with the settings of Vicol et al. 2021): a linear system of 23 \
                numbers fed by one parameter, whose effect on the loss of the next steps has the opposite sign of its effect \
                in the long run. The system is never reset; theta starts at 0.5 and is best at -1/6. The objective is the \
                loss after 500 steps with theta as it is."
            .into(),
        problem: Arc::new(InfluenceBalancing),
        judged: Judged::Last { steps: 500 },
        theta: InfluenceBalancing::START.to_vec(),
        parameters: vec!["theta"],
        objective: "loss after 500 steps",
        range: None,
        entries,
        milestones: vec![100, 1_000, 2_000, 3_000, 30_000],
        best: Some(InfluenceBalancing::BEST.to_vec()),
        map: None,
        references: vec![
            Reference {
                entry: "PES",
                values: &[(100, "1.69"), (1_000, "5.1e-6"), (2_000, "1.6e-10"), (3_000, "4.4e-14")],
            },
            Reference {
                entry: "RTRL",
                values: &[(100, "2.07"), (1_000, "1.3e-5"), (2_000, "4.1e-12"), (3_000, "1.9e-12")],
            },
            Reference {
                entry: "UORO",
                values: &[(100, "8.49"), (1_000, "1.95"), (2_000, "5.95"), (3_000, "0.14"), (30_000, "1.1e-13")],
            },
            Reference {
                entry: "truncated ES",
                values: &[(100, "8.06"), (1_000, "22.2"), (2_000, "68.5"), (3_000, "211")],
            },
            Reference {
                entry: "TBPTT, K 1",
                values: &[(100, "8.06"), (1_000, "22.2"), (2_000, "68.5"), (3_000, "211")],
            },
            Reference {
                entry: "TBPTT, K 10",
                values: &[(100, "22.4"), (1_000, "5.7e5"), (2_000, "4.5e10"), (3_000, "3.5e15")],
            },
            Reference {
                entry: "TBPTT, K 100",
                values: &[(100, "3.89"), (1_000, "5.9e-3"), (2_000, "4.3e-6"), (3_000, "3.0e-9")],
            },
        ],
    }
}

/// Section 4.2 of the paper, with the settings of the authors' code.
fn toy() -> Task {
    let pes = Recipe { beta1: 0.99, iterations: 20_000, ..base(ObjectiveName::Sum, 10, 100, 0.3) };
    let with = |estimator| pes.with_estimator(estimator, Some(100));
    let entries = vec![
        Entry::new("PES", pes.clone()),
        Entry::new("NRES", with(Estimator::NRES)),
        Entry::new("GPES, 2 unrolls", with(Estimator::gpes(2))),
        Entry::new("full ES", Recipe { iterations: 2_000, ..with(Estimator::FULL_ES) }),
        Entry::new("truncated ES, sigma 1", Recipe { sigma: 1.0, ..with(Estimator::TRUNCATED_ES) }),
        Entry::new("truncated ES, sigma 0.3", with(Estimator::TRUNCATED_ES)),
        Entry::new("PES + Analytic", with(Estimator::PES_ANALYTIC)),
        Entry::new("TBPTT", with(Estimator::Tbptt)),
        Entry::new("RTRL", with(Estimator::Rtrl)),
        Entry::new("UORO", with(Estimator::Uoro)),
        Entry::new("DODGE", with(Estimator::Dodge(Perturbation::NRES))),
    ];
    Task {
        name: "toy".into(),
        about: "The 2-D toy regression of Vicol et al. 2021: theta are the logarithms of the first and the last learning rate of \
                100 steps of gradient descent, the objective is the sum of the losses after each step. Unrolls have 10 steps \
                (one with RTRL and UORO, all 100 with full ES), outer steps are Adam's with rate 0.01 and beta1 0.99. The surface \
                has cliffs, which take smoothing, and short truncations do not see what lies behind them."
            .into(),
        problem: Arc::new(ToyRegression::default()),
        judged: Judged::Sum,
        theta: ToyRegression::START.to_vec(),
        parameters: vec!["theta 0, log of the first learning rate", "theta 1, log of the last learning rate"],
        objective: "sum of the losses of 100 steps",
        range: Some(500.0..2_500.0),
        entries,
        milestones: vec![500, 1_000, 2_000, 5_000, 20_000],
        best: None,
        map: Some(Map { x: -5.0..5.0, y: -5.0..5.0, colours: 500.0..10_000.0 }),
        references: vec![
            Reference {
                entry: "PES",
                values: &[
                    (500, "2424.1"),
                    (1_000, "569.1"),
                    (2_000, "568.4"),
                    (5_000, "562.0"),
                    (20_000, "563.6 (561.5 .. 567.6)"),
                ],
            },
            Reference {
                entry: "NRES",
                values: &[
                    (500, "2423.5"),
                    (1_000, "580.9"),
                    (2_000, "563.8"),
                    (5_000, "568.8"),
                    (20_000, "563.6 (559.0 .. 569.6)"),
                ],
            },
            Reference { entry: "full ES", values: &[(1_000, "584.4"), (2_000, "565.1 (563.3 .. 567.3)")] },
            Reference {
                entry: "truncated ES, sigma 1",
                values: &[
                    (500, "2423.9"),
                    (1_000, "1628.3"),
                    (2_000, "1566.3"),
                    (5_000, "1477.1"),
                    (20_000, "1488.8 (1357.5 .. 1722.8)"),
                ],
            },
            Reference {
                entry: "truncated ES, sigma 0.3",
                values: &[
                    (500, "2423.9"),
                    (1_000, "2423.4"),
                    (2_000, "2423.5"),
                    (5_000, "2423.5"),
                    (20_000, "2423.4"),
                ],
            },
            Reference {
                entry: "PES + Analytic",
                values: &[
                    (500, "2424.0"),
                    (1_000, "1985.8"),
                    (2_000, "1787.5"),
                    (5_000, "1238.5"),
                    (20_000, "618.6 (560.7 .. 2191)"),
                ],
            },
            Reference {
                entry: "TBPTT",
                values: &[
                    (500, "2423.7"),
                    (1_000, "2423.2"),
                    (2_000, "2423.2"),
                    (5_000, "2423.2"),
                    (20_000, "2423.2"),
                ],
            },
            Reference {
                entry: "RTRL",
                values: &[(1_000, "2423.4"), (2_000, "2423.2"), (5_000, "2423.2"), (20_000, "2423.2")],
            },
            Reference { entry: "UORO", values: &[(1_000, "2423.2, 2425.6"), (20_000, "2423.2, 2026.4")] },
        ],
    }
}

/// The chaotic problem of Li et al. 2023.
fn lorenz() -> Task {
    let pes = Recipe {
        optimiser: OptimiserName::Sgd,
        rate: 1e-7,
        chunks: 20,
        staggered: true,
        iterations: 5_000,
        ..base(ObjectiveName::Sum, 100, 200, 0.04)
    };
    let with = |estimator| pes.with_estimator(estimator, Some(2_000));
    let lockstep = |recipe: Recipe| Recipe { chunks: 1, staggered: false, ..recipe };
    let entries = vec![
        Entry::new("PES", pes.clone()),
        Entry::new("NRES", with(Estimator::NRES)),
        Entry::new("full ES", lockstep(Recipe { particles: 10, rate: 1.5e-8, ..with(Estimator::FULL_ES) })),
        Entry::new("truncated ES", Recipe { rate: 3e-6, ..with(Estimator::TRUNCATED_ES) }),
        Entry::new("TBPTT", lockstep(Recipe { rate: 3e-6, ..with(Estimator::Tbptt) })),
    ];
    Task {
        name: "lorenz".into(),
        about: "The Lorenz system (Li et al. 2023): theta are the logarithms of its parameters a and r, which are to be found from \
                the z of a trajectory of 2,000 steps, 10 units of time, in which errors grow some ten-thousandfold. Unrolls have 100 steps. Rates are those of the authors' code over the \
                steps of an unroll, whose losses are added here; they divide PES's by ten after 1,000 iterations, and we do not."
            .into(),
        problem: Arc::new(Lorenz::default()),
        judged: Judged::Sum,
        theta: Lorenz::START.to_vec(),
        parameters: vec!["log a", "log r"],
        objective: "sum of the squared errors of z over 2,000 steps",
        range: None,
        entries,
        milestones: vec![100, 500, 1_000, 2_000, 5_000],
        best: Some(Lorenz::BEST.to_vec()),
        map: Some(Map { x: 1.5..3.5, y: 3.0..4.0, colours: 1e4..1e6 }),
        references: Vec::new(),
    }
}

/// The seed of a split of the embedded data at whose validation set a penalty helps: under about a third of the splits
/// none is best, and there would be nothing to find.
const SPLIT: u32 = 7;

/// The coefficient of the L2 penalty, section 4.3 of the paper's code.
fn ridge(name: &str, data: &Regression, split: u32) -> Result<Task, Failure> {
    let problem =
        Ridge::new(&data.features, &data.targets, split).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    let (best, least) = problem.optimum();
    // At an end of the range that was searched the loss goes on to fall beyond it.
    let inside = [-0.01, 0.01].iter().all(|off| problem.settled_loss(best + off) > least);
    let optimum = match inside {
        true => format!("it is least at theta = {best:.3}, where it is {least:.4}"),
        false => format!(
            "it has no optimum in the range where training settles: it falls towards an end, theta = {best:.3}, where it is \
             {least:.4}"
        ),
    };
    let pes = Recipe { rate: 3e-3, iterations: 50_000, ..base(ObjectiveName::Sum, 1, 4, 0.01) };
    let estimators = [("PES", Estimator::PES), ("truncated ES", Estimator::TRUNCATED_ES)];
    let entries = estimators.into_iter().flat_map(|(label, estimator)| {
        let recipe = pes.with_estimator(estimator, None);
        let from = move |start: f32| Recipe { theta: Some(vec![start]), ..recipe.clone() };
        Ridge::STARTS.map(|start| Entry::new(format!("{label} from {start}"), from(start)))
    });
    let settled = problem.clone();
    let origin = match name {
        "ridge" => {
            "The paper's table of yachts is not part of this program (`ridge:FILE` reads it); these are as many rows and \
                    columns of the embedded diabetes data, and a split at which some penalty is best. "
        }
        _ => "",
    };
    let (rows, features) = (data.targets.len(), data.features[0].len());
    Ok(Task {
        name: name.into(),
        about: format!(
            "The L2 coefficient of linear regression (Vicol et al. 2021): theta is the logarithm of the coefficient in a \
             training by gradient descent that never ends, the loss of a step is that of the validation set after it. There \
             are {rows} rows of {features} features. {origin}The objective is the loss at which training settles; {optimum}."
        ),
        problem: Arc::new(problem),
        judged: Judged::Closed(Arc::new(move |theta| settled.settled_loss(theta))),
        theta: vec![Ridge::STARTS[0]],
        parameters: vec!["theta, log of the L2 coefficient"],
        objective: "validation loss of the settled weights",
        range: None,
        entries: entries.collect(),
        milestones: vec![1_000, 5_000, 20_000, 50_000],
        best: inside.then(|| vec![best]),
        map: None,
        references: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_of_the_searched_range_is_no_optimum() {
        // Targets that are linear in the features: every penalty makes the loss worse.
        let features: Vec<Vec<f32>> =
            (0..40).map(|row| vec![(row as f32 * 0.7).sin(), (row as f32 * 1.3).cos()]).collect();
        let targets = features.iter().map(|row| 2.0 * row[0] - row[1]).collect();
        let task = ridge("ridge:linear.csv", &Regression { features, targets }, 1).unwrap();
        assert_eq!(task.best, None);
        assert!(task.about.contains("no optimum"), "{}", task.about);
        let task = find(Some("ridge")).unwrap();
        assert!(task.best.is_some() && task.about.contains("it is least at theta ="), "{}", task.about);
    }

    #[test]
    fn every_problem_is_consistent_with_its_settings() {
        for problem in ["toy", "influence", "lorenz", "ridge"] {
            let task = find(Some(problem)).unwrap();
            task.check(&task.entries).unwrap();
            assert_eq!(task.theta.len(), task.problem.parameters());
            for reference in &task.references {
                assert!(task.entries.iter().any(|entry| entry.name == reference.entry), "{}", reference.entry);
                assert!(reference.values.iter().all(|(iteration, _)| task.milestones.contains(iteration)));
            }
        }
    }
}

//! Random walks: the data, and what a path is held against.

use fourfold_shaders::random::threefry::Random;

use super::{DirectedGraph, STEPS};
use crate::data::{Actions, Error, Steps, Trajectories};
use crate::models::offline_training::{OfflineSettings, ReturnsToGo, Starts};
use crate::optim::{AdamW, Schedule};

/// Nodes in the order in which they were visited. A path that ends at the goal reached it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The start first; one more than there were steps.
    pub nodes: Vec<usize>,
    /// The node that each step was directed to.
    pub actions: Vec<usize>,
}

impl Walk {
    /// A walk from `start` that chooses among the edges there are, all equally likely, until it is at the goal or `steps`
    /// are done. At a node without edges the agent tries any node, and stays.
    pub fn random(graph: &DirectedGraph, start: usize, steps: usize, random: &mut Random) -> Self {
        Self::by(graph, start, steps, |node| match graph.successors(node) {
            [] => random.below(graph.nodes() as u32) as usize,
            edges => edges[random.below(edges.len() as u32) as usize],
        })
    }

    /// A walk that chooses among all nodes, all equally likely, and stays where no edge leads to the one chosen.
    pub fn of_random_actions(graph: &DirectedGraph, start: usize, steps: usize, random: &mut Random) -> Self {
        Self::by(graph, start, steps, |_| random.below(graph.nodes() as u32) as usize)
    }

    fn by(graph: &DirectedGraph, start: usize, steps: usize, mut action: impl FnMut(usize) -> usize) -> Self {
        let mut walk = Self { nodes: vec![start], actions: Vec::new() };
        let mut node = start;
        while node != graph.goal() && walk.actions.len() < steps {
            let action = action(node);
            node = graph.step(node, action);
            walk.actions.push(action);
            walk.nodes.push(node);
        }
        walk
    }

    /// Steps to the goal, where it was reached.
    pub fn length(&self, goal: usize) -> Option<usize> {
        self.nodes.iter().position(|&node| node == goal)
    }
}

/// AdamW's decay of squares: short trainings gain by a short memory.
pub const BETA2: f32 = 0.95;

/// Random walks are drawn again until one arrives, so many times at most.
const TRIES: usize = 2_000;

/// Random walks on a graph, the data of the experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walks {
    /// The walks, in the order in which they were drawn.
    pub walks: Vec<Walk>,
    goal: usize,
    nodes: usize,
    steps: usize,
}

impl Walks {
    /// `count` walks of at most `steps` steps from starts that are all equally likely, those that begin at the goal
    /// included: they are over at once.
    pub fn random(graph: &DirectedGraph, count: usize, steps: usize, random: &mut Random) -> Self {
        let walk = |random: &mut Random| {
            let start = random.below(graph.nodes() as u32) as usize;
            Walk::random(graph, start, steps, random)
        };
        let walks = (0..count).map(|_| walk(random)).collect();
        Self { walks, goal: graph.goal(), nodes: graph.nodes(), steps }
    }

    /// `count` walks of at most [`STEPS`] steps that arrive, from the nodes with a way to the goal in turn: a walk that does
    /// not arrive is drawn again. A walk from afar, which rarely does, is then as frequent as one from nearby. Nodes from
    /// which a walk hardly ever arrives are left out, so that there are no walks where none does.
    pub fn arriving(graph: &DirectedGraph, count: usize, random: &mut Random) -> Self {
        let distances = graph.distances();
        let within = |node: &usize| distances[*node].is_some_and(|steps| (1..=STEPS).contains(&steps));
        let mut starts: Vec<usize> = (0..graph.nodes()).filter(within).collect();
        let mut walks = Vec::new();
        while walks.len() < count && !starts.is_empty() {
            starts.retain(|&start| {
                let mut drawn = (0..TRIES).map(|_| Walk::random(graph, start, STEPS, random));
                let arrived = drawn.find(|walk| walk.length(graph.goal()).is_some());
                let is_kept = arrived.is_some();
                walks.extend(arrived);
                is_kept
            });
        }
        walks.truncate(count);
        Self { walks, goal: graph.goal(), nodes: graph.nodes(), steps: STEPS }
    }

    /// The share of walks that reached the goal.
    pub fn reached(&self) -> f64 {
        let reached = self.walks.iter().filter(|walk| walk.length(self.goal).is_some()).count();
        reached as f64 / self.walks.len() as f64
    }

    /// The class of a walk that never reaches the goal; smaller classes are steps to the goal.
    pub fn never(&self) -> usize {
        self.steps + 1
    }

    /// The walks as episodes: the node as one-hot observation, the node to go to as action, reward -1 a step. Walks
    /// without a step are left out.
    ///
    /// # Errors
    /// No walk has a step.
    pub fn trajectories(&self) -> Result<Trajectories, Error> {
        let mut steps = Steps::default();
        for walk in self.with_steps() {
            for (&node, &action) in walk.nodes.iter().zip(&walk.actions) {
                steps.observations.extend((0..self.nodes).map(|other| f32::from(u8::from(other == node))));
                steps.actions.push(action as f32);
                steps.rewards.push(-1.0);
            }
            steps.ends.push(steps.rewards.len());
            steps.terminated.push(walk.length(self.goal).is_some());
        }
        Trajectories::new("random walks", self.nodes, Actions::Discrete(self.nodes), steps)
    }

    /// The return of each step of the [trajectories](Self::trajectories) as a class: steps to the goal, or
    /// [`never`](Self::never).
    pub fn return_classes(&self) -> Vec<f32> {
        let classes = self.with_steps().flat_map(|walk| {
            let length = walk.length(self.goal);
            (0..walk.actions.len()).map(move |step| length.map_or(self.never(), |length| length - step))
        });
        classes.map(|class| class as f32).collect()
    }

    fn with_steps(&self) -> impl Iterator<Item = &Walk> {
        self.walks.iter().filter(|walk| !walk.actions.is_empty())
    }

    /// The training of a [network](super::network) on these walks: `steps` steps of `batch` windows that begin at any step of a
    /// walk, by AdamW with half a cosine from `rate`.
    pub fn training(&self, batch: usize, rate: f32, steps: usize, seed: u32) -> OfflineSettings {
        OfflineSettings {
            batch,
            optimiser: AdamW { beta2: BETA2, weight_decay: 1e-4, ..AdamW::default() },
            decays: |_| true,
            rate,
            schedule: Schedule::WarmUpCosine { warm_up: 20, steps, least: 0.0 },
            clip: Some(1.0),
            returns: ReturnsToGo::Given(self.return_classes()),
            return_scale: 1.0,
            standardisation: None,
            starts: Starts::Steps,
            restart_times: true,
            seed,
            losses: steps,
            steps_per_submission: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// 3 -> 2 -> 1 -> 0, with 0 the goal and a node 4 without an edge out.
    fn line() -> DirectedGraph {
        DirectedGraph::new(5, &[(3, 2), (2, 1), (1, 0), (3, 4)], 0)
    }

    #[test]
    fn walks_follow_edges_and_end_at_the_goal_or_after_their_steps() {
        let mut random = Random::new(5, 0);
        let graph = DirectedGraph::random(20, 0.1, &mut random);
        let walks = Walks::random(&graph, 500, 10, &mut random);
        let mut starts = HashSet::new();
        for Walk { nodes, actions } in &walks.walks {
            starts.insert(nodes[0]);
            assert_eq!(nodes.len(), actions.len() + 1);
            for (pair, &action) in nodes.windows(2).zip(actions) {
                let stuck = graph.successors(pair[0]).is_empty();
                assert!(if stuck { pair[1] == pair[0] } else { pair[1] == action }, "{pair:?} {action}");
                assert!(stuck || graph.successors(pair[0]).contains(&action));
                assert_ne!(pair[0], graph.goal());
            }
            let ended = nodes.last() == Some(&graph.goal());
            assert!(ended || actions.len() == 10);
        }
        assert_eq!(starts.len(), 20);
    }

    #[test]
    fn returns_are_path_lengths_or_never() {
        let walks = Walks {
            walks: vec![
                Walk { nodes: vec![2, 1, 0], actions: vec![1, 0] },
                Walk { nodes: vec![0], actions: vec![] },
                Walk { nodes: vec![4, 4, 4], actions: vec![1, 3] },
            ],
            goal: 0,
            nodes: 5,
            steps: 2,
        };
        let trajectories = walks.trajectories().unwrap();
        assert_eq!((trajectories.episodes(), trajectories.steps()), (2, 4));
        assert_eq!(trajectories.columns().rewards, [-1.0; 4]);
        assert_eq!(trajectories.columns().terminated, [true, false]);
        assert_eq!(trajectories.observation(1), [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(trajectories.columns().actions, [1.0, 0.0, 1.0, 3.0]);
        assert_eq!(walks.never(), 3);
        assert_eq!(walks.return_classes(), [2.0, 1.0, 3.0, 3.0]);
        assert!((walks.reached() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn walks_that_arrive_begin_at_every_node_with_a_way_equally_often() {
        let graph = line();
        let walks = Walks::arriving(&graph, 7, &mut Random::new(1, 0));
        let starts: Vec<usize> = walks.walks.iter().map(|walk| walk.nodes[0]).collect();
        assert_eq!(starts, [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(walks.reached(), 1.0);
        assert_eq!(walks, Walks::arriving(&graph, 7, &mut Random::new(1, 0)));
        assert_ne!(walks, Walks::arriving(&graph.with_goal(4), 7, &mut Random::new(1, 0)));
        // No edge leads to 3.
        assert!(Walks::arriving(&graph.with_goal(3), 7, &mut Random::new(1, 0)).walks.is_empty());
    }
}

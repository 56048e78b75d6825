//! Outcomes of many paths: how many are shortest, how many arrive, how long they are.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{DirectedGraph, Walk};

/// Paths of one way of choosing actions, from starts that are the same for all ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The number of paths that begin at each distance from 1 on, and what became of them.
    pub by_distance: Vec<AtDistance>,
    /// Paths with 1, 2, .. steps to the goal.
    pub lengths: Vec<usize>,
    /// Paths that did not arrive, those without any way among them.
    pub never: usize,
    /// Paths that began at the goal.
    pub at_goal: usize,
    /// Arrived paths that no walk of the data contains.
    pub original: usize,
}

/// Paths that begin at one distance from the goal.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AtDistance {
    pub distance: usize,
    pub starts: usize,
    /// Paths of the fewest steps.
    pub optimal: usize,
    /// Paths that arrived.
    pub reached: usize,
    /// Steps of all paths that arrived.
    pub steps: usize,
}

impl AtDistance {
    /// The mean steps of the paths that arrived; NaN where none did.
    pub fn mean_length(&self) -> f64 {
        self.steps as f64 / self.reached as f64
    }
}

impl Outcome {
    /// The outcome of `walks` of up to `steps` steps, beside `ways`, those of the data.
    pub fn of(graph: &DirectedGraph, walks: &[Walk], steps: usize, ways: &HashSet<&[usize]>) -> Self {
        let distances = graph.distances();
        let farthest = distances.iter().flatten().max().copied().unwrap_or(0);
        let mut outcome = Self {
            by_distance: (1..=farthest).map(|distance| AtDistance { distance, ..AtDistance::default() }).collect(),
            lengths: vec![0; steps],
            never: 0,
            at_goal: 0,
            original: 0,
        };
        for walk in walks {
            let length = walk.length(graph.goal());
            match length {
                Some(0) => {
                    outcome.at_goal += 1;
                    continue;
                }
                Some(length) => {
                    outcome.lengths[length - 1] += 1;
                    outcome.original += usize::from(!ways.contains(&walk.nodes[..=length]));
                }
                None => outcome.never += 1,
            }
            let Some(distance) = distances[walk.nodes[0]] else { continue };
            let row = &mut outcome.by_distance[distance - 1];
            row.starts += 1;
            row.optimal += usize::from(length == Some(distance));
            row.reached += usize::from(length.is_some());
            row.steps += length.unwrap_or(0);
        }
        outcome
    }

    /// The outcome of shortest paths from the same starts: the first bars of figure 6.
    pub fn shortest(graph: &DirectedGraph, starts: &[usize], steps: usize) -> Self {
        let distances = graph.distances();
        let path = |&start: &usize| {
            let mut nodes = vec![start];
            let mut node = start;
            while let Some(distance) = distances[node].filter(|&distance| distance > 0) {
                let nearer = |next: &&usize| distances[**next] == Some(distance - 1);
                node = *graph.successors(node).iter().find(nearer).expect("an edge leads nearer to the goal");
                nodes.push(node);
            }
            Walk { actions: nodes[1..].to_vec(), nodes }
        };
        let walks: Vec<Walk> = starts.iter().map(path).collect();
        Self::of(graph, &walks, steps, &HashSet::new())
    }

    /// Starts from which the goal can be reached and that are not the goal.
    pub fn reachable(&self) -> usize {
        self.by_distance.iter().map(|row| row.starts).sum()
    }

    pub fn reached(&self) -> usize {
        self.by_distance.iter().map(|row| row.reached).sum()
    }

    pub fn optimal(&self) -> usize {
        self.by_distance.iter().map(|row| row.optimal).sum()
    }

    /// The share of reachable starts with an optimal path, in percent.
    pub fn optimal_share(&self) -> f64 {
        100.0 * self.optimal() as f64 / self.reachable() as f64
    }

    /// The share of reachable starts with a path to the goal, in percent.
    pub fn reached_share(&self) -> f64 {
        100.0 * self.reached() as f64 / self.reachable() as f64
    }

    /// The share of the paths that arrived which no walk of the data contains, in percent.
    pub fn original_share(&self) -> f64 {
        100.0 * self.original as f64 / self.reached() as f64
    }

    /// True if every path from a start at `distance` or less is optimal.
    pub fn solves(&self, distance: usize) -> bool {
        self.by_distance.iter().filter(|row| row.distance <= distance).all(|row| row.optimal == row.starts)
    }
}

/// All ways to the goal in the data, parts of walks included.
pub fn ways(walks: &[Walk], goal: usize) -> HashSet<&[usize]> {
    let suffixes = |walk: &'_ Walk| -> Vec<std::ops::Range<usize>> {
        walk.length(goal).map(|end| (0..end).map(|start| start..end + 1).collect()).unwrap_or_default()
    };
    walks.iter().flat_map(|walk| suffixes(walk).into_iter().map(|range| &walk.nodes[range])).collect()
}

#[cfg(test)]
mod tests {
    use fourfold::shaders::random::threefry::Random;

    use super::*;
    use crate::experiments::dt::shortest_paths::Walks;

    /// 3 -> 2 -> 1 -> 0, 3 -> 0, and 4 from which no path leads to the goal 0.
    fn graph() -> DirectedGraph {
        DirectedGraph::new(5, &[(3, 2), (2, 1), (1, 0), (3, 0)], 0)
    }

    fn walk(nodes: &[usize]) -> Walk {
        Walk { nodes: nodes.to_vec(), actions: nodes[1..].to_vec() }
    }

    #[test]
    fn paths_are_counted_by_distance_and_length() {
        let walks =
            [walk(&[3, 0]), walk(&[3, 2, 1, 0]), walk(&[2, 2, 2, 2]), walk(&[0]), walk(&[4, 4]), walk(&[2, 1, 0])];
        let ways = HashSet::from([&[3, 0][..], &[2, 1, 0]]);
        let outcome = Outcome::of(&graph(), &walks, 3, &ways);
        assert_eq!(outcome.lengths, [1, 1, 1]);
        assert_eq!((outcome.never, outcome.at_goal, outcome.original), (2, 1, 1));
        assert_eq!((outcome.reachable(), outcome.reached(), outcome.optimal()), (4, 3, 2));
        assert_eq!(outcome.by_distance[0], AtDistance { distance: 1, starts: 2, optimal: 1, reached: 2, steps: 4 });
        assert_eq!(outcome.by_distance[0].mean_length(), 2.0);
        assert_eq!(outcome.by_distance[1], AtDistance { distance: 2, starts: 2, optimal: 1, reached: 1, steps: 2 });
        assert_eq!((outcome.optimal_share(), outcome.reached_share()), (50.0, 75.0));
        assert!((outcome.original_share() - 100.0 / 3.0).abs() < 1e-9);
        assert!(!outcome.solves(1));
    }

    #[test]
    fn shortest_paths_are_optimal_wherever_there_is_a_path() {
        let outcome = Outcome::shortest(&graph(), &[0, 1, 2, 3, 4], 10);
        assert_eq!((outcome.optimal(), outcome.reachable(), outcome.never, outcome.at_goal), (3, 3, 1, 1));
        assert_eq!(&outcome.lengths[..3], [2, 1, 0]);
        assert!(outcome.solves(2));
    }

    #[test]
    fn ways_are_the_ends_of_walks_that_reached_the_goal() {
        // 3 -> 2 -> 1 -> 0, with 0 the goal and a node 4 without an edge out.
        let graph = DirectedGraph::new(5, &[(3, 2), (2, 1), (1, 0), (3, 4)], 0);
        let data = Walks::random(&graph, 200, 10, &mut Random::new(1, 0));
        assert_eq!(ways(&data.walks, 0), HashSet::from([&[1, 0][..], &[2, 1, 0], &[3, 2, 1, 0]]));
    }
}

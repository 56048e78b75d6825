//! Random directed graphs with a goal, and the distances to it.

use fourfold_shaders::random::threefry::Random;

use super::{NODES, SPARSITY};

/// A directed graph without loops, one of whose nodes is the goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectedGraph {
    /// The nodes that an edge leads to from each node, ascending.
    edges: Vec<Vec<usize>>,
    goal: usize,
}

/// Which random graphs are kept: those like the one behind the paper's figure 6, which had 4, 7, 4, 2 and 1 nodes at
/// distances 1 to 5 and one from which no path leads to the goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphFilter {
    /// Nodes at distance 1, 2, ..; there are none farther away.
    pub at_distance: Vec<usize>,
    /// The tolerance of each of these numbers; there is at least one node at each distance.
    pub tolerance: usize,
    /// The most nodes from which no path leads to the goal.
    pub unreachable: usize,
}

impl GraphFilter {
    /// The filter of the paper's figure 6.
    pub fn figure_6() -> Self {
        Self { at_distance: vec![4, 7, 4, 2, 1], tolerance: 1, unreachable: 2 }
    }

    /// Returns true for the distances of a graph that passes.
    pub fn keeps(&self, distances: &[Option<usize>]) -> bool {
        let count = |distance: Option<usize>| distances.iter().filter(|&&other| other == distance).count();
        let near = |(index, &wanted): (usize, &usize)| {
            let found = count(Some(index + 1));
            found > 0 && found.abs_diff(wanted) <= self.tolerance
        };
        self.at_distance.iter().enumerate().all(near)
            && count(Some(self.at_distance.len() + 1)) == 0
            && count(None) <= self.unreachable
    }
}

/// Random graphs that are tried before a filter is given up.
const TRIES: usize = 1_000_000;

impl DirectedGraph {
    /// The graph of the given edges.
    ///
    /// # Panics
    /// Node index out of range, or a self-loop.
    pub fn new(nodes: usize, edges: &[(usize, usize)], goal: usize) -> Self {
        assert!(goal < nodes, "the goal is a node");
        let mut lists = vec![Vec::new(); nodes];
        for &(from, to) in edges {
            assert!(from != to && to < nodes, "an edge leads to another node");
            lists[from].push(to);
        }
        for list in &mut lists {
            list.sort_unstable();
            list.dedup();
        }
        Self { edges: lists, goal }
    }

    /// A graph in which each of the `nodes * (nodes - 1)` edges is there with probability `sparsity`; the goal is node 0.
    pub fn random(nodes: usize, sparsity: f32, random: &mut Random) -> Self {
        let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        let edges: Vec<_> = pairs.filter(|(from, to)| from != to).filter(|_| random.uniform() < sparsity).collect();
        Self::new(nodes, &edges, 0)
    }

    /// Draws random graphs until one passes the filter; returns it and how many were drawn, or none if a million fail.
    pub fn filtered(nodes: usize, sparsity: f32, filter: &GraphFilter, random: &mut Random) -> Option<(Self, usize)> {
        (1..=TRIES).find_map(|tries| {
            let graph = Self::random(nodes, sparsity, random);
            filter.keeps(&graph.distances()).then_some((graph, tries))
        })
    }

    /// Returns the graph of a seed, like that of the paper's figure 6, and how many were drawn; none if a million fail.
    pub fn of_seed(seed: u32) -> Option<(Self, usize)> {
        Self::filtered(NODES, SPARSITY, &GraphFilter::figure_6(), &mut Random::new(seed, 0))
    }

    /// Returns the graph with another goal.
    ///
    /// # Panics
    /// Node index out of range.
    pub fn with_goal(&self, goal: usize) -> Self {
        assert!(goal < self.nodes(), "the goal is a node");
        Self { edges: self.edges.clone(), goal }
    }

    /// Returns the number of nodes.
    pub fn nodes(&self) -> usize {
        self.edges.len()
    }

    /// Returns the goal.
    pub fn goal(&self) -> usize {
        self.goal
    }

    /// The nodes to which an edge leads from `node`, ascending.
    pub fn successors(&self, node: usize) -> &[usize] {
        &self.edges[node]
    }

    /// Returns the number of edges.
    pub fn edge_count(&self) -> usize {
        self.edges.iter().map(Vec::len).sum()
    }

    /// Where an agent stands after it chose to go from `node` to `towards`: it stays where no edge leads there, and at
    /// the goal.
    pub fn step(&self, node: usize, towards: usize) -> usize {
        let leads = node != self.goal && self.edges[node].binary_search(&towards).is_ok();
        if leads { towards } else { node }
    }

    /// The fewest steps from each node to the goal, by a breadth-first search against the edges; none where no path
    /// leads there.
    pub fn distances(&self) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.nodes()];
        distances[self.goal] = Some(0);
        let mut reached = vec![self.goal];
        for distance in 1.. {
            let nears = |node: &usize| self.edges[*node].iter().any(|next| reached.contains(next));
            let next: Vec<usize> = (0..self.nodes()).filter(|&node| distances[node].is_none()).filter(nears).collect();
            if next.is_empty() {
                break;
            }
            for &node in &next {
                distances[node] = Some(distance);
            }
            reached = next;
        }
        distances
    }

    /// Returns the nodes by their distance: the goal alone, its neighbours, .., and last those from which no path leads to
    /// the goal, where there are such.
    pub fn by_distance(&self) -> Vec<Vec<usize>> {
        let distances = self.distances();
        let farthest = distances.iter().flatten().max().copied().unwrap_or(0);
        let wanted = (0..=farthest).map(Some).chain([None]);
        let all = wanted.map(|wanted| (0..self.nodes()).filter(|&node| distances[node] == wanted).collect());
        all.filter(|nodes: &Vec<usize>| !nodes.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fewest steps by trying all walks, of as many steps as there are nodes at most.
    fn by_brute_force(graph: &DirectedGraph, node: usize) -> Option<usize> {
        let mut places = vec![node];
        for steps in 0..=graph.nodes() {
            if places.contains(&graph.goal()) {
                return Some(steps);
            }
            places = places.iter().flat_map(|&place| graph.successors(place).to_vec()).collect();
            places.sort_unstable();
            places.dedup();
        }
        None
    }

    #[test]
    fn distances_are_those_of_all_walks_tried() {
        let mut random = Random::new(3, 0);
        let mut unreachable = 0;
        for _ in 0..50 {
            let graph = DirectedGraph::random(12, 0.12, &mut random);
            for (node, distance) in graph.distances().into_iter().enumerate() {
                assert_eq!(distance, by_brute_force(&graph, node), "{node} in {graph:?}");
                unreachable += usize::from(distance.is_none());
            }
        }
        assert!(unreachable > 0);
    }

    #[test]
    fn another_goal_has_other_distances_on_the_same_edges() {
        let graph = DirectedGraph::new(3, &[(1, 2), (2, 0)], 0);
        assert_eq!(graph.distances(), [Some(0), Some(2), Some(1)]);
        let other = graph.with_goal(2);
        assert_eq!((other.goal(), other.distances()), (2, vec![None, Some(1), Some(0)]));
        assert_eq!(other.with_goal(0), graph);
    }

    #[test]
    fn a_random_graph_has_its_share_of_edges_and_no_loops() {
        let graph = DirectedGraph::random(200, 0.1, &mut Random::new(0, 0));
        let share = graph.edge_count() as f64 / (200.0 * 199.0);
        assert!((share - 0.1).abs() < 0.005, "{share}");
        assert!((0..200).all(|node| !graph.successors(node).contains(&node)));
    }

    #[test]
    fn a_filtered_graph_looks_like_the_papers() {
        for seed in 0..5 {
            let (graph, _) = DirectedGraph::of_seed(seed).unwrap();
            let distances = graph.distances();
            let counts: Vec<usize> =
                (1..=6).map(|steps| distances.iter().filter(|&&distance| distance == Some(steps)).count()).collect();
            for (count, wanted) in counts.iter().zip([4usize, 7, 4, 2, 1, 0]) {
                assert!(count.abs_diff(wanted) <= 1 && (*count > 0 || wanted == 0), "{counts:?}");
            }
            assert!(distances.iter().filter(|distance| distance.is_none()).count() <= 2);
        }
    }

    #[test]
    fn a_filter_that_nothing_passes_gives_no_graph() {
        let filter = GraphFilter { at_distance: vec![4], tolerance: 0, unreachable: 0 };
        assert_eq!(DirectedGraph::filtered(3, 0.5, &filter, &mut Random::new(0, 0)), None);
    }

    #[test]
    fn nodes_are_listed_by_distance_and_those_without_a_way_last() {
        let graph = DirectedGraph::new(6, &[(1, 0), (2, 0), (3, 1), (4, 3), (0, 5)], 0);
        assert_eq!(graph.by_distance(), [vec![0], vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn an_agent_stays_without_an_edge_and_at_the_goal() {
        let graph = DirectedGraph::new(3, &[(1, 2), (2, 0), (0, 1)], 0);
        assert_eq!(graph.step(1, 2), 2);
        assert_eq!(graph.step(1, 0), 1);
        assert_eq!(graph.step(0, 1), 0);
    }
}

//! The graph as a picture: the goal at the right, every other node in the column of its distance.

use super::{DirectedGraph, Walk};
use crate::failure::Failure;
use crate::picture::canvas::{Anchor, Canvas, FINE, picture};
use crate::picture::colour::{BLACK, COLOURS, Colour, WHITE, tint};

const COLUMN: f64 = 150.0;
const ROW: f64 = 78.0;
const RADIUS: f64 = 17.0;
const MARGIN: f64 = 56.0;

/// Returns the bytes of a PNG file that shows the graph, with a path in colour.
pub fn png(graph: &DirectedGraph, path: &Walk, title: &str) -> Result<Vec<u8>, Failure> {
    let (places, [width, height]) = places(graph);
    let length = path.length(graph.goal()).unwrap_or(path.nodes.len() - 1);
    let taken: Vec<(usize, usize)> = path.nodes[..=length].windows(2).map(|pair| (pair[0], pair[1])).collect();
    let grey = tint(BLACK, 0.3);
    let bitmap = picture(width, height, FINE, |canvas| {
        canvas.text(title, (width / 2.0, 26.0), 20.0, Anchor::Middle, BLACK);
        for from in 0..graph.nodes() {
            for &to in graph.successors(from).iter().filter(|&&to| !taken.contains(&(from, to))) {
                arrow(canvas, places[from], places[to], 1.0, grey);
            }
        }
        for &(from, to) in taken.iter().filter(|(from, to)| from != to) {
            arrow(canvas, places[from], places[to], 3.0, COLOURS[1]);
        }
        for (node, &place) in places.iter().enumerate() {
            let (fill, text) = match node {
                node if node == graph.goal() => (COLOURS[2], WHITE),
                node if path.nodes[..=length].contains(&node) => (COLOURS[1], WHITE),
                _ => (tint(COLOURS[0], 0.35), BLACK),
            };
            canvas.disc(place, RADIUS, fill);
            canvas.text(&node.to_string(), place, 16.0, Anchor::Middle, text);
        }
        let mut named = Vec::new();
        for (node, distance) in graph.distances().into_iter().enumerate() {
            if !named.contains(&distance) {
                named.push(distance);
                let name = match distance {
                    Some(0) => "goal".to_owned(),
                    Some(1) => "1 step".to_owned(),
                    Some(distance) => format!("{distance} steps"),
                    None => "no way".to_owned(),
                };
                canvas.text(&name, (places[node].0, height - 22.0), 15.0, Anchor::Middle, BLACK);
            }
        }
    });
    bitmap.png()
}

/// Returns where each node stands, and the size of the picture. Columns are a little out of line, so that few edges lie on others.
pub(super) fn places(graph: &DirectedGraph) -> (Vec<(f64, f64)>, [f64; 2]) {
    // From the right: the goal, its neighbours, .., and last the nodes without a way.
    let columns = graph.by_distance();
    let rows = columns.iter().map(Vec::len).max().unwrap_or(1);
    let size = [2.0 * MARGIN + COLUMN * (columns.len() - 1) as f64, 2.0 * MARGIN + 20.0 + ROW * rows as f64];
    let mut places = vec![(0.0, 0.0); graph.nodes()];
    for (column, nodes) in columns.iter().enumerate() {
        for (index, &node) in nodes.iter().enumerate() {
            let middle = index as f64 - (nodes.len() as f64 - 1.0) / 2.0;
            let aside = if index % 2 == 0 { -0.16 } else { 0.16 };
            let aside = if nodes.len() > 1 { aside * COLUMN } else { 0.0 };
            places[node] = (size[0] - MARGIN - COLUMN * column as f64 + aside, size[1] / 2.0 + ROW * middle);
        }
    }
    (places, size)
}

/// Draws an arrow between the rims of two discs.
fn arrow(canvas: &Canvas, from: (f64, f64), to: (f64, f64), width: f64, colour: Colour) {
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let length = x.hypot(y);
    let (x, y) = (x / length, y / length);
    // Two edges between the same nodes lie side by side.
    let (from, to) = ((from.0 - 3.0 * y, from.1 + 3.0 * x), (to.0 - 3.0 * y, to.1 + 3.0 * x));
    let at = |point: (f64, f64), along: f64, across: f64| {
        (point.0 + along * x - across * y, point.1 + along * y + across * x)
    };
    let head = 7.0 + 1.5 * width;
    let tip = at(to, -RADIUS, 0.0);
    canvas.line(&[at(from, RADIUS, 0.0), at(tip, -0.6 * head, 0.0)], width, colour);
    canvas.polygon(&[tip, at(tip, -head, 0.4 * head), at(tip, -head, -0.4 * head)], colour);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_in_the_column_of_their_distance_and_apart() {
        let graph = DirectedGraph::new(6, &[(1, 0), (2, 0), (3, 1), (4, 3), (0, 5)], 0);
        let (places, [width, height]) = places(&graph);
        assert!(places.iter().all(|&(x, y)| x > 0.0 && x < width && y > 0.0 && y < height));
        for nearer_and_farther in [[0, 1], [1, 3], [2, 3], [3, 4], [4, 5]] {
            let [nearer, farther] = nearer_and_farther.map(|node| places[node].0);
            assert!(nearer > farther, "{nearer_and_farther:?}");
        }
        for (index, a) in places.iter().enumerate() {
            assert!(places[..index].iter().all(|b| (a.0 - b.0).hypot(a.1 - b.1) > 2.0 * RADIUS));
        }
    }

    #[test]
    fn the_picture_shows_the_path() {
        let graph = DirectedGraph::new(4, &[(1, 0), (2, 1), (3, 2)], 0);
        let coloured = |nodes: &[usize]| {
            let walk = Walk { nodes: nodes.to_vec(), actions: nodes[1..].to_vec() };
            let bytes = png(&graph, &walk, "a path").unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            let Colour(red, green, blue) = COLOURS[1];
            pixels.chunks_exact(3).filter(|pixel| **pixel == [red, green, blue]).count()
        };
        assert!(coloured(&[3, 2, 1, 0]) > coloured(&[2, 1, 0]) + 500);
    }
}

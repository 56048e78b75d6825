//! The objective over two parameters, and the paths of theta on it.

use fourfold::Gpu;

use super::task::Task;
use super::trace::Trace;
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::heat_map::HeatMap;
use crate::picture::plot::Line;

/// The estimators whose paths are drawn first.
const SHOWN: [&str; 4] = ["PES", "truncated ES", "full ES", "TBPTT"];

/// Points that are evaluated at a time.
const POINTS: usize = 1 << 14;

/// Draws the picture, where the problem has two parameters and a part of the plane to show, with the paths of one seed.
///
/// # Errors
/// Out of memory, or the loss of the device.
pub fn picture(gpu: &Gpu, task: &Task, traces: &[Trace], seed: u64, pixels: usize) -> Result<Option<Vec<u8>>, Failure> {
    let (Some(map), [x, y]) = (&task.map, &task.parameters[..]) else { return Ok(None) };
    let [x, y] = [x, y].map(|&name| Axis::new(name));
    let rectangle = [map.x.clone(), map.y.clone()];
    let cells = HeatMap::cells(&x, &y, &rectangle, pixels, pixels);
    let points: Vec<f32> = cells.into_iter().flat_map(|(x, y)| [x as f32, y as f32]).collect();
    let values = task.judge(gpu, POINTS.min(pixels * pixels))?.judge(&points)?;
    let of_seed = || traces.iter().filter(|trace| trace.seed == seed);
    // Those whose ends differ: the estimators that the picture is about come first.
    let shown: Vec<&Trace> =
        SHOWN.iter().filter_map(|name| of_seed().find(|trace| trace.entry.starts_with(name))).collect();
    let others = of_seed().filter(|trace| shown.iter().all(|shown| shown.entry != trace.entry));
    let paths = shown.iter().copied().chain(others).map(|trace| {
        Line::new(trace.entry.clone(), trace.points.iter().map(|point| (point.theta[0].into(), point.theta[1].into())))
    });
    let heat_map = HeatMap {
        title: format!("{}: seed {seed}", task.name),
        x,
        y,
        rectangle,
        columns: pixels,
        values,
        colours: Axis { range: Some(map.colours.clone()), logarithmic: true, ..Axis::new(task.objective) },
        paths: paths.collect(),
        marks: task.best.iter().map(|best| (best[0], best[1])).collect(),
    };
    heat_map.png(900, 650).map(Some)
}

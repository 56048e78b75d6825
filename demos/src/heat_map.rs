//! A function of two numbers as colours, with paths over it, as a PNG image.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::colors::colormaps::ViridisRGB;

use crate::Failure;
use crate::bitmap::{Area, Bitmap, Drawn, FONT};
use crate::plot::{Axis, COLOURS, Line};

/// Values over a rectangle of two axes. Dark is low.
#[derive(Debug, Clone, Default)]
pub struct HeatMap {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// The rectangle in x and y, from the outer edges of its cells.
    pub rectangle: [Range<f64>; 2],
    /// Cells in a row.
    pub columns: usize,
    /// Row by row from the lowest y on, each from the lowest x on: the value in the middle of each cell. Those that are
    /// not finite are left white.
    pub values: Vec<f64>,
    /// What the values are, with their scale.
    pub colours: Axis,
    /// Paths over the map: a ring where one begins, a disc where it ends. Points outside the map are left out.
    pub paths: Vec<Line>,
}

/// Pixels of the bar that tells which colour is which value.
const BAR: u32 = 150;

impl HeatMap {
    /// The middles of the cells, in the order of the values: where these are to be taken.
    pub fn cells(x: &Axis, y: &Axis, rectangle: &[Range<f64>; 2], columns: usize, rows: usize) -> Vec<(f64, f64)> {
        let middle = |axis: &Axis, range: &Range<f64>, index: usize, count: usize| {
            let [low, high] = [axis.place(range.start), axis.place(range.end)];
            axis.value(low + (high - low) * (index as f64 + 0.5) / count as f64)
        };
        let rows = (0..rows).map(|row| middle(y, &rectangle[1], row, rows));
        rows.flat_map(|y| (0..columns).map(move |column| (middle(x, &rectangle[0], column, columns), y))).collect()
    }

    /// The map as the bytes of a PNG file of the given size in pixels.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        Bitmap::draw(width, height, |area| self.draw(area))?.png()
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let (width, _) = area.dim_in_pixel();
        let (map, bar) = area.split_horizontally(width.saturating_sub(BAR));
        let scale = self.scale();
        self.draw_map(&map, &scale)?;
        self.draw_bar(&bar, &scale)
    }

    /// The places of the lowest and the highest value.
    fn scale(&self) -> Range<f64> {
        self.colours.extent(self.values.iter().map(|&value| self.colours.place(value)), 0.0)
    }

    fn draw_map(&self, area: &Area<'_>, scale: &Range<f64>) -> Drawn {
        let [x_range, y_range] = [(&self.x, &self.rectangle[0]), (&self.y, &self.rectangle[1])]
            .map(|(axis, range)| axis.place(range.start)..axis.place(range.end));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(x_range.clone(), y_range.clone())?;
        let columns = self.columns.max(1);
        let rows = self.values.len().div_ceil(columns).max(1);
        let step = |range: &Range<f64>, count: usize| (range.end - range.start) / count as f64;
        let (across, up) = (step(&x_range, columns), step(&y_range, rows));
        let cells = self.values.iter().enumerate().filter_map(|(index, &value)| {
            let place = Some(self.colours.place(value)).filter(|place| place.is_finite())?;
            let left = x_range.start + across * (index % columns) as f64;
            let bottom = y_range.start + up * (index / columns) as f64;
            Some(Rectangle::new([(left, bottom), (left + across, bottom + up)], colour(place, scale).filled()))
        });
        chart.draw_series(cells.collect::<Vec<_>>())?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_label_formatter(&|place| self.x.name(*place))
            .y_label_formatter(&|place| self.y.name(*place))
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 17))
            .draw()?;
        for (index, path) in self.paths.iter().enumerate() {
            // The first colour of plots is near the colours of the map.
            let colour = COLOURS[(index + 1) % COLOURS.len()];
            let inside = |&(x, y): &(f64, f64)| x_range.contains(&x) && y_range.contains(&y);
            let places = path.points.iter().map(|&(x, y)| (self.x.place(x), self.y.place(y)));
            let points: Vec<(f64, f64)> = places.filter(inside).collect();
            chart.draw_series(LineSeries::new(points.iter().copied(), WHITE.stroke_width(5)))?;
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(3)))?
                .label(&path.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
            if let (Some(&first), Some(&last)) = (points.first(), points.last()) {
                chart.draw_series([
                    Circle::new(first, 7, WHITE.stroke_width(5)),
                    Circle::new(first, 7, colour.stroke_width(3)),
                    Circle::new(last, 8, WHITE.filled()),
                    Circle::new(last, 6, colour.filled()),
                ])?;
            }
        }
        if self.paths.iter().any(|path| !path.name.is_empty()) {
            chart
                .configure_series_labels()
                .label_font((FONT, 16))
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.2))
                .legend_area_size(32)
                .margin(8)
                .draw()?;
        }
        Ok(())
    }

    fn draw_bar(&self, area: &Area<'_>, scale: &Range<f64>) -> Drawn {
        const SHADES: usize = 128;
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_top(56)
            .margin_bottom(64)
            .margin_left(4)
            .y_label_area_size(90)
            .build_cartesian_2d(0.0..1.0, scale.clone())?;
        let step = (scale.end - scale.start) / SHADES as f64;
        chart.draw_series((0..SHADES).map(|index| {
            let low = scale.start + step * index as f64;
            Rectangle::new([(0.0, low), (1.0, low + step)], colour(low + 0.5 * step, scale).filled())
        }))?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_x_axis()
            .y_desc(&self.colours.label)
            .y_label_formatter(&|place| self.colours.name(*place))
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 17))
            .draw()?;
        Ok(())
    }
}

fn colour(place: f64, scale: &Range<f64>) -> RGBColor {
    ViridisRGB::get_color_normalized(place.clamp(scale.start, scale.end), scale.start, scale.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: Vec<f64>, columns: usize, paths: Vec<Line>) -> Vec<u8> {
        let map = HeatMap { rectangle: [0.0..4.0, 0.0..4.0], columns, values, paths, ..HeatMap::default() };
        map.png(500, 400).unwrap()
    }

    fn count(bytes: &[u8], colour: RGBColor) -> usize {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels.chunks_exact(3).filter(|pixel| *pixel == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn cells_are_taken_in_their_middles_from_the_lowest_row_on() {
        let (linear, logarithmic) = (Axis::default(), Axis { logarithmic: true, ..Axis::default() });
        let cells = HeatMap::cells(&linear, &logarithmic, &[0.0..4.0, 1.0..100.0], 2, 1);
        assert_eq!(cells.iter().map(|cell| cell.0).collect::<Vec<_>>(), [1.0, 3.0]);
        assert!(cells.iter().all(|cell| (cell.1 - 10.0).abs() < 1e-9), "{cells:?}");
    }

    #[test]
    fn low_is_dark_and_what_is_not_finite_white() {
        let ends = [0.0, 1.0].map(|place| colour(place, &(0.0..1.0)));
        let [low, high] = ends.map(|colour| count(&map(vec![0.0, 1.0], 2, Vec::new()), colour));
        assert!(low > 10_000 && low.abs_diff(high) < low / 20, "{low} dark and {high} bright pixels");
        let [low, missing] = ends.map(|colour| count(&map(vec![0.0, f64::NAN, 1.0, 0.0], 2, Vec::new()), colour));
        assert!(low > 10_000 && missing < low, "{low} dark and {missing} bright pixels");
    }

    #[test]
    fn a_path_lies_over_the_map_and_points_outside_are_left_out() {
        let path = |points: &[(f64, f64)]| Line { name: "PES".into(), points: points.to_vec(), band: Vec::new() };
        let drawn = map(vec![1.0; 16], 4, vec![path(&[(1.0, 1.0), (3.0, 3.0), (90.0, 3.0)])]);
        assert!(count(&drawn, COLOURS[1]) > 300);
        map(vec![], 4, vec![path(&[(9.0, 9.0)]), path(&[])]);
    }
}

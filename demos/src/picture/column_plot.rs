//! Groups of upright bars: several series over common categories.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::failure::Failure;
use crate::picture::bitmap::{Area, Bitmap, Drawn, FONT};
use crate::picture::plot::COLOURS;

/// Upright bars, one of each series over each category.
#[derive(Debug, Clone, Default)]
pub struct ColumnPlot {
    pub title: String,
    /// The name of the categories.
    pub x: String,
    /// The meaning of the height of a bar.
    pub y: String,
    pub categories: Vec<String>,
    pub series: Vec<Columns>,
}

/// The bars of one series.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    pub name: String,
    /// One for each category, from 0 up or down.
    pub heights: Vec<f64>,
    /// Half the length of the line through the end of each bar, a deviation say; empty for none.
    pub spreads: Vec<f64>,
}

impl Columns {
    fn low(&self, category: usize) -> f64 {
        self.heights[category] - self.spreads.get(category).copied().unwrap_or(0.0)
    }

    fn high(&self, category: usize) -> f64 {
        self.heights[category] + self.spreads.get(category).copied().unwrap_or(0.0)
    }
}

/// The share of a category's width that its bars take.
const FILLED: f64 = 0.8;

impl ColumnPlot {
    /// The plot as the bytes of a PNG file of the given size in pixels.
    ///
    /// # Errors
    /// If the picture cannot be drawn or encoded.
    pub fn png(&self, width: u32, height: u32) -> Result<Vec<u8>, Failure> {
        Bitmap::draw(width, height, |area| self.draw(area))?.png()
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let ends = self.series.iter().flat_map(|series| {
            let ends = |(index, height): (usize, &f64)| [series.low(index), series.high(index), *height];
            series.heights.iter().enumerate().flat_map(ends)
        });
        let (lowest, highest) = ends
            .filter(|end| end.is_finite())
            .fold((0.0, 0.0), |(low, high): (f64, f64), end| (low.min(end), high.max(end)));
        let top = if highest > 0.0 { 1.08 * highest } else { 1.0 };
        let count = self.categories.len().max(1) as f64;
        // The names of a few series lie above the bars; those of many stand beside them.
        const FEW: usize = 4;
        let many = self.series.len() > FEW;
        let beside = if many { 0.16 * count } else { 0.0 };
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 24))
            .margin(16)
            .x_label_area_size(56)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..count + beside, 1.08 * lowest..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .x_desc(&self.x)
            .y_desc(&self.y)
            .y_label_formatter(&|height| format!("{height}"))
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 17))
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .draw()?;
        let bar = FILLED / self.series.len().max(1) as f64;
        for (index, series) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let left = |category: usize| category as f64 + (1.0 - FILLED) / 2.0 + bar * index as f64;
            let bars = series.heights.iter().enumerate().filter(|(_, height)| height.is_finite());
            let bars = bars.map(|(category, &height)| {
                let left = left(category);
                Rectangle::new([(left, 0.0), (left + 0.92 * bar, height)], colour.filled())
            });
            let name = move |(x, y)| Rectangle::new([(x, y - 6), (x + 16, y + 6)], colour.filled());
            chart.draw_series(bars)?.label(&series.name).legend(name);
            let lines = series.spreads.iter().enumerate().filter(|(_, spread)| spread.is_finite());
            chart.draw_series(lines.map(|(category, _)| {
                let middle = left(category) + 0.46 * bar;
                PathElement::new(
                    [(middle, series.low(category)), (middle, series.high(category))],
                    BLACK.stroke_width(2),
                )
            }))?;
        }
        // Names stand under the middle of their bars; the axis' own marks would fall between them.
        let style = TextStyle::from((FONT, 16).into_font()).pos(Pos::new(HPos::Center, VPos::Top));
        for (category, name) in self.categories.iter().enumerate() {
            let (x, y) = chart.plotting_area().map_coordinate(&(category as f64 + 0.5, 1.08 * lowest));
            area.draw_text(name, &style, (x, y + 8))?;
        }
        chart
            .configure_series_labels()
            .position(if many { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::UpperMiddle })
            .label_font((FONT, 16))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .legend_area_size(24)
            .margin(8)
            .draw()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels of a colour in a plot of two series over three categories.
    fn pixels(heights: [[f64; 3]; 2]) -> [usize; 2] {
        let series = |index: usize| Columns {
            name: format!("series {index}"),
            heights: heights[index].to_vec(),
            ..Columns::default()
        };
        let plot = ColumnPlot {
            title: "Steps".into(),
            x: "steps".into(),
            y: "paths".into(),
            categories: vec!["1".into(), "2".into(), "never".into()],
            series: vec![series(0), series(1)],
        };
        let bytes = plot.png(600, 400).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        [0, 1].map(|index| {
            let RGBColor(red, green, blue) = COLOURS[index];
            pixels.chunks_exact(3).filter(|pixel| **pixel == [red, green, blue]).count()
        })
    }

    #[test]
    fn bars_are_as_large_as_their_numbers() {
        // The legend of a series, besides its bars.
        let legend = pixels([[0.0; 3], [0.0; 3]]);
        let [first, second] = pixels([[1.0, 2.0, 3.0], [1.0, f64::NAN, 0.5]]);
        let ratio = (first - legend[0]) as f64 / (second - legend[1]) as f64;
        assert!((3.8..4.2).contains(&ratio), "{ratio}");
    }
}

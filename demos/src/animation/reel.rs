//! A film whose steps are drawings, with curves over the episode below them.

use console::style;

use super::Animation;
use super::dots::{Dots, level, painted};
use super::drawing::{DIM, Drawing};
use crate::picture::bitmap::Bitmap;
use crate::picture::canvas::{Anchor, Frame, picture};
use crate::picture::colour::{COLOURS, Colour, WHITE};

/// A film.
#[derive(Debug, Clone, PartialEq)]
pub struct Reel {
    pub title: String,
    /// Seconds of a step.
    pub time_step: f64,
    /// The sum of all rewards.
    pub score: f64,
    /// The steps in which the inputs were shuffled.
    pub shuffles: Vec<usize>,
    /// At least one, all of one size.
    pub scenes: Vec<Scene>,
    pub curves: Vec<Curve>,
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    pub drawing: Drawing,
    /// The words above it, at the left and at the right.
    pub words: [String; 2],
}

/// A number over the episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub name: String,
    /// One for each step.
    pub values: Vec<f64>,
    /// The values at the bottom and at the top.
    pub range: [f64; 2],
}

impl Curve {
    /// Returns a curve over its own range, 0 included.
    pub fn new(name: &str, values: Vec<f64>) -> Self {
        let lowest = values.iter().copied().fold(0.0, f64::min);
        let highest = values.iter().copied().fold(0.0, f64::max);
        let range = if highest > lowest { [lowest, highest] } else { [0.0, 1.0] };
        Self { name: name.to_owned(), values, range }
    }

    fn share(&self, step: usize) -> f64 {
        ((self.values[step] - self.range[0]) / (self.range[1] - self.range[0])).clamp(0.0, 1.0)
    }

    fn number(&self, step: usize) -> String {
        let value = self.values[step];
        if self.range[1] - self.range[0] > 20.0 { format!("{value:+.0}") } else { format!("{value:+.2}") }
    }
}

const WIDTH: f64 = 720.0;
const STAGE: f64 = 250.0;
const ROW: f64 = 40.0;
const INK: Colour = Colour(40, 40, 40);
const GREY: Colour = Colour(110, 110, 110);
const PALE: Colour = Colour(242, 242, 242);

/// Seconds for which a shuffle is pointed out.
const NEWS: f64 = 0.6;

/// Rows of characters of the widest and lowest drawing that is shown.
const STAGE_ROWS: std::ops::RangeInclusive<usize> = 4..=14;

impl Reel {
    /// Returns true for some steps after the inputs were shuffled.
    fn is_news(&self, index: usize) -> bool {
        let news = (NEWS / self.time_step) as usize;
        self.shuffles.iter().any(|&shuffle| (shuffle..=shuffle + news).contains(&index))
    }

    fn stage_rows(&self, columns: usize) -> usize {
        let wanted = (2.0 * columns as f64 * self.scenes[0].drawing.aspect() / 4.0).ceil() as usize;
        wanted.clamp(*STAGE_ROWS.start(), *STAGE_ROWS.end())
    }
}

impl Animation for Reel {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn length(&self) -> usize {
        self.scenes.len()
    }

    fn time_step(&self) -> f64 {
        self.time_step
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn shuffles(&self) -> Vec<usize> {
        self.shuffles.clone()
    }

    fn frame(&self, index: usize) -> Bitmap {
        let height = 48.0 + STAGE + 12.0 + ROW * self.curves.len() as f64 + 14.0;
        let scene = &self.scenes[index];
        picture(WIDTH, height, 1, |canvas| {
            canvas.text(&scene.words[0], (24.0, 24.0), 20.0, Anchor::Left, INK);
            canvas.text(&scene.words[1], (WIDTH - 24.0, 24.0), 20.0, Anchor::Right, INK);
            if self.is_news(index) {
                canvas.rectangle(Frame { left: 270.0, top: 9.0, width: 180.0, height: 30.0 }, INK);
                canvas.text("inputs shuffled", (WIDTH / 2.0, 24.0), 18.0, Anchor::Middle, WHITE);
            }
            scene.drawing.paint(canvas, Frame { left: 20.0, top: 48.0, width: WIDTH - 40.0, height: STAGE });
            for (row, curve) in self.curves.iter().enumerate() {
                let top = 60.0 + STAGE + ROW * row as f64;
                let frame = Frame { left: 176.0, top: top + 3.0, width: 520.0, height: ROW - 8.0 };
                let middle = top + ROW / 2.0;
                canvas.text(&curve.name, (24.0, middle), 15.0, Anchor::Left, INK);
                canvas.text(&curve.number(index), (166.0, middle), 15.0, Anchor::Right, GREY);
                canvas.rectangle(frame, PALE);
                let step = frame.width / (self.scenes.len().max(2) - 1) as f64;
                let place = |at: usize| {
                    (frame.left + step * at as f64, frame.bottom() - 3.0 - (frame.height - 6.0) * curve.share(at))
                };
                for &shuffle in self.shuffles.iter().filter(|&&shuffle| shuffle <= index) {
                    let x = place(shuffle).0;
                    canvas.dashed(&[(x, frame.top), (x, frame.bottom())], 1.5, INK, &[5.0, 3.0]);
                }
                let points: Vec<(f64, f64)> = (0..=index).map(place).collect();
                let colour = COLOURS[row % COLOURS.len()];
                canvas.line(&points, 2.0, colour);
                canvas.disc(place(index), 3.5, colour);
            }
        })
    }

    fn rows(&self, columns: usize) -> usize {
        2 + self.stage_rows(columns) + self.curves.len()
    }

    fn lines(&self, index: usize, columns: usize, _: usize, coloured: bool) -> Vec<String> {
        let scene = &self.scenes[index];
        let sign = if self.is_news(index) { " INPUTS SHUFFLED " } else { "" };
        let [left, right] = &scene.words;
        let gap = columns.saturating_sub(left.chars().count() + sign.len() + right.chars().count());
        let before = " ".repeat(gap / 2);
        let after = " ".repeat(gap - gap / 2);
        let sign = style(sign).reverse().force_styling(coloured && !sign.is_empty());
        let mut lines = vec![format!("{left}{before}{sign}{after}{right}")];
        let mut dots = Dots::new(columns, self.stage_rows(columns));
        dots.draw(&scene.drawing);
        lines.extend(dots.lines(coloured));
        for (row, curve) in self.curves.iter().enumerate() {
            let width = columns - 24;
            let colour = [25, 196, 29, 135, 214][row % 5];
            let mut history = String::new();
            for column in 0..width {
                let steps = self.scenes.len();
                let (from, to) =
                    (column * steps / width, ((column + 1) * steps / width).max(column * steps / width + 1));
                history += &match from {
                    from if from > index => " ".to_owned(),
                    from if self.shuffles.iter().any(|&shuffle| (from..to).contains(&shuffle) && shuffle <= index) => {
                        painted("┊", DIM, coloured)
                    }
                    from => painted(&level(curve.share(from)).to_string(), colour, coloured),
                };
            }
            lines.push(format!("{:<12}{:>9}   {history}", curve.name, curve.number(index)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::Ink;
    use super::*;
    use crate::picture::film::Format;

    fn reel() -> Reel {
        let scene = |step: usize| {
            let mut drawing = Drawing::new([-2.0, -1.0, 2.0, 1.0]);
            drawing.line(Ink::Ground, 0.02, &[(-2.0, -0.5), (2.0, -0.5)]);
            drawing.disc(Ink::Body, (0.1 * step as f64 - 1.0, 0.0), 0.2);
            drawing.block(Ink::Goal, (1.5, 0.0), [0.5, 0.5]);
            drawing.label((0.0, 0.8), "middle");
            Scene { drawing, words: [format!("step {step}"), "return 3".into()] }
        };
        Reel {
            title: "a test".into(),
            time_step: 0.02,
            score: 3.0,
            shuffles: vec![8],
            scenes: (0..20).map(scene).collect(),
            curves: vec![Curve::new("action", (0..20).map(|step| (f64::from(step) / 3.0).sin()).collect())],
        }
    }

    #[test]
    fn every_line_is_as_wide_as_the_terminal_and_there_are_as_many_as_was_said() {
        let reel = reel();
        for columns in [64, 80, 100] {
            for index in [0, 8, 19] {
                let lines = reel.lines(index, columns, 40, false);
                assert!(lines.len() < reel.rows(columns));
                assert!(lines.iter().all(|line| line.chars().count() == columns), "{lines:?}");
            }
        }
        assert!(reel.lines(3, 80, 40, false).iter().any(|line| line.contains("middle")));
    }

    #[test]
    fn a_film_has_every_frame_and_points_a_shuffle_out() {
        let reel = reel();
        assert_eq!(reel.frames(4), [0, 4, 8, 12, 16, 19]);
        assert_eq!(reel.pace(), 2);
        let dark = |index: usize| {
            let bitmap = reel.frame(index);
            bitmap.pixels.chunks_exact(3).filter(|pixel| **pixel == [40, 40, 40]).count()
        };
        assert!(dark(8) > dark(7) + 1_000);
        let bytes = super::super::encode(&reel, Format::Gif, 4, || ()).unwrap();
        let mut reader = gif::DecodeOptions::new().read_info(&bytes[..]).unwrap();
        let mut frames = 0;
        while reader.read_next_frame().unwrap().is_some() {
            frames += 1;
        }
        assert_eq!(frames, 6);
    }
}

//! A [`Film`] in the terminal: drawn in dots, or as a table where there is none.

use std::f64::consts::PI;

use console::style;

use super::scene::{Film, Scene};
use super::stage::frame;
use crate::animation::Animation;
use crate::animation::dots::{Dots, level, painted};
use crate::animation::drawing::DIM;
use crate::picture::bitmap::Bitmap;
use crate::table::{fitted, width};

/// Steps for which a shuffle is pointed out.
const NEWS: usize = 60;

/// Colours of the 256 that terminals have: those of the pictures.
fn colour(source: usize) -> u8 {
    [25, 196, 29, 135, 214].get(source).copied().unwrap_or(245)
}

const CART: u8 = 25;
const POLE: u8 = 196;

/// Dots of a metre, and the rows of characters that the stage takes.
fn scale(film: &Film, columns: usize) -> (f64, usize) {
    let metre = 2.0 * columns as f64 / (2.0 * film.track + 0.6);
    (metre, ((2.0 * film.pole + 0.15) * metre / 4.0).ceil() as usize)
}

fn stage(film: &Film, index: usize, columns: usize, coloured: bool) -> Vec<String> {
    let (metre, rows) = scale(film, columns);
    let mut dots = Dots::new(columns, rows);
    let scene = &film.scenes[index];
    let (middle, ground) = (columns as f64, (2 * rows) as f64);
    let place = |metres: f64| middle + metre * metres;
    let floor = ground + 0.16 * metre;
    let mut x = place(-film.track);
    while x <= place(film.track) {
        dots.set(x, floor, DIM);
        x += 1.0;
    }
    for end in [-film.track, film.track] {
        (0..5).for_each(|up| dots.set(place(end), floor - f64::from(up), DIM));
    }
    let (half, height) = (0.2 * metre, 0.1 * metre);
    let mut y = -height;
    while y <= height {
        let mut x = -half;
        while x <= half {
            dots.set(place(scene.position) + x, ground + y, CART);
            x += 0.5;
        }
        y += 0.5;
    }
    // Half a dot a stroke, and one more beside it.
    let length = film.pole * metre;
    let (sine, cosine) = scene.angle.sin_cos();
    for part in 0..=(2.0 * length) as usize {
        let along = part as f64 / 2.0;
        for across in [-0.5, 0.5] {
            // Positive angles lean to the left.
            let x = place(scene.position) - along * sine + across * cosine;
            dots.set(x, ground - along * cosine - across * sine, POLE);
        }
    }
    dots.lines(coloured)
}

fn heading(film: &Film, scene: &Scene, columns: usize, coloured: bool) -> String {
    let sign = match scene.since_shuffle {
        _ if film.fell && scene.step + 1 == film.scenes.len() => "THE CART LEFT THE TRACK",
        Some(since) if since < NEWS && film.forgets => "INPUTS SHUFFLED, MEMORY CLEARED",
        Some(since) if since < NEWS => "INPUTS SHUFFLED",
        _ => "",
    };
    let text = format!("step {:>4}   score {:>4.0}", scene.step, scene.score);
    let gap = " ".repeat(columns.saturating_sub(text.len() + sign.len() + 2));
    let sign = if sign.is_empty() { "  ".to_owned() } else { format!(" {sign} ") };
    format!("{text}{gap}{}", style(sign.as_str()).reverse().force_styling(coloured && sign.trim() != ""))
}

/// A bar of eighths of characters.
fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * 8.0 * width as f64).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]);
    }
    let rest = width - text.chars().count();
    text + &" ".repeat(rest)
}

/// The attention to a slot over the episode, up to a step, in `width` characters.
fn history(film: &Film, slot: usize, until: usize, width: usize, coloured: bool) -> String {
    let steps = film.scenes.len();
    let mut text = String::new();
    for column in 0..width {
        let (from, to) = (column * steps / width, ((column + 1) * steps / width).max(column * steps / width + 1));
        let scenes = &film.scenes[from..to];
        if from > until {
            text.push(' ');
        } else if scenes.iter().any(|scene| scene.since_shuffle == Some(0) && scene.step <= until) {
            text += &painted("┊", DIM, coloured);
        } else {
            let most = scenes.iter().map(|scene| scene.channels[slot].attention).fold(0.0, f64::max);
            text += &painted(&level(most).to_string(), colour(scenes[0].channels[slot].source), coloured);
        }
    }
    text
}

/// One frame as lines of `columns` characters, with as many of the inputs as `rows` leave room for.
pub fn lines(film: &Film, index: usize, columns: usize, rows: usize, coloured: bool) -> Vec<String> {
    let scene = &film.scenes[index];
    let mut lines = vec![heading(film, scene, columns, coloured)];
    lines.extend(stage(film, index, columns, coloured));
    const BAR: usize = 12;
    let width = columns - 36;
    lines.push(format!("{:<36}{:<width$}", "   input     value  attention", "attention over the episode"));
    let room = rows.saturating_sub(lines.len() + 1);
    let shown = if film.inputs() <= room { film.inputs() } else { room.saturating_sub(1) };
    for (slot, channel) in scene.channels.iter().take(shown).enumerate() {
        let (name, paint) = (&film.sources[channel.source], colour(channel.source));
        let name = painted(&format!("{name:<9}"), paint, coloured);
        let bar = painted(&bar(channel.attention, BAR), paint, coloured);
        let history = history(film, slot, index, width, coloured);
        lines.push(format!("{:>2} {name}{:>+7.2} {bar}    {history}", slot + 1, channel.value));
    }
    if shown < film.inputs() {
        lines.push(format!("{:<columns$}", format!("   and {} more", film.inputs() - shown)));
    }
    lines
}

impl Animation for Film {
    fn title(&self) -> String {
        let end = if self.fell { "; the cart left the track" } else { "" };
        format!("an attention neuron: a score of {:.0} in {} steps{end}", self.score(), self.scenes.len())
    }

    fn length(&self) -> usize {
        self.scenes.len()
    }

    fn time_step(&self) -> f64 {
        self.time_step
    }

    fn score(&self) -> f64 {
        self.scenes.last().map_or(0.0, |scene| scene.score)
    }

    fn shuffles(&self) -> Vec<usize> {
        Film::shuffles(self)
    }

    fn frame(&self, index: usize) -> Bitmap {
        frame(self, index)
    }

    fn rows(&self, columns: usize) -> usize {
        // Two lines of heading, the keys and at least five inputs.
        scale(self, columns).1 + 9
    }

    fn lines(&self, index: usize, columns: usize, rows: usize, coloured: bool) -> Vec<String> {
        lines(self, index, columns, rows, coloured)
    }
}

/// Lists the episode as a table: every hundredth step, the shuffles and the last one.
pub fn listing(film: &Film) -> String {
    let last = film.scenes.len() - 1;
    let listed =
        |step: usize, scene: &Scene| step.is_multiple_of(100) || scene.since_shuffle == Some(0) || step == last;
    let rows = film.scenes.iter().enumerate().filter(|&(step, scene)| listed(step, scene)).map(|(step, scene)| {
        let attention = |source: usize| {
            let channel = scene.channels.iter().find(|channel| channel.source == source);
            channel.map_or(String::new(), |channel| format!("{:.2}", channel.attention))
        };
        let angle = (scene.angle + PI).rem_euclid(2.0 * PI) - PI;
        let own = [
            if scene.since_shuffle == Some(0) { format!("{step} shuffled") } else { step.to_string() },
            format!("{:+.2} m", scene.position),
            format!("{:+.0}°", angle.to_degrees()),
            format!("{:.0}", scene.score),
        ];
        own.into_iter().chain((0..LISTED).map(attention)).collect::<Vec<_>>()
    });
    let attention = film.sources.iter().take(LISTED).map(String::as_str);
    let header: Vec<&str> = ["step", "cart", "pole", "score"].into_iter().chain(attention).collect();
    let table = fitted(&header, &rows.collect::<Vec<_>>(), width());
    format!("Attention to each of the first {LISTED} inputs:\n\n{table}")
}

/// Inputs whose attention is listed.
const LISTED: usize = 5;

#[cfg(test)]
mod tests {
    use super::super::scene::tests::film;
    use super::*;

    #[test]
    fn every_line_is_as_wide_as_the_terminal() {
        for (columns, noise) in [(64, 0), (100, 3)] {
            let film = film(500, &[200], noise);
            for index in [0, 200, 350, 499] {
                for line in lines(&film, index, columns, 50, false) {
                    assert_eq!(line.chars().count(), columns, "{line:?}");
                }
            }
        }
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let film = film(500, &[200], 0);
        let plain = lines(&film, 210, 80, 40, false);
        let coloured: Vec<String> = lines(&film, 210, 80, 40, true).iter().map(|line| stripped(line)).collect();
        assert_eq!(plain, coloured);
    }

    /// Without escape sequences.
    fn stripped(line: &str) -> String {
        let parts = line.split('\u{1b}').enumerate();
        parts.map(|(index, part)| if index == 0 { part } else { part.split_once('m').unwrap().1 }).collect()
    }

    #[test]
    fn inputs_that_find_no_room_are_counted() {
        let lines = lines(&film(50, &[], 27), 3, 80, 24, false);
        assert!(lines.len() < 24);
        let shown = lines.iter().filter(|line| line.contains("noise") || line.contains('█')).count();
        assert!(lines.last().unwrap().contains("more"), "{lines:?}");
        assert!(shown >= 5);
    }

    #[test]
    fn a_pole_that_hangs_is_below_the_cart_and_an_upright_one_above() {
        let film = film(100, &[], 0);
        let highest = |index: usize| {
            let lines = stage(&film, index, 80, false);
            lines.iter().position(|line| !line.trim().is_empty()).unwrap()
        };
        assert!(highest(0) < 2);
        assert!(highest(50) > 3);
    }

    #[test]
    fn a_listing_names_the_shuffles_and_the_end() {
        let text = listing(&film(250, &[120], 0));
        for step in ["0", "100", "120 shuffled", "200", "249"] {
            assert!(text.lines().any(|line| line.trim().starts_with(step)), "{step}: {text}");
        }
    }
}

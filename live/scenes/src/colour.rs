//! The one palette.

/// A colour by what it is for. The eight hues are those of Okabe and Ito, which colour-blind people tell apart; on a dark
/// ground, blue and green are lighter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// The ground.
    Ground,
    /// The ground of a panel.
    Panel,
    /// Text and outlines.
    Ink,
    /// Axes, and text of less weight.
    Muted,
    /// The first series: what the scene is about.
    Blue,
    /// The second series: what it is compared with.
    Orange,
    /// The third series.
    Green,
    /// The fourth series, and what has failed.
    Vermilion,
    /// The fifth series.
    Purple,
    /// The sixth series.
    Sky,
    /// Highlights.
    Yellow,
}

impl Colour {
    /// The colours of series, in the order in which they are taken.
    pub const SERIES: [Self; 6] = [Self::Blue, Self::Orange, Self::Green, Self::Vermilion, Self::Purple, Self::Sky];

    /// Returns red, green and blue, on a light or a dark ground.
    pub const fn rgb(self, dark: bool) -> [u8; 3] {
        match (self, dark) {
            (Self::Ground, false) => [255, 255, 255],
            (Self::Ground, true) => [22, 24, 28],
            (Self::Panel, false) => [243, 244, 246],
            (Self::Panel, true) => [34, 37, 43],
            (Self::Ink, false) => [20, 22, 26],
            (Self::Ink, true) => [232, 234, 238],
            (Self::Muted, false) => [104, 110, 120],
            (Self::Muted, true) => [150, 157, 168],
            (Self::Blue, false) => [0, 114, 178],
            (Self::Blue, true) => [72, 164, 222],
            (Self::Orange, _) => [230, 159, 0],
            (Self::Green, false) => [0, 140, 102],
            (Self::Green, true) => [38, 186, 146],
            (Self::Vermilion, _) => [213, 94, 0],
            (Self::Purple, _) => [204, 121, 167],
            (Self::Sky, _) => [86, 180, 233],
            (Self::Yellow, false) => [214, 196, 20],
            (Self::Yellow, true) => [240, 228, 66],
        }
    }
}

/// A colour and how much of what is behind it it covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paint {
    /// The colour.
    pub colour: Colour,
    /// From 0, nothing, to 1.
    pub opacity: f32,
}

impl Paint {
    /// Returns red, green, blue and alpha, not multiplied by it, on a light or a dark ground.
    pub fn rgba(self, dark: bool) -> [u8; 4] {
        let [red, green, blue] = self.colour.rgb(dark);
        [red, green, blue, (255.0 * self.opacity.clamp(0.0, 1.0)).round() as u8]
    }
}

impl From<Colour> for Paint {
    fn from(colour: Colour) -> Self {
        Self { colour, opacity: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of WCAG 2.
    fn luminance(colour: [u8; 3]) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    #[test]
    fn text_has_the_contrast_that_wcag_asks_for() {
        for dark in [false, true] {
            for (text, least) in [(Colour::Ink, 7.0), (Colour::Muted, 4.5)] {
                for ground in [Colour::Ground, Colour::Panel] {
                    let (a, b) = (luminance(text.rgb(dark)), luminance(ground.rgb(dark)));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(contrast >= least, "{text:?} on {ground:?}, dark {dark}: {contrast:.2}");
                }
            }
        }
    }
}

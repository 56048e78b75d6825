//! Colours, and the one palette of all pictures: a method has the same colour in all of them.

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

pub(crate) const BLACK: Colour = Colour(0, 0, 0);
pub(crate) const WHITE: Colour = Colour(255, 255, 255);

/// Colours that people with any kind of colour vision tell apart: those of Okabe and Ito (2008), moved until the nearest
/// two are as far from each other as can be for all of them.
pub(crate) const COLOURS: [Colour; 8] = [
    Colour(18, 76, 163),
    Colour(251, 33, 0),
    Colour(10, 146, 125),
    Colour(182, 113, 235),
    Colour(241, 174, 34),
    Colour(55, 207, 192),
    Colour(97, 47, 0),
    Colour(0, 42, 90),
];

/// Places of methods in the palette, by the beginning of their names: those that are compared with each other have
/// different ones. A place past the last colour is a colour with dashes.
const METHODS: [(&str, usize); 32] = [
    ("PES", 0),
    ("truncated ES", 1),
    ("NRES", 2),
    ("full ES", 3),
    ("GPES", 4),
    ("PES + Analytic", 5),
    ("TBPTT", 6),
    ("RTRL", 7),
    ("UORO", 8),
    ("DODGE", 9),
    ("random search", 5),
    ("SGD", 3),
    ("Adam", 4),
    ("AdamW", 4),
    ("SAM", 0),
    ("ASAM", 2),
    ("transformer", 0),
    ("DT", 0),
    ("%BC", 2),
    ("BC", 1),
    ("shortest path", 2),
    ("random walk", 5),
    ("random play", 5),
    ("attention neuron", 0),
    ("student", 0),
    ("perceptron", 1),
    ("teacher", 1),
    ("memory kept", 0),
    ("memory cleared", 1),
    ("key and door", 2),
    ("key, door not reached", 4),
    ("no key", 1),
];

/// The look of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub colour: Colour,
    /// Earlier series of the same colour: 0 is drawn solid, others with dashes or paler.
    pub variant: usize,
}

/// Returns the look of each of several series: that of their methods, or a colour that none of them has.
pub(crate) fn styles<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Style> {
    let mut taken = [0; COLOURS.len()];
    let mut free: Vec<usize> = (0..COLOURS.len()).collect();
    free.retain(|&colour| names.clone().all(|name| method(name).is_none_or(|place| place % COLOURS.len() != colour)));
    let mut unnamed = free.into_iter().chain((0..COLOURS.len()).cycle());
    names
        .map(|name| {
            let place = method(name).or_else(|| unnamed.next()).unwrap_or(0);
            let colour = place % COLOURS.len();
            let variant = taken[colour].max(place / COLOURS.len());
            taken[colour] = variant + 1;
            Style { colour: COLOURS[colour], variant }
        })
        .collect()
}

/// Returns the colour of a method, or the first one for anything else.
pub(crate) fn of_method(name: &str) -> Colour {
    COLOURS[method(name).unwrap_or(0) % COLOURS.len()]
}

/// Returns the place of the method whose name begins that of a series: of several the longest.
fn method(name: &str) -> Option<usize> {
    let known = METHODS.iter().filter(|(method, _)| {
        let rest = name.strip_prefix(method);
        rest.is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_alphanumeric()))
    });
    known.max_by_key(|(method, _)| method.len()).map(|(_, place)| *place)
}

/// Mixes a colour with white: all of it at 1, none at 0.
pub(crate) fn tint(colour: Colour, share: f64) -> Colour {
    let mix = |value: u8| (255.0 - share * (255.0 - f64::from(value))).round() as u8;
    Colour(mix(colour.0), mix(colour.1), mix(colour.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::animation::drawing::Ink;
    use crate::experiments::neuron::stage;
    use crate::picture::heat_map::{PATH_COLOURS, edge};

    type Matrix = [[f64; 3]; 3];

    const NORMAL: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    /// Dichromats, on linear red, green and blue (Machado, Oliveira and Fernandes 2009, severity 1).
    const PROTANOPIA: Matrix =
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]];
    const DEUTERANOPIA: Matrix =
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]];
    const TRITANOPIA: Matrix =
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]];

    fn times(matrix: Matrix, vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
    }

    fn linear(colour: Colour) -> [f64; 3] {
        [colour.0, colour.1, colour.2].map(|value| match f64::from(value) / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        })
    }

    /// Oklab, in which distances are about those that people see.
    fn seen(matrix: Matrix, colour: Colour) -> [f64; 3] {
        let light = times(matrix, linear(colour)).map(|value| value.clamp(0.0, 1.0));
        let cones = times(
            [
                [0.412_221_47, 0.536_332_54, 0.051_445_99],
                [0.211_903_5, 0.680_699_55, 0.107_396_96],
                [0.088_302_46, 0.281_718_84, 0.629_978_7],
            ],
            light,
        );
        times(
            [
                [0.210_454_26, 0.793_617_78, -0.004_072_05],
                [1.977_998_5, -2.428_592_2, 0.450_593_71],
                [0.025_904_04, 0.782_771_77, -0.808_675_77],
            ],
            cones.map(f64::cbrt),
        )
    }

    fn nearest(matrix: Matrix, colours: &[Colour]) -> f64 {
        let seen: Vec<_> = colours.iter().map(|&colour| seen(matrix, colour)).collect();
        let pairs = (0..seen.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let distance = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        pairs.map(|(a, b)| distance(seen[a], seen[b])).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn everybody_tells_any_two_colours_of_a_picture_apart() {
        let plot = [&COLOURS[..], &[BLACK, WHITE]].concat();
        let inputs: Vec<Colour> = (0..6).map(stage::colour).chain([WHITE]).collect();
        let film = [Ink::Ground, Ink::Body, Ink::Limb, Ink::Goal, Ink::Action].map(|ink| ink.colour());
        let graph = [COLOURS[1], COLOURS[2], tint(COLOURS[0], 0.35), BLACK, WHITE];
        let pictures = [
            ("plot", &plot[..]),
            ("paths on a map", &PATH_COLOURS),
            ("inputs", &inputs),
            ("cart", &[COLOURS[0], COLOURS[1], stage::INK, WHITE]),
            ("film", &film),
            ("graph", &graph),
        ];
        let edges = PATH_COLOURS.map(|colour| ("path and its edge", [colour, edge(colour)]));
        let pictures = pictures.into_iter().chain(edges.iter().map(|(name, pair)| (*name, &pair[..])));
        for (name, colours) in pictures {
            for (vision, matrix) in [
                ("normal", NORMAL),
                ("protanopia", PROTANOPIA),
                ("deuteranopia", DEUTERANOPIA),
                ("tritanopia", TRITANOPIA),
            ] {
                let distance = nearest(matrix, colours);
                assert!(distance > 0.15, "{name}, {vision}: {distance}");
            }
        }
    }

    #[test]
    fn a_method_has_its_colour_in_every_picture() {
        let of = |names: &[&str]| styles(names.iter().copied());
        let [first, second] = [of(&["PES", "truncated ES"]), of(&["NRES", "PES, K = 10"])];
        assert_eq!(first[0], second[1]);
        assert_ne!(first[0].colour, second[0].colour);
        let again = of(&["truncated ES, sigma 1", "truncated ES, sigma 0.3"]);
        assert_eq!(again[0].colour, again[1].colour);
        assert_eq!([again[0].variant, again[1].variant], [0, 1]);
    }

    #[test]
    fn a_longer_name_is_another_method_and_an_unknown_one_takes_a_free_colour() {
        assert_ne!(method("PES"), method("PES + Analytic"));
        assert_eq!(method("PESSIMIST"), None);
        let styles = styles(["graph 1", "PES", "graph 2"].into_iter());
        assert!(styles[0].colour != styles[1].colour && styles[2].colour != styles[1].colour);
        assert_ne!(styles[0].colour, styles[2].colour);
    }

    #[test]
    fn a_tint_lies_between_white_and_the_colour() {
        let colour = Colour(0, 100, 255);
        assert_eq!(tint(colour, 1.0), colour);
        assert_eq!(tint(colour, 0.0), WHITE);
        assert_eq!(tint(colour, 0.2), Colour(204, 224, 255));
    }
}

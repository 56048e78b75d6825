//! The list of scenes.

use fourfold::Gpu;

use crate::{Error, Scene};

/// Opens a scene with a seed; neither submits nor waits.
pub type Open = fn(&Gpu, u32) -> Result<Box<dyn Scene>, Error>;

/// A scene that can be opened.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The word by which the command and the page name it.
    pub word: &'static str,
    /// Its title.
    pub title: &'static str,
    /// One sentence for the visitor: what to try.
    pub about: &'static str,
    /// The module of a page that has it: the feature that compiles it.
    pub module: &'static str,
    /// Opens it with a seed; neither submits nor waits.
    pub open: Open,
}

/// A function of a scene that this feature compiles.
macro_rules! of {
    ($feature:literal, $open:path) => {{
        #[cfg(feature = $feature)]
        {
            $open
        }
        #[cfg(not(feature = $feature))]
        {
            absent
        }
    }};
}

/// A scene that is not compiled.
#[cfg(not(all(feature = "methods", feature = "car")))]
fn absent(_: &Gpu, _: u32) -> Result<Box<dyn Scene>, Error> {
    Err(Error::Input("scene: expected one of this module, got one of another".into()))
}

/// Lists the scenes.
pub const SCENES: &[Entry] = &[
    Entry {
        word: "neuron",
        title: "Attention neuron",
        about: "Shuffle the inputs: the attention neuron holds its poles up, the perceptron does not.",
        module: "methods",
        open: of!("methods", crate::neuron::open),
    },
    Entry {
        word: "pes",
        title: "PES",
        about: "Click on the map: every estimator starts there, and short truncations miss what lies behind the cliffs.",
        module: "methods",
        open: of!("methods", crate::pes::open),
    },
    Entry {
        word: "sam",
        title: "SAM",
        about: "SGD learns the wrong labels by heart; SAM finds a flatter place. Draw a digit and see what both say.",
        module: "methods",
        open: of!("methods", crate::sam::open),
    },
    Entry {
        word: "dt",
        title: "Decision transformer",
        about: "Ask for a return: at 1 the agents take the key and open the door, at 0 they do not. Move the key with a click. \
                On the graph ask for a path length, click a node to begin there, and choose another goal: the network learns the way.",
        module: "methods",
        open: of!("methods", crate::dt::open),
    },
    Entry {
        word: "car",
        title: "Car",
        about: "An attention neuron drives by a picture in patches. Shuffle them: it drives on. Click on patches to cover them, or \
                let stripes or noise take the place of the grass, which it has never seen.",
        module: "car",
        open: of!("car", crate::car::open),
    },
];

impl Entry {
    /// Finds a scene by its word.
    ///
    /// # Errors
    /// No scene has this word.
    pub fn named(word: &str) -> Result<&'static Self, Error> {
        let found = SCENES.iter().find(|entry| entry.word == word);
        let words = || SCENES.iter().map(|entry| entry.word).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| Error::input("scene", format!("one of {}", words()), format!("`{word}`")))
    }
}

//! The trained files that are built in; `demos/weights/README.md` says how each was made.

/// A trained file.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// The name that `fourfold play` takes.
    pub name: &'static str,
    /// The method, the world and the training.
    pub about: &'static str,
    pub bytes: &'static [u8],
}

macro_rules! weights {
    ($file:literal) => {
        include_bytes!(concat!("../../weights/", $file, ".safetensors"))
    };
}

/// Lists the trained files.
pub const SHIPPED: &[Shipped] = &[
    Shipped {
        name: "attention-neuron",
        about: "attention neuron on the cart-pole swing-up, hard starts, by CMA-ES",
        bytes: weights!("attention_neuron"),
    },
    Shipped {
        name: "car",
        about: "attention neuron in the car race, by pictures of 48 x 48 in patches, from a driver who knows the track",
        bytes: weights!("car"),
    },
    Shipped {
        name: "swing-up",
        about: "perceptron on the cart-pole swing-up, easy starts, by NRES in unrolls of a tenth",
        bytes: weights!("swing_up"),
    },
    Shipped {
        name: "pendulum",
        about: "perceptron on the pendulum, by PES in unrolls of a tenth",
        bytes: weights!("pendulum"),
    },
    Shipped {
        name: "swimmer",
        about: "linear policy of the swimmer, by PES in unrolls of a tenth",
        bytes: weights!("swimmer"),
    },
    Shipped {
        name: "cart-pole",
        about: "decision transformer on the cart-pole, from 57 episodes of an expert",
        bytes: weights!("cart_pole"),
    },
    Shipped {
        name: "key-to-door",
        about: "decision transformer on Key-to-Door, from 10,000 random walks",
        bytes: weights!("key_to_door"),
    },
    Shipped {
        name: "shortest-paths",
        about: "decision transformer on shortest paths of a graph, from 1,000 random walks",
        bytes: weights!("shortest_paths"),
    },
    Shipped {
        name: "digits",
        about: "perceptron on handwritten digits, 40 % of whose labels were wrong, by SAM",
        bytes: weights!("digits"),
    },
];

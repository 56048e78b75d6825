//! Gradients against finite differences in f64, by the reference interpreter.
//!
//! `rules` puts every operation with a derivative into the middle of a graph and compares first, second and third
//! derivatives; `networks` takes products with the Hessians of whole networks,
//! `attention_neuron` unrolls one over time; `images` has the cases of convolutions, batch norm and pooling; `building` checks what is built (packs,
//! zeros, errors) and `properties` the adjoints of linear operations over random shapes. In `twins` plans of the same
//! graphs run on the CPU twins of the kernels; everywhere else no kernel takes part.

mod attention_neuron;
mod building;
mod finite_differences;
mod images;
mod networks;
mod properties;
mod rules;
mod twins;
mod vision_neuron;

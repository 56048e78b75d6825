//! Inner problems whose WGSL and twin lie side by side.

mod toy_regression;

pub use toy_regression::ToyRegression;

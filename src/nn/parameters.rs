//! The parameters of a model as one flat tensor: optimisers and ascent steps touch all of them in one dispatch.

use std::collections::BTreeMap;
use std::fmt;

use fourfold_shaders::Data;

use super::Initialise;
use crate::graph::{Graph, Op, Shape, Tag, Tensor, TensorType};

/// The description of one parameter.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name, unique in the model.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The distribution of its initial values.
    pub initialise: Initialise,
    /// Its offset in the flat tensor, in elements.
    pub offset: usize,
}

/// A parameter of [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParameterId(usize);

/// The parameters of a model in the order in which its layers declared them, each at an aligned offset of one flat
/// tensor, with zeros between.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    parameters: Vec<Parameter>,
    length: usize,
}

/// Tensors that do not fit the parameters that they were meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParametersError(String);

impl fmt::Display for ParametersError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ParametersError {}

impl Parameters {
    /// Starts without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a parameter. Its name must be unique within the model.
    ///
    /// # Panics
    /// If the name was used before: two layers of one model cannot share it.
    pub fn add(&mut self, name: impl Into<String>, shape: impl Into<Shape>, initialise: Initialise) -> ParameterId {
        let (name, shape) = (name.into(), shape.into());
        let taken = self.parameters.iter().any(|parameter| parameter.name == name);
        assert!(!taken, "the parameter `{name}` is declared twice");
        let offset = self.length;
        // A length that no tensor has is refused by the graph.
        let end = offset.saturating_add(shape.elements());
        self.length = end.checked_next_multiple_of(Op::ALIGNMENT).unwrap_or(usize::MAX);
        self.parameters.push(Parameter { name, shape, initialise, offset });
        ParameterId(self.parameters.len() - 1)
    }

    /// Iterates over the parameters in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter()
    }

    /// The offset of a parameter in the flat tensor, in elements.
    pub(super) fn offset(&self, id: ParameterId) -> usize {
        self.parameters[id.0].offset
    }

    /// Elements of the flat tensor, gaps included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Elements of all parameters.
    pub fn count(&self) -> usize {
        self.parameters.iter().fold(0, |sum: usize, parameter| sum.saturating_add(parameter.shape.elements()))
    }

    /// The flat tensor of initial values.
    ///
    /// # Panics
    /// If the parameters do not fit into memory; a graph refuses 2^31 of them.
    pub fn initial(&self, seed: u32) -> Data {
        let mut flat = vec![0.0; self.length];
        for (stream, parameter) in self.parameters.iter().enumerate() {
            let values = parameter.initialise.values(seed, stream as u32, parameter.shape.elements());
            flat[parameter.offset..][..values.len()].copy_from_slice(&values);
        }
        Data::F32(flat)
    }

    /// The flat tensor cut into named tensors: what a checkpoint holds.
    ///
    /// # Panics
    /// If the flat tensor is shorter than [`length`](Self::length).
    pub fn unpack(&self, flat: &[f32]) -> BTreeMap<String, (Shape, Vec<f32>)> {
        let cut = |parameter: &Parameter| flat[parameter.offset..][..parameter.shape.elements()].to_vec();
        self.parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), (parameter.shape.clone(), cut(parameter))))
            .collect()
    }

    /// The flat tensor of named tensors.
    ///
    /// # Errors
    /// A parameter is missing or has another shape, or there is a tensor that no parameter is named after.
    pub fn pack(&self, tensors: &BTreeMap<String, (Shape, Vec<f32>)>) -> Result<Data, ParametersError> {
        let mut flat = vec![0.0; self.length];
        for parameter in &self.parameters {
            let name = &parameter.name;
            let Some((shape, values)) = tensors.get(name) else {
                return Err(ParametersError(format!("expected a tensor `{name}` {}, found none", parameter.shape)));
            };
            if *shape != parameter.shape {
                return Err(ParametersError(format!("expected `{name}` {}, found {shape}", parameter.shape)));
            }
            flat[parameter.offset..][..values.len()].copy_from_slice(values);
        }
        match tensors.keys().find(|name| self.parameters.iter().all(|parameter| parameter.name != **name)) {
            Some(stranger) => Err(ParametersError(format!("the model has no parameter `{stranger}`"))),
            None => Ok(Data::F32(flat)),
        }
    }

    /// The flat tensor of parameters that lie one after the other without gaps, as other libraries keep them.
    ///
    /// # Errors
    /// There are more or fewer values than [`count`](Self::count).
    pub fn from_dense(&self, dense: &[f32]) -> Result<Data, ParametersError> {
        if dense.len() != self.count() {
            return Err(ParametersError(format!("expected {} parameters, got {}", self.count(), dense.len())));
        }
        let mut flat = vec![0.0; self.length];
        let mut start = 0;
        for parameter in &self.parameters {
            let values = &dense[start..][..parameter.shape.elements()];
            flat[parameter.offset..][..values.len()].copy_from_slice(values);
            start += values.len();
        }
        Ok(Data::F32(flat))
    }

    /// The flat tensor without its gaps.
    ///
    /// # Panics
    /// If the flat tensor is shorter than [`length`](Self::length).
    pub fn to_dense(&self, flat: &[f32]) -> Vec<f32> {
        let parameters = self.parameters.iter();
        parameters.flat_map(|parameter| flat[parameter.offset..][..parameter.shape.elements()].to_vec()).collect()
    }

    /// The weights as a state of a graph.
    #[track_caller]
    pub fn state<'g>(&self, graph: &'g Graph, name: &str) -> Tensor<'g> {
        graph.state(name, Tag::Weights, TensorType::f32([self.length]))
    }

    /// The parameters as they lie in a flat tensor: the weights themselves, or weights that an ascent step has moved.
    pub fn of<'p, 'g>(&'p self, flat: Tensor<'g>) -> Weights<'p, 'g> {
        Weights { parameters: self, flat }
    }
}

/// A flat tensor seen as the parameters of a model.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'p, 'g> {
    parameters: &'p Parameters,
    flat: Tensor<'g>,
}

impl<'g> Weights<'_, 'g> {
    /// Returns the flat tensor of all parameters.
    pub fn flat(&self) -> Tensor<'g> {
        self.flat
    }

    /// One parameter.
    ///
    /// # Panics
    /// If the parameter is of a larger model.
    #[track_caller]
    pub fn get(&self, id: ParameterId) -> Tensor<'g> {
        let parameter = &self.parameters.parameters[id.0];
        self.flat.view(parameter.offset, &parameter.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Parameters {
        let mut parameters = Parameters::new();
        parameters.add("a", [3, 5], Initialise::Uniform(1.0));
        parameters.add("b", [7], Initialise::Constant(2.0));
        parameters
    }

    #[test]
    fn parameters_begin_at_aligned_offsets_and_gaps_are_zero() {
        let parameters = two();
        assert_eq!(parameters.iter().map(|parameter| parameter.offset).collect::<Vec<_>>(), [0, 64]);
        assert_eq!((parameters.length(), parameters.count()), (128, 22));
        let initial = parameters.initial(1);
        assert!(initial.f32()[15..64].iter().all(|&gap| gap == 0.0));
    }

    #[test]
    fn packing_what_was_unpacked_gives_the_same_bits() {
        let parameters = two();
        let initial = parameters.initial(9);
        assert_eq!(parameters.pack(&parameters.unpack(initial.f32())).unwrap(), initial);
    }

    #[test]
    fn dense_parameters_are_spread_over_their_offsets_and_gathered_again() {
        let parameters = two();
        let dense: Vec<f32> = (1..=22).map(|value| value as f32).collect();
        let flat = parameters.from_dense(&dense).unwrap();
        assert_eq!(flat.f32()[14..16], [15.0, 0.0]);
        assert_eq!(flat.f32()[64..72], [16.0, 17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 0.0]);
        assert_eq!(parameters.to_dense(flat.f32()), dense);
        let error = parameters.from_dense(&dense[1..]).unwrap_err().to_string();
        assert_eq!(error, "expected 22 parameters, got 21");
    }

    #[test]
    fn tensors_of_another_model_are_refused_by_name_and_shape() {
        let parameters = two();
        let mut tensors = parameters.unpack(parameters.initial(1).f32());
        tensors.insert("a".into(), (Shape::from([5, 3]), vec![0.0; 15]));
        assert_eq!(parameters.pack(&tensors).unwrap_err().to_string(), "expected `a` [3, 5], found [5, 3]");
        tensors.remove("a");
        assert_eq!(parameters.pack(&tensors).unwrap_err().to_string(), "expected a tensor `a` [3, 5], found none");
    }
}

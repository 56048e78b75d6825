//! Checkpoints: named tensors and a map of texts, in the safetensors format, which every framework reads.

use std::collections::BTreeMap;

use fourfold_shaders::{Data, Element};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

use super::Error;

/// The tensors of a training at one moment (parameters, optimiser state, the random state), and what a reader must
/// know to use them (which model, which step) as texts.
///
/// Equal checkpoints are equal bytes: entries are written in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Names the checkpoint in errors: the path that it came from.
    file: String,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// A tensor of an element type that kernels have.
    Data(Data),
    /// State that only the CPU has.
    F64(Vec<f64>),
}

impl Values {
    /// The name of the element type in a safetensors header.
    fn element(&self) -> &'static str {
        match self {
            Values::Data(data) => element_name(data.element()),
            Values::F64(_) => F64,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Values::Data(data) => data.bytes(),
            Values::F64(values) => bytemuck::cast_slice(values),
        }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl Checkpoint {
    /// A checkpoint without tensors.
    pub fn new() -> Self {
        Self { file: "checkpoint".to_owned(), metadata: BTreeMap::new(), tensors: BTreeMap::new() }
    }

    /// Returns the name in errors: the path that it was read from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Adds a text, or replaces it.
    pub fn set(&mut self, key: &str, text: impl Into<String>) {
        self.metadata.insert(key.to_owned(), text.into());
    }

    /// The text of a key.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, key: &str) -> Result<&str, Error> {
        let text = self.metadata.get(key).map(String::as_str);
        text.ok_or_else(|| Error::content(&self.file, format!("an entry `{key}` in the metadata"), "none"))
    }

    /// All keys and texts, in the order of the keys.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(key, text)| (key.as_str(), text.as_str()))
    }

    /// Checks that a text is `expected`, e.g. that the checkpoint is one of this model.
    ///
    /// # Errors
    /// If there is no such text, or another.
    pub fn expect(&self, key: &str, expected: &str) -> Result<(), Error> {
        match self.get(key)? {
            got if got == expected => Ok(()),
            got => Err(Error::content(&self.file, format!("a checkpoint with {key} `{expected}`"), format!("`{got}`"))),
        }
    }

    /// Adds a tensor, or replaces it.
    ///
    /// # Panics
    /// If the shape does not hold as many elements as there are values.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Data) {
        self.insert_values(name, shape, values.len(), Values::Data(values));
    }

    /// Adds an `f64` tensor, or replaces it: state that only the CPU has.
    ///
    /// # Panics
    /// If the shape does not hold as many elements as there are values.
    pub fn insert_f64(&mut self, name: &str, shape: &[usize], values: Vec<f64>) {
        self.insert_values(name, shape, values.len(), Values::F64(values));
    }

    fn insert_values(&mut self, name: &str, shape: &[usize], length: usize, values: Values) {
        assert_eq!(shape.iter().product::<usize>(), length, "elements of the tensor `{name}`");
        self.tensors.insert(name.to_owned(), Tensor { shape: shape.to_vec(), values });
    }

    /// Names, shapes and values of all tensors of the kernels' element types, in the order of their names.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &Data)> {
        self.tensors.iter().filter_map(|(name, tensor)| match &tensor.values {
            Values::Data(data) => Some((name.as_str(), &tensor.shape[..], data)),
            Values::F64(_) => None,
        })
    }

    /// The values of a tensor that must have this element type and shape.
    ///
    /// # Errors
    /// If there is no such tensor, or one of another type or shape.
    pub fn tensor(&self, name: &str, element: Element, shape: &[usize]) -> Result<&Data, Error> {
        match self.tensors.get(name) {
            Some(Tensor { shape: got, values: Values::Data(data) }) if data.element() == element && got == shape => {
                Ok(data)
            }
            other => Err(self.unlike(name, element_name(element), shape, other)),
        }
    }

    /// The values of an `f64` tensor of this shape.
    ///
    /// # Errors
    /// If there is no such tensor, or one of another type or shape.
    pub fn f64(&self, name: &str, shape: &[usize]) -> Result<&[f64], Error> {
        match self.tensors.get(name) {
            Some(Tensor { shape: got, values: Values::F64(values) }) if got == shape => Ok(values),
            other => Err(self.unlike(name, F64, shape, other)),
        }
    }

    /// The values of an `f32` tensor of this shape.
    ///
    /// # Errors
    /// If there is no such tensor, or one of another type or shape.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<&[f32], Error> {
        self.tensor(name, Element::F32, shape).map(Data::f32)
    }

    /// The values of a `u32` tensor of this shape.
    ///
    /// # Errors
    /// If there is no such tensor, or one of another type or shape.
    pub fn u32(&self, name: &str, shape: &[usize]) -> Result<&[u32], Error> {
        self.tensor(name, Element::U32, shape).map(Data::u32)
    }

    fn unlike(&self, name: &str, element: &str, shape: &[usize], got: Option<&Tensor>) -> Error {
        let got = match got {
            Some(tensor) => format!("{} of shape {:?}", tensor.values.element(), tensor.shape),
            None => "no such tensor".to_owned(),
        };
        self.wrong(name, format!("{element} of shape {shape:?}"), got)
    }

    fn wrong(&self, tensor: &str, expected: String, got: String) -> Error {
        Error::Tensor { file: self.file.clone(), tensor: tensor.to_owned(), expected, got }
    }

    /// The bytes of a safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = Map::new();
        if !self.metadata.is_empty() {
            let texts = self.metadata.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str())));
            header.insert("__metadata__".to_owned(), Value::Object(texts.collect()));
        }
        // The wide elements first: no other tensor can then take their alignment from them.
        let (wide, narrow): (Vec<_>, Vec<_>) =
            self.tensors.iter().partition(|(_, tensor)| matches!(tensor.values, Values::F64(_)));
        let tensors = || wide.iter().chain(&narrow);
        let mut end = 0;
        for (name, Tensor { shape, values }) in tensors() {
            let start = end;
            end += values.bytes().len();
            let entry = [
                ("dtype".to_owned(), Value::from(values.element())),
                ("shape".to_owned(), Value::from(shape.clone())),
                ("data_offsets".to_owned(), Value::from(vec![start, end])),
            ];
            header.insert((*name).clone(), Value::Object(entry.into_iter().collect()));
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        // Spaces align the tensors for those who map the file into memory.
        header.resize(header.len().next_multiple_of(8), b' ');

        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        for (_, tensor) in tensors() {
            bytes.extend(tensor.values.bytes());
        }
        bytes
    }

    /// Reads a checkpoint from the bytes of a safetensors file; `file` names it in errors.
    ///
    /// # Errors
    /// If the bytes are not a safetensors file, or hold elements other than F32, U32 and F64.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes_where(file, bytes, |_| true)
    }

    /// The same with the tensors whose names are wanted: others may have elements that are not read here.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), the elements of unwanted tensors aside.
    pub fn from_bytes_where(file: &str, bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let malformed = |error: &dyn std::fmt::Display| {
            Error::content(file, "a whole safetensors file", format!("{} bytes that are none ({error})", bytes.len()))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(&error))?;
        let contents = SafeTensors::deserialize(bytes).map_err(|error| malformed(&error))?;

        let mut checkpoint = Self { file: file.to_owned(), ..Self::new() };
        for (key, text) in header.metadata().iter().flatten() {
            checkpoint.set(key, text.as_str());
        }
        for (name, view) in contents.iter().filter(|(name, _)| wanted(name)) {
            let shape = view.shape();
            match view.dtype() {
                Dtype::F32 => checkpoint.insert(name, shape, Data::from_bytes(Element::F32, view.data())),
                Dtype::U32 => checkpoint.insert(name, shape, Data::from_bytes(Element::U32, view.data())),
                Dtype::F64 => checkpoint.insert_f64(name, shape, bytemuck::pod_collect_to_vec(view.data())),
                other => return Err(checkpoint.wrong(name, "F32, U32 or F64 elements".into(), format!("{other:?}"))),
            }
        }
        Ok(checkpoint)
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    #[cfg(feature = "files")]
    pub fn save(&self, path: &std::path::Path) -> Result<(), Error> {
        super::file::write(path, &self.to_bytes())
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be read, and as [`from_bytes`](Self::from_bytes).
    #[cfg(feature = "files")]
    pub fn load(path: &std::path::Path) -> Result<Self, Error> {
        Self::from_bytes(&path.display().to_string(), &super::file::read(path)?)
    }
}

const F64: &str = "F64";

/// The name of an element type in a safetensors header.
fn element_name(element: Element) -> &'static str {
    match element {
        Element::F32 => "F32",
        Element::U32 => "U32",
    }
}

//! Running a plan: on the GPU, on the CPU twins, or on twins up to a dispatch and kernels after it.

#[cfg(all(not(target_arch = "wasm32"), feature = "twins"))]
mod bisect;
mod builder;
mod error;
mod gpu;
mod stops;
#[cfg(feature = "twins")]
mod twins;

use std::collections::BTreeMap;

use fourfold_shaders::Data;

#[cfg(all(not(target_arch = "wasm32"), feature = "twins"))]
pub use bisect::{Suspect, find_wrong_kernel, run_mixed};
pub use builder::SessionBuilder;
pub use error::SessionError;
pub use gpu::{Session, Traffic};
#[cfg(feature = "twins")]
pub use twins::TwinSession;

use super::plan::{Binding, Plan};

/// Tensors by name: what a session begins with, or what was read from one.
pub type Values = BTreeMap<String, Data>;

impl Plan {
    /// The input or state of this name, checked against the values that are to be written to it.
    fn writable(&self, name: &str, data: &Data) -> Result<&Binding, SessionError> {
        let found = self.inputs.get(name).or_else(|| self.states.get(name));
        let binding = found.ok_or_else(|| SessionError::UnknownName {
            name: name.into(),
            known: self.inputs.keys().chain(self.states.keys()).cloned().collect(),
        })?;
        if data.element() != binding.element || data.len() != binding.region.length {
            return Err(SessionError::WrongValues {
                name: name.into(),
                expected: format!("{:?} {}", binding.element, binding.shape),
                got: format!("{} {:?} values", data.len(), data.element()),
            });
        }
        Ok(binding)
    }

    /// The output, state or input of this name.
    fn readable(&self, name: &str) -> Result<&Binding, SessionError> {
        let tables = [&self.outputs, &self.states, &self.inputs];
        tables.iter().find_map(|table| table.get(name)).ok_or_else(|| SessionError::UnknownName {
            name: name.into(),
            known: tables.iter().flat_map(|table| table.keys().cloned()).collect(),
        })
    }
}

//! A kernel of a user's against its own description, before a driver sees it.

use fourfold_shaders::{Binding, Element, Kernel};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, GlobalVariable, Module, ScalarKind, StorageAccess, Type, TypeInner};

use super::{Error, line_of};

/// The bind group of the uniform block; group 0 holds the operands.
const UNIFORM_GROUP: u32 = 1;

/// Checks that a kernel's WGSL is valid and has the entry point, the bindings and the uniform block that its description
/// says.
///
/// # Errors
/// The first difference, by file, line and function.
pub fn inspect(kernel: &Kernel) -> Result<(), Error> {
    let inspection = Inspection { kernel };
    let source = &*kernel.source;
    let module = naga::front::wgsl::parse_str(source)
        .map_err(|error| inspection.at(error.location(source), error.message().into()))?;
    if !module.entry_points.iter().any(|entry| entry.name == kernel.entry_point) {
        let found: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let message = format!("expected an entry point of that name, found {}", listed(&found));
        return Err(inspection.at(None, message));
    }
    kernel.bindings.iter().enumerate().try_for_each(|(index, binding)| inspection.binding(&module, index, binding))?;
    let bound = |variable: &GlobalVariable| variable.binding.is_some_and(|at| at.group == 0);
    let more = module.global_variables.iter().find(|(_, variable)| {
        bound(variable) && variable.binding.is_some_and(|at| at.binding as usize >= kernel.bindings.len())
    });
    if let Some((handle, variable)) = more {
        let name = variable.name.as_deref().unwrap_or("?");
        let message = format!("`{name}` is bound, but the description has {} bindings", kernel.bindings.len());
        return Err(inspection.at(Some(module.global_variables.get_span(handle).location(source)), message));
    }
    inspection.uniform(&module)?;
    Validator::new(ValidationFlags::all(), Capabilities::all())
        .subgroup_stages(ShaderStages::all())
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|error| inspection.at(error.location(source), chain(error.as_inner())))?;
    Ok(())
}

/// An error and its causes in one sentence.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|cause| cause.to_string()).collect::<Vec<_>>().join(": ")
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { format!("`{}`", names.join("`, `")) }
}

struct Inspection<'a> {
    kernel: &'a Kernel,
}

impl Inspection<'_> {
    /// The error at a place in the WGSL; of the whole entry point where there is none.
    fn at(&self, location: Option<naga::SourceLocation>, message: String) -> Error {
        let source = &*self.kernel.source;
        let line = location.map(|location| location.line_number).or_else(|| line_of(self.kernel));
        let before = location.map_or("", |location| source.get(..location.offset as usize).unwrap_or(""));
        // The last function that begins before the place and has not ended there.
        let open = before.rfind("fn ").filter(|&start| !before[start..].contains("\n}"));
        let word = |character: char| character.is_alphanumeric() || character == '_';
        let named = open.map(|start| before[start + 3..].split(|c| !word(c)).next().unwrap_or(""));
        let function = named.filter(|name| !name.is_empty()).unwrap_or(self.kernel.entry_point);
        Error::Wgsl { file: self.kernel.file(), line, function: function.into(), message }
    }

    /// Checks one storage binding of group 0.
    fn binding(&self, module: &Module, index: usize, binding: &Binding) -> Result<(), Error> {
        let Binding { name, .. } = binding;
        let Some((place, variable)) = self.variable(module, 0, index as u32) else {
            let message = format!("expected `@group(0) @binding({index})` for the operand `{name}`, found none");
            return Err(self.at(None, message));
        };
        let refuse = |message| Err(self.at(Some(place), message));
        let AddressSpace::Storage { access } = variable.space else {
            return refuse(format!("the operand `{name}` is not a storage binding: expected `var<storage, ..>`"));
        };
        let (expected, declared) = (binding.access.writes(), access.contains(StorageAccess::STORE));
        if expected != declared {
            let word = |writes| if writes { "read_write" } else { "read" };
            let (expected, declared) = (word(expected), word(declared));
            return refuse(format!(
                "the operand `{name}` is {:?} and needs `var<storage, {expected}>`, found `var<storage, {declared}>`",
                binding.access
            ));
        }
        let scalar = scalar(module, &module.types[variable.ty]);
        let expected = match binding.element {
            Element::F32 => ScalarKind::Float,
            Element::U32 => ScalarKind::Uint,
        };
        match scalar {
            Some(found) if found != expected => refuse(format!(
                "the operand `{name}` has {:?} elements by its description, found {found:?} in the WGSL",
                binding.element
            )),
            _ => Ok(()),
        }
    }

    /// Checks the uniform block, group 1, binding 0.
    fn uniform(&self, module: &Module) -> Result<(), Error> {
        let expected = self.kernel.uniform_bytes;
        match self.variable(module, UNIFORM_GROUP, 0) {
            None if expected == 0 => Ok(()),
            None => {
                let message = format!(
                    "expected a uniform block of {expected} bytes at `@group({UNIFORM_GROUP}) @binding(0)`, found none"
                );
                Err(self.at(None, message))
            }
            Some((place, variable)) => {
                let found = module.types[variable.ty].inner.size(module.to_ctx()) as usize;
                if found == expected {
                    return Ok(());
                }
                let name = variable.name.as_deref().unwrap_or("uniform");
                let message = format!(
                    "the uniform block `{name}` has {found} bytes in the WGSL, but {expected} by the kernel's description"
                );
                Err(self.at(Some(place), message))
            }
        }
    }

    /// The variable bound at a place, and its line.
    fn variable<'m>(
        &self,
        module: &'m Module,
        group: u32,
        binding: u32,
    ) -> Option<(naga::SourceLocation, &'m GlobalVariable)> {
        let asked = Some(naga::ResourceBinding { group, binding });
        let (handle, variable) = module.global_variables.iter().find(|(_, variable)| variable.binding == asked)?;
        Some((module.global_variables.get_span(handle).location(&self.kernel.source), variable))
    }
}

/// The kind of number that an array of numbers or vectors holds; `None` for arrays of anything else.
fn scalar(module: &Module, ty: &Type) -> Option<ScalarKind> {
    match ty.inner {
        TypeInner::Array { base, .. } => scalar(module, &module.types[base]),
        TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } | TypeInner::Atomic(scalar) => Some(scalar.kind),
        _ => None,
    }
}

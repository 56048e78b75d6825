//! The check by naga, which parses the files.

use naga::{ArraySize, Handle, Module, Scalar, ScalarKind, Type, TypeInner, VectorSize};

use crate::rollout::Error;

/// Checks a whole kernel, whose parts are right by themselves: a file may use a name that the kernel has.
pub(crate) fn check_kernel(name: &str, kernel: &str) -> Result<(), Error> {
    let Err(error) = naga::front::wgsl::parse_str(kernel) else { return Ok(()) };
    let line = error.location(kernel).and_then(|location| kernel.lines().nth(location.line_number as usize - 1));
    let message =
        format!("it does not go with the kernel: {} (`{}`)", error.message(), line.unwrap_or_default().trim());
    Err(Error::File { file: name.into(), line: None, message })
}

/// Checks one file: that it parses after a library and what stands in for the kernel, and that it defines what it must.
pub(crate) fn check_file(
    name: &str,
    source: &str,
    sizes: &str,
    (library, stand_in): (&[&str], &str),
    wanted: &[String],
) -> Result<(), Error> {
    let mut text = sizes.to_string();
    library.iter().chain([&stand_in]).for_each(|part| text.push_str(part));
    let before = text.lines().count();
    text.push_str(source);
    let module = naga::front::wgsl::parse_str(&text).map_err(|error| {
        let line = error.location(&text).map(|location| location.line_number as usize);
        // An error before the file is one that the file causes there, such as a name taken twice.
        let line = line.and_then(|line| line.checked_sub(before)).filter(|&line| line > 0);
        Error::File { file: name.into(), line, message: error.message().to_string() }
    })?;
    for declared in wanted {
        let refuse = |message: String| Err(Error::File { file: name.into(), line: None, message });
        let function = declared.strip_prefix("fn ").and_then(|rest| rest.split('(').next()).unwrap_or(declared);
        let found = module.functions.iter().find(|(_, found)| found.name.as_deref() == Some(function));
        let Some((_, found)) = found else {
            return refuse(format!("it lacks the function `{function}`: expected `{declared}`"));
        };
        let given: Vec<String> = found.arguments.iter().map(|argument| written(&module, argument.ty)).collect();
        let returned = found.result.as_ref().map_or("nothing".into(), |result| written(&module, result.ty));
        let got = format!("fn {function}({}) -> {returned}", given.join(", "));
        if got != *declared {
            return refuse(format!(
                "expected `{declared}`, the sizes being those of its description, but found `{got}`"
            ));
        }
    }
    Ok(())
}

/// A type as WGSL writes it.
fn written(module: &Module, ty: Handle<Type>) -> String {
    let ty = &module.types[ty];
    if let Some(name) = &ty.name {
        return name.clone();
    }
    let scalar = |scalar: Scalar| match scalar.kind {
        ScalarKind::Float => "f32",
        ScalarKind::Uint => "u32",
        ScalarKind::Sint => "i32",
        _ => "bool",
    };
    match &ty.inner {
        TypeInner::Scalar(of) => scalar(*of).into(),
        TypeInner::Vector { size, scalar: of } => {
            let size = match size {
                VectorSize::Bi => 2,
                VectorSize::Tri => 3,
                VectorSize::Quad => 4,
            };
            format!("vec{size}<{}>", scalar(*of))
        }
        TypeInner::Array { base, size: ArraySize::Constant(length), .. } => {
            format!("array<{}, {length}>", written(module, *base))
        }
        TypeInner::Pointer { base, space } => {
            format!("ptr<{}, {}>", format!("{space:?}").to_lowercase(), written(module, *base))
        }
        other => format!("{other:?}"),
    }
}

//! The WGSL files of an environment and a policy, checked before they are put together: what is wrong is named by file,
//! line and function.

use naga::{ArraySize, Handle, Module, Scalar, ScalarKind, Type, TypeInner, VectorSize};

use super::{Composition, Environment, Error};
use fourfold_shaders::inner_problem::{self, InnerProblem};
use fourfold_shaders::rollout::unroll::{self, Keeping, LIBRARY};

/// What stands in for the kernel where a policy is read by itself.
const WEIGHTS: &str =
    "fn weight(i: u32) -> f32 { return 0.0; }\nfn table(i: u32) -> vec4<f32> { return vec4<f32>(); }\n";

/// What stands in for a kernel where an inner problem is read by itself.
const PARAMETERS: &str = "fn parameter(i: u32) -> f32 { return 0.0; }\n\
    fn parameter_tangent(i: u32) -> f32 { return 0.0; }\n\
    @group(0) @binding(0) var<storage, read> data: array<f32>;\n";

/// A function that a file must define: its name, its arguments and its result.
struct Signature {
    name: &'static str,
    arguments: Vec<String>,
    result: String,
}

/// Checks both files and the sizes that their descriptions give.
pub(crate) fn check(composition: &Composition) -> Result<(), Error> {
    let policy = &*composition.policy;
    let interface = composition.interface();
    let refuse = |file: &str, message: String| Err(Error::File { file: file.into(), line: None, message });
    check_environment(&*composition.environment)?;
    if composition.sensors.copies == 0 {
        return Err(Error::Settings { message: "sensors give the observation at least once, but copies is 0".into() });
    }
    if let Some(wiring) = composition.sensors.wiring
        && (wiring.interval == 0 || wiring.phases == 0)
    {
        let message = format!("a wiring needs an interval and phases of at least 1, not {wiring:?}");
        return Err(Error::Settings { message });
    }
    if composition.parameters() == 0 {
        return refuse(policy.file(), "its description says weights = 0: there must be at least one".into());
    }
    if policy.channel_memory(interface) > policy.memory(interface) {
        return refuse(
            policy.file(),
            "its description says that more memory belongs to the channels than there is".into(),
        );
    }

    let memory = pointer(&array(policy.memory(interface).max(1)));
    let (arguments, result) = (vec![memory, array(interface.inputs)], array(interface.actions));
    let act = Signature { name: "policy_act", arguments, result };
    let table = Signature { name: "policy_table", arguments: vec!["u32".into()], result: "vec4<f32>".into() };
    let tables = policy.tables(interface) > 0;
    let wanted: Vec<_> = [act].into_iter().chain(tables.then_some(table)).collect();
    file(policy.file(), policy.source(), &composition.sizes(Keeping::Streamed), (&LIBRARY, WEIGHTS), &wanted)
}

/// Checks the file of an environment and the sizes that its description gives.
pub(crate) fn check_environment(environment: &dyn Environment) -> Result<(), Error> {
    let sizes = [
        ("states", environment.states()),
        ("observations", environment.observations()),
        ("actions", environment.actions()),
    ];
    if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        let message = format!("its description says {name} = 0: there must be at least one");
        return Err(Error::File { file: environment.file().into(), line: None, message });
    }
    let [states, observations, actions] = sizes.map(|(_, size)| array(size));
    let random = || pointer("Random");
    let arguments = vec![pointer(&states), actions, random()];
    file(
        environment.file(),
        environment.source(),
        &unroll::sizes(environment),
        (&LIBRARY, ""),
        &[
            Signature { name: "environment_reset", arguments: vec![random()], result: states.clone() },
            Signature { name: "environment_observe", arguments: vec![states], result: observations },
            Signature { name: "environment_step", arguments, result: "Outcome".into() },
        ],
    )
}

fn array(length: usize) -> String {
    format!("array<f32, {length}>")
}

fn pointer(inner: &str) -> String {
    format!("ptr<function, {inner}>")
}

/// Checks the files of an inner problem and the sizes that its description gives.
pub(crate) fn check_problem(problem: &dyn InnerProblem) -> Result<(), Error> {
    let name = problem.file();
    if let Some((size, _)) =
        [("states", problem.states()), ("parameters", problem.parameters())].iter().find(|(_, size)| *size == 0)
    {
        let message = format!("its description says {size} = 0: there must be at least one");
        return Err(Error::File { file: name.into(), line: None, message });
    }
    let states = format!("array<f32, {}>", problem.states());
    let state = format!("ptr<function, {states}>");
    let random = || "ptr<function, Random>".to_string();
    let reset = Signature { name: "problem_reset", arguments: vec![random()], result: states.clone() };
    let arguments = vec![state.clone(), "u32".into(), random()];
    let step = Signature { name: "problem_step", arguments, result: "Loss".into() };
    let sizes = inner_problem::sizes(problem);
    let before = (&inner_problem::LIBRARY[..], PARAMETERS);
    file(name, &problem.source(), &sizes, before, &[reset, step])?;
    if let Some(tangent) = problem.tangent_source() {
        let arguments = vec![states, state, "u32".into(), random()];
        let wanted = Signature { name: "problem_tangent", arguments, result: "f32".into() };
        // The derivative may call what the problem's own file defines.
        let stand_in = format!("{PARAMETERS}{}\n", problem.source());
        let name = format!("the derivative of {name}");
        file(&name, &tangent, &sizes, (&inner_problem::LIBRARY, &stand_in), &[wanted])?;
    }
    Ok(())
}

/// Checks a whole kernel, whose parts are right by themselves: a file may use a name that the kernel has.
pub(crate) fn check_whole(name: &str, kernel: &str) -> Result<(), Error> {
    let Err(error) = naga::front::wgsl::parse_str(kernel) else { return Ok(()) };
    let line = error.location(kernel).and_then(|location| kernel.lines().nth(location.line_number as usize - 1));
    let message =
        format!("it does not go with the kernel: {} (`{}`)", error.message(), line.unwrap_or_default().trim());
    Err(Error::File { file: name.into(), line: None, message })
}

/// Checks one file: that it parses after a library and what stands in for the kernel, and that it defines what it must.
fn file(
    name: &str,
    source: &str,
    sizes: &str,
    (library, stand_in): (&[&str], &str),
    wanted: &[Signature],
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
    for Signature { name: function, arguments, result } in wanted {
        let refuse = |message: String| Err(Error::File { file: name.into(), line: None, message });
        let declared = format!("fn {function}({}) -> {result}", arguments.join(", "));
        let found = module.functions.iter().map(|(_, found)| found);
        let Some(found) = found.into_iter().find(|found| found.name.as_deref() == Some(*function)) else {
            return refuse(format!("it lacks the function `{function}`: expected `{declared}`"));
        };
        let given: Vec<String> = found.arguments.iter().map(|argument| written(&module, argument.ty)).collect();
        let returned = found.result.as_ref().map_or("nothing".into(), |result| written(&module, result.ty));
        if given != *arguments || returned != *result {
            let got = format!("fn {function}({}) -> {returned}", given.join(", "));
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

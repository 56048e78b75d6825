//! Compiles naga's tree of statements to flat code.

mod expression;
mod statement;

use std::collections::HashMap;

use fourfold_shaders::Call;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, Arena, Binding, Expression, Function, GlobalVariable, Handle, Literal, LocalVariable, Module,
    ShaderStage, Span, TypeInner,
};

use super::code::{Global, Label, Op, Origin, Place, Program, Slot};
use super::finding::Error;
use super::layout::{Unknown, offset, target, words};

/// A value as the compiler knows it.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// Words in an invocation's memory.
    Words(Slot),
    Pointer(Pointer),
}

/// A pointer: the word in the slot `at`, if there is one, and `plus`.
#[derive(Debug, Clone, Copy)]
struct Pointer {
    /// The global variable that invocations share; none for memory of their own.
    global: Option<u32>,
    at: Option<Slot>,
    plus: u32,
    variable: u32,
}

/// A function whose code is written.
#[derive(Debug, Clone)]
struct Compiled {
    label: Label,
    arguments: Vec<Slot>,
    result: Slot,
}

/// Jumps out of a loop or a switch, to be aimed when their target is known.
#[derive(Debug, Default)]
struct Scope {
    breaks: Vec<usize>,
    /// None for a switch.
    continues: Option<Vec<usize>>,
}

/// The function being compiled.
struct Body<'m> {
    function: &'m Function,
    info: &'m FunctionInfo,
    values: Vec<Option<Value>>,
    locals: HashMap<Handle<LocalVariable>, Pointer>,
    arguments: Vec<Slot>,
    result: Slot,
    scopes: Vec<Scope>,
}

struct Compiler<'m> {
    module: &'m Module,
    program: Program,
    globals: HashMap<Handle<GlobalVariable>, Pointer>,
    constants: HashMap<Vec<u32>, Slot>,
    functions: HashMap<Handle<Function>, Compiled>,
    origin: Origin,
}

/// Compiles the entry point of a call with its constants.
pub(super) fn compile(call: &Call) -> Result<Program, Error> {
    let kernel = &*call.kernel;
    let invalid = |reason: String| Error::Invalid { kernel: kernel.name.to_string(), reason };
    let module =
        naga::front::wgsl::parse_str(&kernel.source).map_err(|error| invalid(error.emit_to_string(&kernel.source)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| invalid(error.emit_to_string(&kernel.source)))?;
    let constants = call.constants.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    let entry_point = Some((ShaderStage::Compute, kernel.entry_point));
    if !module.entry_points.iter().any(|entry| entry.name == kernel.entry_point) {
        return Err(invalid(format!("the source has no entry point `{}`", kernel.entry_point)));
    }
    let (module, info) =
        process_overrides(&module, &info, entry_point, &constants).map_err(|error| invalid(error.to_string()))?;
    let mut compiler = Compiler::new(&module);
    compiler.module(&info, kernel.entry_point).map_err(|part| Error::Unsupported {
        kernel: kernel.name.to_string(),
        line: line(&kernel.source, compiler.origin.start),
        part,
    })?;
    Ok(compiler.program)
}

/// Returns the line of a byte of the source, from 1.
pub(super) fn line(source: &str, byte: u32) -> u32 {
    1 + source.bytes().take(byte as usize).filter(|&byte| byte == b'\n').count() as u32
}

impl<'m> Compiler<'m> {
    fn new(module: &'m Module) -> Self {
        let program = Program {
            code: Vec::new(),
            origins: Vec::new(),
            variables: vec!["a value".to_string()],
            globals: Vec::new(),
            switches: Vec::new(),
            memory: Vec::new(),
            entry: 0,
            builtins: Vec::new(),
            workgroup_size: [1; 3],
        };
        Self {
            module,
            program,
            globals: HashMap::new(),
            constants: HashMap::new(),
            functions: HashMap::new(),
            origin: Origin::default(),
        }
    }

    fn module(&mut self, info: &'m ModuleInfo, entry_point: &str) -> Result<(), Unknown> {
        let module = self.module;
        for (handle, variable) in module.global_variables.iter() {
            self.mark(module.global_variables.get_span(handle));
            self.global(handle, variable)?;
        }
        for (handle, function) in module.functions.iter() {
            let compiled = self.function(function, &info[handle])?;
            self.functions.insert(handle, compiled);
        }
        // `process_overrides` keeps this entry point alone, or leaves a module without constants as it was.
        let position = module.entry_points.iter().position(|entry| entry.name == entry_point);
        let position = position.ok_or("an entry point that was lost")?;
        let entry = &module.entry_points[position];
        self.program.workgroup_size = entry.workgroup_size;
        let compiled = self.function(&entry.function, info.get_entry_point(position))?;
        self.program.entry = compiled.label;
        for (argument, &slot) in entry.function.arguments.iter().zip(&compiled.arguments) {
            match (&argument.binding, &module.types[argument.ty].inner) {
                (Some(Binding::BuiltIn(builtin)), _) => self.program.builtins.push((*builtin, slot)),
                (_, inner @ TypeInner::Struct { members, .. }) => {
                    for (index, member) in members.iter().enumerate() {
                        let Some(Binding::BuiltIn(builtin)) = member.binding else { continue };
                        let offset = offset(module, inner, index as u32)?;
                        self.program.builtins.push((builtin, slot + offset));
                    }
                }
                _ => return Err("an argument of an entry point that is not a builtin".to_string()),
            }
        }
        Ok(())
    }

    fn global(&mut self, handle: Handle<GlobalVariable>, variable: &GlobalVariable) -> Result<(), Unknown> {
        let name = variable.name.clone().unwrap_or_default();
        let count = words(self.module, &self.module.types[variable.ty].inner)?;
        let index = self.variable(&name);
        let place = match (variable.space, variable.binding) {
            (AddressSpace::Private, _) => {
                let plus = self.allocate(count);
                if let Some(init) = variable.init {
                    let value = constant(self.module, &self.module.global_expressions, init)?;
                    self.program.memory[plus as usize..][..value.len()].copy_from_slice(&value);
                }
                self.globals.insert(handle, Pointer { global: None, at: None, plus, variable: index });
                return Ok(());
            }
            (AddressSpace::Uniform, Some(_)) => Place::Uniform,
            (AddressSpace::Storage { .. }, Some(binding)) => Place::Storage { binding: binding.binding },
            (AddressSpace::WorkGroup, _) => Place::Workgroup,
            (space, _) => return Err(format!("variables in {space:?} memory")),
        };
        let pointer = Pointer { global: Some(self.program.globals.len() as u32), at: None, plus: 0, variable: index };
        self.program.globals.push(Global { name, place, words: count });
        self.globals.insert(handle, pointer);
        Ok(())
    }

    fn function(&mut self, function: &'m Function, info: &'m FunctionInfo) -> Result<Compiled, Unknown> {
        let module = self.module;
        let mut arguments = Vec::new();
        for argument in &function.arguments {
            let count = words(module, &module.types[argument.ty].inner)?;
            arguments.push(self.allocate(count));
        }
        let result = match &function.result {
            Some(result) => words(module, &module.types[result.ty].inner)?,
            None => 0,
        };
        let result = self.allocate(result);
        let label = self.label();
        let mut body = Body {
            function,
            info,
            values: vec![None; function.expressions.len()],
            locals: HashMap::new(),
            arguments: arguments.clone(),
            result,
            scopes: Vec::new(),
        };
        for (handle, local) in function.local_variables.iter() {
            self.mark(function.local_variables.get_span(handle));
            let count = words(module, &module.types[local.ty].inner)?;
            let plus = self.allocate(count);
            let variable = self.variable(local.name.as_deref().unwrap_or("a variable"));
            let from = match local.init {
                Some(init) => self.words(&mut body, init)?,
                None => self.constant(&vec![0; count as usize]),
            };
            self.emit(Op::Copy { to: plus, from, count });
            body.locals.insert(handle, Pointer { global: None, at: None, plus, variable });
        }
        self.block(&mut body, &function.body)?;
        self.emit(Op::Return);
        Ok(Compiled { label, arguments, result })
    }

    /// Words of an invocation's memory that belong to one value.
    fn allocate(&mut self, count: u32) -> Slot {
        let slot = self.program.memory.len();
        self.program.memory.resize(slot + count as usize, 0);
        slot as Slot
    }

    fn constant(&mut self, words: &[u32]) -> Slot {
        if let Some(&slot) = self.constants.get(words) {
            return slot;
        }
        let slot = self.allocate(words.len() as u32);
        self.program.memory[slot as usize..].copy_from_slice(words);
        self.constants.insert(words.to_vec(), slot);
        slot
    }

    fn variable(&mut self, name: &str) -> u32 {
        self.program.variables.push(name.to_string());
        self.program.variables.len() as u32 - 1
    }

    /// Says where the code that follows comes from.
    fn mark(&mut self, span: Span) {
        if let Some(range) = span.to_range() {
            self.origin = Origin { start: range.start as u32, end: range.end as u32, variable: 0 };
        }
    }

    fn emit(&mut self, op: Op) -> usize {
        self.program.code.push(op);
        self.program.origins.push(self.origin);
        self.program.code.len() - 1
    }

    /// An instruction that touches a variable.
    fn emit_on(&mut self, variable: u32, op: Op) {
        let index = self.emit(op);
        self.program.origins[index].variable = variable;
    }

    fn label(&self) -> Label {
        self.program.code.len() as Label
    }

    /// Lets a jump lead here.
    fn aim(&mut self, jump: usize) {
        let label = self.label();
        match &mut self.program.code[jump] {
            Op::Jump { to } | Op::JumpUnless { to, .. } => *to = label,
            _ => unreachable!("only jumps are aimed"),
        }
    }

    /// The type of an expression; what a pointer points to.
    fn inner(&self, body: &Body<'m>, handle: Handle<Expression>) -> TypeInner {
        target(self.module, self.inner_of(body, handle))
    }

    fn inner_of<'a>(&'a self, body: &'a Body<'m>, handle: Handle<Expression>) -> &'a TypeInner {
        body.info[handle].ty.inner_with(&self.module.types)
    }

    fn count(&self, body: &Body<'m>, handle: Handle<Expression>) -> Result<u32, Unknown> {
        words(self.module, self.inner_of(body, handle))
    }
}

/// The words of a constant expression.
fn constant(module: &Module, arena: &Arena<Expression>, handle: Handle<Expression>) -> Result<Vec<u32>, Unknown> {
    Ok(match arena[handle] {
        Expression::Literal(literal) => vec![match literal {
            Literal::F32(value) => value.to_bits(),
            Literal::U32(value) => value,
            Literal::I32(value) => value as u32,
            Literal::Bool(value) => u32::from(value),
            other => return Err(format!("the literal {other:?}")),
        }],
        Expression::Constant(handle) => constant(module, &module.global_expressions, module.constants[handle].init)?,
        Expression::ZeroValue(ty) => vec![0; words(module, &module.types[ty].inner)? as usize],
        Expression::Splat { size, value } => constant(module, arena, value)?.repeat(size as usize),
        Expression::Compose { ty, ref components } => {
            let inner = &module.types[ty].inner;
            let mut value = vec![0; words(module, inner)? as usize];
            let mut next = 0;
            for (index, &component) in components.iter().enumerate() {
                let component = constant(module, arena, component)?;
                let place = match inner {
                    TypeInner::Vector { .. } => next,
                    _ => offset(module, inner, index as u32)? as usize,
                };
                value[place..place + component.len()].copy_from_slice(&component);
                next = place + component.len();
            }
            value
        }
        ref other => return Err(format!("the constant expression {other:?}")),
    })
}

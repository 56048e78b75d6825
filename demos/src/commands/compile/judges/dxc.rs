//! Microsoft's compiler of HLSL: its program, or its library, which alone is to be had for Linux in some places.

use std::ffi::{OsStr, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{first_lines, on_path, refusal};
use crate::failure::Failure;

/// The compiler.
#[derive(Clone)]
pub enum Dxc {
    Program(PathBuf),
    Library(Arc<Library>),
}

impl Dxc {
    /// Opens the library or program that is named, else finds `dxc` on the PATH.
    ///
    /// # Errors
    /// There is no such file, or it is no library of DXC.
    pub fn find(named: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(path) = named else { return Ok(on_path("dxc").map(Self::Program)) };
        let refuse = |got: String| {
            Failure::Input(format!(
                "--dxc: expected the program `dxc` or the library libdxcompiler of 1.8 or later, got {got}"
            ))
        };
        if !path.is_file() {
            return Err(refuse(format!("{}, where there is no file", path.display())));
        }
        let is_library = |name: &OsStr| name.to_string_lossy().contains("dxcompiler");
        if !path.file_name().is_some_and(is_library) {
            return Ok(Some(Self::Program(path.to_owned())));
        }
        let library = Library::open(path).map_err(|error| refuse(format!("{}: {error}", path.display())))?;
        Ok(Some(Self::Library(Arc::new(library))))
    }

    /// Compiles a text for a shader model, and returns the words in which the compiler refuses it.
    ///
    /// # Errors
    /// The file cannot be written, or the program does not start.
    pub fn compile(&self, file: &Path, text: &str, entry: &str, model: &str) -> Result<Option<String>, Failure> {
        let mut arguments = vec!["-HV", "2018"];
        if model != "cs_6_0" {
            arguments.push("-enable-16bit-types");
        }
        match self {
            Self::Library(library) => Ok(library.compile(text, entry, model, &arguments).err()),
            Self::Program(path) => {
                arguments.extend(["-T", model, "-E", entry]);
                refusal(path, &arguments, file, text.as_bytes())
            }
        }
    }
}

/// The functions of the library, by COM: an object begins with a pointer to the table of its functions, of which the first
/// three are those of every object.
pub struct Library {
    library: libloading::Library,
}

/// A character of the library's texts.
#[cfg(windows)]
type Wide = u16;
#[cfg(not(windows))]
type Wide = u32;

#[repr(C)]
struct Guid(u32, u16, u16, [u8; 8]);

/// The identifiers of dxcapi.h: of a class and of its interface.
const LIBRARY: [Guid; 2] = [
    Guid(0x6245_d6af, 0x66e0, 0x48fd, [0x80, 0xb4, 0x4d, 0x27, 0x17, 0x96, 0x74, 0x8c]),
    Guid(0xe520_4dc7, 0xd18c, 0x4c3c, [0xbd, 0xfb, 0x85, 0x16, 0x73, 0x98, 0x0f, 0xe7]),
];
const COMPILER: [Guid; 2] = [
    Guid(0x73e2_2d93, 0xe6ce, 0x47f3, [0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0]),
    Guid(0x8c21_0bf3, 0x011f, 0x4422, [0x8d, 0x70, 0x6f, 0x9a, 0xcb, 0x8d, 0xb6, 0x17]),
];

/// The text encoding UTF-8.
const UTF_8: u32 = 65_001;

/// Places in the tables of functions, by dxcapi.h.
const RELEASE: usize = 2;
const POINTER: usize = 3;
const SIZE: usize = 4;
const COPY: usize = 7;
const COMPILE: usize = 3;
const STATUS: usize = 3;
const ERRORS: usize = 5;

type Create = unsafe extern "system" fn(*const Guid, *const Guid, *mut *mut c_void) -> i32;
type CopyText = unsafe extern "system" fn(*mut c_void, *const u8, u32, u32, *mut *mut c_void) -> i32;
type Compile = unsafe extern "system" fn(
    *mut c_void,
    *mut c_void,
    *const Wide,
    *const Wide,
    *const Wide,
    *const *const Wide,
    u32,
    *const c_void,
    u32,
    *mut c_void,
    *mut *mut c_void,
) -> i32;
type GetStatus = unsafe extern "system" fn(*mut c_void, *mut i32) -> i32;
type GetBlob = unsafe extern "system" fn(*mut c_void, *mut *mut c_void) -> i32;
type GetPointer = unsafe extern "system" fn(*mut c_void) -> *const u8;
type GetSize = unsafe extern "system" fn(*mut c_void) -> usize;
type Release = unsafe extern "system" fn(*mut c_void) -> u32;

/// An object of the library, released with this.
struct Object(*mut c_void);

#[expect(unsafe_code, reason = "the objects of a library in C++, with the functions that its header declares")]
impl Object {
    /// Returns a function of the object's table.
    ///
    /// # Safety
    /// `F` must be the type of the function at this place.
    unsafe fn function<F: Copy>(&self, place: usize) -> F {
        // SAFETY: the object begins with a pointer to its table; the caller answers for the place and the type.
        unsafe { std::mem::transmute_copy(&*(*self.0.cast::<*const *const c_void>()).add(place)) }
    }
}

#[expect(unsafe_code, reason = "see above")]
impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: every object has this function at this place, and this was the last use of it.
        unsafe { self.function::<Release>(RELEASE)(self.0) };
    }
}

/// Calls what makes an object.
fn made(make: impl FnOnce(*mut *mut c_void) -> i32) -> Result<Object, String> {
    let mut object = std::ptr::null_mut();
    let status = make(&mut object);
    if status < 0 || object.is_null() {
        return Err(format!("a call of the library failed with {status:#010x}"));
    }
    Ok(Object(object))
}

fn wide(text: &str) -> Vec<Wide> {
    text.bytes().map(Wide::from).chain([0]).collect()
}

#[expect(unsafe_code, reason = "calls a library in C++ as its header says")]
impl Library {
    fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: the user names the library, whose initialisers are trusted as those of any driver.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
        let library = Self { library };
        library.create(&COMPILER)?;
        Ok(library)
    }

    fn create(&self, [class, interface]: &[Guid; 2]) -> Result<Object, String> {
        // SAFETY: the library exports this function with this type.
        unsafe {
            let create = self.library.get::<Create>(b"DxcCreateInstance\0").map_err(|error| error.to_string())?;
            made(|object| create(class, interface, object))
        }
    }

    /// Compiles a text.
    fn compile(&self, text: &str, entry: &str, model: &str, arguments: &[&str]) -> Result<(), String> {
        let (library, compiler) = (self.create(&LIBRARY)?, self.create(&COMPILER)?);
        let length = u32::try_from(text.len()).map_err(|error| error.to_string())?;
        let [name, entry, model] = ["variant.hlsl", entry, model].map(wide);
        let arguments: Vec<Vec<Wide>> = arguments.iter().map(|argument| wide(argument)).collect();
        let arguments: Vec<*const Wide> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        let (count, none) = (arguments.len() as u32, std::ptr::null_mut());
        // SAFETY: places and types are those of dxcapi.h; texts end in zeros and outlive the calls.
        unsafe {
            let copy = library.function::<CopyText>(COPY);
            let source = made(|source| copy(library.0, text.as_ptr(), length, UTF_8, source))?;
            let compile = compiler.function::<Compile>(COMPILE);
            let result = made(|result| {
                let (name, entry, model) = (name.as_ptr(), entry.as_ptr(), model.as_ptr());
                let arguments = arguments.as_ptr();
                compile(compiler.0, source.0, name, entry, model, arguments, count, none, 0, none, result)
            })?;
            let mut status = 0;
            result.function::<GetStatus>(STATUS)(result.0, &mut status);
            if status >= 0 {
                return Ok(());
            }
            let errors = made(|errors| result.function::<GetBlob>(ERRORS)(result.0, errors))?;
            let (pointer, size) =
                (errors.function::<GetPointer>(POINTER)(errors.0), errors.function::<GetSize>(SIZE)(errors.0));
            let said = if pointer.is_null() { &[] } else { std::slice::from_raw_parts(pointer, size) };
            Err(first_lines(String::from_utf8_lossy(said).trim_end_matches('\0')))
        }
    }
}

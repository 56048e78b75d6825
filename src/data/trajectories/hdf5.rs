//! Arrays and attributes of HDF5 files, as columns and texts.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5_reader::error::Error as Reason;
use hdf5_reader::group::Group;
use hdf5_reader::{Attribute, Dataset, Datatype, ExternalLinkResolver, Hdf5File, OpenOptions};

use super::super::Error;
use super::column::{Column, Element, Kind};
use super::links;

/// No array is unpacked past this many bytes, whatever the file says of its shape.
const MOST_BYTES: usize = 1 << 31;

/// Deflate packs at most this many bytes into one, and the other filters hardly more. Arrays that claim to be larger were
/// never written.
const BYTES_PER_BYTE: usize = 1032;

/// An HDF5 file.
pub(super) struct File<'a> {
    /// The name in errors.
    pub name: &'a str,
    pub root: Group,
    /// Bytes that all arrays still to be read may have.
    left: Cell<usize>,
    elsewhere: Arc<Elsewhere>,
}

/// Notes that a link leads to another file, which is not opened.
#[derive(Default)]
struct Elsewhere(Mutex<Option<String>>);

impl Elsewhere {
    /// The file that a link led to since the last call.
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ExternalLinkResolver for Elsewhere {
    fn resolve_external_link(&self, file: &str) -> Result<Option<Hdf5File>, Reason> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.to_owned());
        Ok(None)
    }
}

impl<'a> File<'a> {
    /// Opens a file from its bytes.
    ///
    /// # Errors
    /// If it is cut off or damaged.
    pub fn open(name: &'a str, bytes: Vec<u8>) -> Result<Self, Error> {
        let length = bytes.len() as u64;
        let left = bytes.len().saturating_mul(BYTES_PER_BYTE);
        let elsewhere = Arc::new(Elsewhere::default());
        let default = OpenOptions::default();
        let options = OpenOptions {
            max_read_bytes: MOST_BYTES.min(left),
            max_chunk_bytes: default.max_chunk_bytes.min(left),
            max_object_header_bytes: default.max_object_header_bytes.min(bytes.len()),
            external_link_resolver: Some(elsewhere.clone()),
            ..default
        };
        let file = Hdf5File::from_vec_with_options(bytes, options).map_err(|reason| damaged(name, &reason))?;
        // The part cut off may be an array that nobody asks for, or, worse, a mere attribute.
        let end = file.superblock().eof_address;
        if end > length {
            return Err(Error::content(name, format!("a whole HDF5 file of {end} bytes"), format!("{length} bytes")));
        }
        let root = file.root_group().map_err(|reason| damaged(name, &reason))?;
        Ok(Self { name, root, left: left.into(), elsewhere })
    }

    /// The names of groups and of arrays that this file holds in a group.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn members(&self, group: &Group) -> Result<(Vec<String>, Vec<String>), Error> {
        group.member_names().map_err(|reason| damaged(self.name, &reason))
    }

    /// The names of all groups and arrays in a group; `key` is its whole path, for errors.
    ///
    /// # Errors
    /// If the file is damaged, another file holds a member, or a link leads to neither a group nor an array.
    pub fn all_members(&self, group: &Group, key: &str) -> Result<(Vec<String>, Vec<String>), Error> {
        self.elsewhere.take();
        let members = self.members(group)?;
        if let Some(other) = self.elsewhere.take() {
            return Err(self.linked(key, &other));
        }
        let links = links::count(group).map_err(|reason| damaged(self.name, &reason))?;
        let found = (members.0.len() + members.1.len()) as u64;
        if found < links {
            let got = format!("{} that lead nowhere", links - found);
            return Err(Error::tensor(self.name, key, format!("{links} links to groups and arrays"), got));
        }
        Ok(members)
    }

    fn linked(&self, key: &str, other: &str) -> Error {
        Error::tensor(self.name, key, "data in this file", format!("a link to the file `{other}`"))
    }

    /// A group in a group that has it.
    ///
    /// # Errors
    /// If there is no such group, or the file is damaged.
    pub fn group(&self, parent: &Group, name: &str) -> Result<Group, Error> {
        parent.group(name).map_err(|reason| damaged(self.name, &reason))
    }

    /// An array of numbers in a group; `key` is its whole path, for errors.
    ///
    /// # Errors
    /// If there is no such array in this file, or it is damaged, larger than the file can hold, or not of numbers.
    pub fn column(&self, group: &Group, key: &str) -> Result<Column<'a>, Error> {
        if let Some(dataset) = self.dataset(group, key)? {
            return self.read(&dataset, key);
        }
        let (groups, arrays) = group.member_names().unwrap_or_default();
        let found = super::super::numpy::listed(&[groups, arrays].concat());
        Err(Error::content(self.name, format!("an array `{key}`"), found))
    }

    /// The same of an array that may be missing.
    ///
    /// # Errors
    /// As [`column`](Self::column), and if there is something else of its name.
    pub fn optional_column(&self, group: &Group, key: &str) -> Result<Option<Column<'a>>, Error> {
        match self.dataset(group, key)? {
            Some(dataset) => self.read(&dataset, key).map(Some),
            None if group.group(key).is_ok() => Err(Error::tensor(self.name, key, "an array", "a group")),
            None => Ok(None),
        }
    }

    fn read(&self, dataset: &Dataset, key: &str) -> Result<Column<'a>, Error> {
        let damaged = |reason: Reason| Error::tensor(self.name, key, "a whole array", format!("{reason}"));
        let Some(element) = element(dataset.dtype()) else {
            return Err(Error::tensor(self.name, key, "numbers", described(dataset.dtype())));
        };
        let extents = dataset.shape().iter().map(|&extent| usize::try_from(extent));
        let shape: Vec<usize> = extents.collect::<Result<_, _>>().map_err(|_| {
            Error::tensor(self.name, key, "an array that fits in memory", format!("shape {:?}", dataset.shape()))
        })?;
        let size = shape.iter().try_fold(element.bytes, |size, &extent| size.checked_mul(extent));
        let Some(left) = size.and_then(|size| self.left.get().checked_sub(size)) else {
            let expected = format!("at most {} bytes, which a file of this size can hold", self.left.get());
            return Err(Error::tensor(self.name, key, expected, format!("shape {shape:?}")));
        };
        self.left.set(left);
        Column::new(self.name, key, element, &shape, dataset.read_raw_bytes().map_err(damaged)?)
    }

    /// The array at the path `key`; `None` if there is none of that name.
    fn dataset(&self, group: &Group, key: &str) -> Result<Option<Dataset>, Error> {
        self.elsewhere.take();
        let found = group.dataset(key.rsplit('/').next().unwrap_or(key));
        match (found, self.elsewhere.take()) {
            (Ok(dataset), _) => Ok(Some(dataset)),
            (Err(Reason::DatasetNotFound(_)), None) => Ok(None),
            (Err(Reason::DatasetNotFound(_)), Some(other)) => Err(self.linked(key, &other)),
            (Err(reason), _) => Err(Error::tensor(self.name, key, "a whole array", format!("{reason}"))),
        }
    }

    /// The text of an array of one text; `None` if there is no such array.
    pub fn text(&self, group: &Group, name: &str) -> Option<String> {
        group.dataset(name).ok()?.read_string().ok()
    }

    /// Attributes of a group that are one text or one number, as texts.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn texts(&self, group: &Group) -> Result<Vec<(String, String)>, Error> {
        let attributes = group.attributes().map_err(|reason| damaged(self.name, &reason))?;
        Ok(attributes.iter().filter_map(|attribute| Some((attribute.name.clone(), text(attribute)?))).collect())
    }
}

fn damaged(file: &str, reason: &Reason) -> Error {
    Error::content(file, "a whole HDF5 file", format!("a damaged one ({reason})"))
}

fn text(attribute: &Attribute) -> Option<String> {
    attribute.read_string().ok().or_else(|| Some(attribute.read_as_f64().ok()?.to_string()))
}

/// h5py's truth values are an enumeration over a byte.
fn element(datatype: &Datatype) -> Option<Element> {
    use hdf5_reader::ByteOrder::BigEndian;
    match datatype {
        Datatype::FloatingPoint { size, byte_order } => {
            Element::new(Kind::Float, usize::from(*size), *byte_order == BigEndian)
        }
        Datatype::FixedPoint { size, signed, byte_order } => {
            let kind = if *signed { Kind::Signed } else { Kind::Unsigned };
            Element::new(kind, usize::from(*size), *byte_order == BigEndian)
        }
        Datatype::Enum { base, .. } => element(base).filter(|element| element.kind != Kind::Float),
        _ => None,
    }
}

fn described(datatype: &Datatype) -> String {
    let kind = match datatype {
        Datatype::FloatingPoint { size, .. } => return format!("floats of {size} bytes"),
        Datatype::String { .. } => "texts",
        Datatype::VarLen { .. } => "elements of varying length (such as compressed images)",
        Datatype::Compound { .. } => "structures",
        _ => "elements of another kind",
    };
    kind.to_owned()
}

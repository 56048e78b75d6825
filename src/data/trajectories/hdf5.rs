//! Arrays and attributes of HDF5 files, as columns and texts.

use hdf5_reader::error::Error as Reason;
use hdf5_reader::group::Group;
use hdf5_reader::{Attribute, Dataset, Datatype, Hdf5File, OpenOptions};

use super::super::Error;
use super::column::{Column, Element, Kind};

/// No array is unpacked past this many bytes, whatever the file says of its shape.
const MOST_BYTES: usize = 1 << 31;

/// An HDF5 file.
pub(super) struct File<'a> {
    /// What errors call it.
    pub name: &'a str,
    pub root: Group,
}

impl<'a> File<'a> {
    pub fn open(name: &'a str, bytes: Vec<u8>) -> Result<Self, Error> {
        let options = OpenOptions { max_read_bytes: MOST_BYTES, ..OpenOptions::default() };
        let length = bytes.len() as u64;
        let file = Hdf5File::from_vec_with_options(bytes, options).map_err(|reason| damaged(name, &reason))?;
        // What is cut off may be an array that nobody asks for, or, worse, a mere attribute.
        let end = file.superblock().eof_address;
        if end > length {
            return Err(Error::content(name, format!("a whole HDF5 file of {end} bytes"), format!("{length} bytes")));
        }
        Ok(Self { name, root: file.root_group().map_err(|reason| damaged(name, &reason))? })
    }

    /// The names of groups and of arrays in a group.
    pub fn members(&self, group: &Group) -> Result<(Vec<String>, Vec<String>), Error> {
        group.member_names().map_err(|reason| damaged(self.name, &reason))
    }

    /// A group in a group that has it.
    pub fn group(&self, parent: &Group, name: &str) -> Result<Group, Error> {
        parent.group(name).map_err(|reason| damaged(self.name, &reason))
    }

    /// An array of numbers in a group; `key` is its whole path, for errors.
    pub fn column(&self, group: &Group, key: &str) -> Result<Column<'a>, Error> {
        let dataset = self.dataset(group, key)?;
        let damaged = |reason: Reason| Error::tensor(self.name, key, "a whole array", format!("{reason}"));
        let Some(element) = element(dataset.dtype()) else {
            return Err(Error::tensor(self.name, key, "numbers", described(dataset.dtype())));
        };
        let extents = dataset.shape().iter().map(|&extent| usize::try_from(extent));
        let shape: Vec<usize> = extents.collect::<Result<_, _>>().map_err(|_| {
            Error::tensor(self.name, key, "an array that fits in memory", format!("shape {:?}", dataset.shape()))
        })?;
        Column::new(self.name, key, element, &shape, dataset.read_raw_bytes().map_err(damaged)?)
    }

    fn dataset(&self, group: &Group, key: &str) -> Result<Dataset, Error> {
        let name = key.rsplit('/').next().unwrap_or(key);
        group.dataset(name).map_err(|reason| match reason {
            Reason::DatasetNotFound(_) => {
                let (groups, arrays) = group.member_names().unwrap_or_default();
                let found = super::super::numpy::listed(&[groups, arrays].concat());
                Error::content(self.name, format!("an array `{key}`"), found)
            }
            reason => Error::tensor(self.name, key, "a whole array", format!("{reason}")),
        })
    }

    /// The text of an array of one text; `None` if there is no such array.
    pub fn text(&self, group: &Group, name: &str) -> Option<String> {
        group.dataset(name).ok()?.read_string().ok()
    }

    /// Attributes of a group that are one text or one number, as texts.
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

//! Links of HDF5 groups, those that lead nowhere included.

use hdf5_reader::btree_v1::collect_btree_v1_leaves_storage;
use hdf5_reader::btree_v2::BTreeV2Header;
use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::object_header::ObjectHeader;

/// Returns the number of links in a group, of which the reader lists only those that it can follow.
///
/// # Errors
/// If the file is damaged.
pub(super) fn count(group: &Group) -> Result<u64, Error> {
    let (storage, offset, length) = (group.storage(), group.offset_size(), group.length_size());
    let header = ObjectHeader::parse_at_storage(storage, group.address(), offset, length)?;
    let mut count = 0;
    for message in &header.messages {
        match message {
            // One of a few, in the header itself.
            HdfMessage::Link(_) => count += 1,
            // Many, in a tree.
            HdfMessage::LinkInfo(info) if !Cursor::is_undefined_offset(info.fractal_heap_address, offset) => {
                let address = info.btree_name_index_address;
                count += BTreeV2Header::parse_at_storage(storage, address, offset, length)?.total_records;
            }
            // In the nodes of a tree of old groups, each of which begins with `SNOD`, 2 other bytes and its number of links.
            HdfMessage::SymbolTable(table) => {
                let address = table.btree_address;
                let leaves = collect_btree_v1_leaves_storage(storage, address, offset, length, None, &[], None)?;
                for (_, node) in leaves {
                    let start = storage.read_range(node, 8)?;
                    count += u64::from(u16::from_le_bytes([start[6], start[7]]));
                }
            }
            _ => {}
        }
    }
    Ok(count)
}

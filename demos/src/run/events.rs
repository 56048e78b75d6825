//! The log of a run as event files of TensorBoard.
//!
//! A file is a sequence of records: the length (u64), its checksum, the bytes, their checksum (u32 each, little-endian;
//! CRC-32C, rotated and offset). The bytes are a message `Event` of TensorFlow's `event.proto`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use fourfold::data::Error;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The file of a run: TensorBoard looks for `tfevents` in its name.
pub const EVENTS: &str = "events.out.tfevents.fourfold";

/// Names of numbers that count steps, in the order in which they are looked for.
const STEPS: [&str; 6] = ["step", "iteration", "generation", "steps", "epoch", "pass"];

/// An open event file.
#[derive(Debug)]
pub struct Events {
    file: File,
    name: String,
    rows: i64,
}

impl Events {
    /// Creates the event file of a folder, or replaces it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(EVENTS);
        let name = path.display().to_string();
        let opened = OpenOptions::new().create(true).write(true).truncate(true).open(&path);
        let file = opened.map_err(|source| Error::Write { file: name.clone(), source })?;
        let mut events = Self { file, name, rows: 0 };
        let version = field(3, b"brain.Event:2");
        events.write(&[time(), version].concat())?;
        Ok(events)
    }

    /// Appends the numbers of a row of the log, one scalar each, under the texts and the seed of the row.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, row: &Map<String, Value>) -> Result<(), Failure> {
        self.rows += 1;
        let step = STEPS.iter().find_map(|name| row.get(*name).and_then(Value::as_i64)).unwrap_or(self.rows);
        let mut group: Vec<String> = row.values().filter_map(Value::as_str).map(str::to_owned).collect();
        group
            .extend(["seed", "search"].iter().filter_map(|name| Some(format!("{name} {}", row.get(*name)?.as_i64()?))));
        let mut scalars = Vec::new();
        numbers(&mut scalars, "", row);
        for (name, number) in scalars {
            let tag = group.iter().map(String::as_str).chain([&*name]).collect::<Vec<_>>().join("/");
            let value = [field(1, tag.as_bytes()), vec![2 << 3 | 5], (number as f32).to_le_bytes().to_vec()].concat();
            let event = [time(), vec![2 << 3], varint(step as u64), field(5, &field(1, &value))].concat();
            self.write(&event)?;
        }
        Ok(())
    }

    fn write(&mut self, event: &[u8]) -> Result<(), Failure> {
        let length = (event.len() as u64).to_le_bytes();
        let record = [&length[..], &checksum(&length), event, &checksum(event)].concat();
        let written = self.file.write_all(&record);
        Ok(written.map_err(|source| Error::Write { file: self.name.clone(), source })?)
    }
}

/// Collects the numbers of a row, those of inner objects too, but for its steps and seeds.
fn numbers(found: &mut Vec<(String, f64)>, prefix: &str, row: &Map<String, Value>) {
    for (name, value) in row {
        match value {
            Value::Number(number) if !STEPS.contains(&&**name) && name != "seed" && name != "search" => {
                found.extend(number.as_f64().map(|number| (format!("{prefix}{name}"), number)));
            }
            Value::Object(inner) => numbers(found, &format!("{prefix}{name}."), inner),
            _ => {}
        }
    }
}

/// The field of the wall time, a double.
fn time() -> Vec<u8> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    [&[1 << 3 | 1][..], &seconds.to_le_bytes()].concat()
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The checksum of a record: CRC-32C, rotated by 15 bits, plus a constant.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads a number of seven bits a byte.
    fn read_varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    /// Reads the fields of a message: numbers and wire types, with their bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = read_varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    found.push((key >> 3, read_varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => read_varint(&mut bytes) as usize,
            };
            found.push((key >> 3, bytes[..length].to_vec()));
            bytes = &bytes[length..];
        }
        found
    }

    #[test]
    fn a_file_reads_back_as_the_scalars_of_the_log() {
        // The check value of CRC-32C.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let folder = std::env::temp_dir().join(format!("fourfold-events-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut events = Events::create(&folder).unwrap();
        let rows = [
            json!({ "method": "SAM", "seed": 3, "step": 300, "loss": 0.25, "list": [1, 2], "none": null }),
            json!({ "point": { "best": -1.5 } }),
        ];
        rows.iter().for_each(|row| events.append(row.as_object().unwrap()).unwrap());
        let bytes = std::fs::read(folder.join(EVENTS)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();

        let (mut rest, mut scalars, mut versions) = (&bytes[..], Vec::new(), 0);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], checksum(&rest[..8]));
            let event = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], checksum(event));
            rest = &rest[16 + length..];
            let event = fields(event);
            assert_eq!((event[0].0, event[0].1.len()), (1, 8));
            if event[1] == (3, b"brain.Event:2".to_vec()) {
                versions += 1;
                continue;
            }
            let step = u64::from_le_bytes(event[1].1.clone().try_into().unwrap());
            let value = fields(&fields(&event[2].1)[0].1);
            let number = f32::from_le_bytes(value[1].1.clone().try_into().unwrap());
            scalars.push((String::from_utf8(value[0].1.clone()).unwrap(), step, number));
        }
        assert_eq!(versions, 1);
        assert_eq!(scalars, [("SAM/seed 3/loss".to_owned(), 300, 0.25), ("point.best".to_owned(), 2, -1.5)]);
    }
}

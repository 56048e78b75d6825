//! The DQN replay data set (Agarwal et al. 2020): what a DQN saw and did while it learnt an Atari game, in the files that
//! Dopamine writes. A checkpoint `N` of a folder is `$store$_observation_ckpt.N.gz`, `$store$_action_ckpt.N.gz`,
//! `$store$_reward_ckpt.N.gz` and `$store$_terminal_ckpt.N.gz`, each a gzip file of an array in numpy's format.
//!
//! Before the first step of an episode Dopamine stores empty ones, one fewer than frames of an observation. They are left out:
//! the frames before an episode are zeros without them.

use std::io::Read;
use std::path::Path;

use super::{Actions, FrameShape, Frames, Steps, Trajectories};
use crate::data::numpy::Array;
use crate::data::{Error, file, gzip};

/// Steps of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The number in the files' names.
    pub checkpoint: usize,
    /// The first step that is read, counted as the files count.
    pub first: usize,
    /// Steps that are read at most; an episode that has not ended by then is left out, unless it is the only one.
    pub steps: usize,
}

/// The longest header of numpy's format that is read.
const HEADER: usize = 4096;

/// Reads steps of a game from a folder. An observation is [`FrameShape::ATARI`], with the extents of the files' pictures; the
/// choices are as many as the greatest action asks for.
///
/// # Errors
/// A file that is missing, damaged, shorter than the selection, or of another kind; no step in the selection.
pub fn load(folder: &Path, selection: Selection) -> Result<Trajectories, Error> {
    let name = folder.display().to_string();
    let Selection { checkpoint, first, steps } = selection;
    if steps == 0 {
        return Err(Error::content(&name, "a selection of at least one step", "none"));
    }
    let column = |key: &str| Column::load(folder, key, selection);
    let [actions, rewards, terminals] = [column("action")?, column("reward")?, column("terminal")?];
    let pictures = column("observation")?;
    let &[rows, columns] = &pictures.shape[..] else {
        return Err(pictures.wrong("pictures (steps, rows, columns)"));
    };
    let shape = FrameShape { rows, columns, ..FrameShape::ATARI };
    let count = [&actions, &rewards, &terminals, &pictures].map(|column| column.count).into_iter().min().unwrap_or(0);
    if count == 0 {
        return Err(Error::content(&name, format!("steps from {first} on in checkpoint {checkpoint}"), "none"));
    }
    let (actions, rewards, ended) = (actions.numbers()?, rewards.numbers()?, terminals.numbers()?);
    let pictures = pictures.bytes()?;

    let mut kept = Steps::default();
    let mut pixels = Vec::new();
    let mut begun = 0;
    let mut is_first = true;
    for step in 0..count {
        let picture = &pictures[step * shape.pixels()..][..shape.pixels()];
        let is_empty =
            actions[step] == 0.0 && rewards[step] == 0.0 && ended[step] == 0.0 && picture.iter().all(|&p| p == 0);
        if is_first && is_empty {
            continue;
        }
        is_first = false;
        pixels.extend_from_slice(picture);
        kept.actions.push(actions[step]);
        kept.rewards.push(rewards[step]);
        if ended[step] != 0.0 {
            kept.ends.push(kept.rewards.len());
            kept.terminated.push(true);
            begun = kept.rewards.len();
            is_first = true;
        }
    }
    if kept.ends.is_empty() && !kept.rewards.is_empty() {
        begun = kept.rewards.len();
        kept.ends.push(begun);
        kept.terminated.push(false);
    }
    kept.actions.truncate(begun);
    kept.rewards.truncate(begun);
    pixels.truncate(begun * shape.pixels());
    let greatest = kept.actions.iter().copied().fold(0.0, f32::max);
    let actions = Actions::Discrete(greatest as usize + 1);
    let mut trajectories = Trajectories::of_frames(&name, Frames { shape, pixels }, actions, kept)?;
    trajectories.set_note("origin", format!("DQN replay, checkpoint {checkpoint}, from step {first} on"));
    Ok(trajectories)
}

/// The selected rows of a file.
struct Column {
    file: String,
    /// The element type in numpy's words.
    kind: String,
    /// The extents of a row.
    shape: Vec<usize>,
    /// Rows that are there.
    count: usize,
    values: Vec<u8>,
}

impl Column {
    fn load(folder: &Path, key: &str, Selection { checkpoint, first, steps }: Selection) -> Result<Self, Error> {
        let path = folder.join(format!("$store$_{key}_ckpt.{checkpoint}.gz"));
        let file = path.display().to_string();
        let compressed = file::read(&path)?;
        let mut reader = gzip::reader(&compressed);
        let damaged =
            |error: std::io::Error| Error::content(&file, "a whole gzip file", format!("a damaged one ({error})"));
        let mut head = Vec::new();
        reader.by_ref().take(HEADER as u64).read_to_end(&mut head).map_err(damaged)?;
        let array = Array::parse(&file, key, &head)?;
        let (shape, kind, behind) = (array.shape.clone(), array.kind.to_owned(), array.values);
        let width = match &kind[..] {
            "|u1" | "|b1" => 1,
            "<i4" | "<f4" => 4,
            "<i8" | "<f8" => 8,
            _ => return Err(Error::tensor(&file, key, "bytes, or numbers of 4 or 8 bytes", format!("`{kind}`"))),
        };
        let Some((&rows, shape)) = shape.split_first().filter(|_| array.is_row_major()) else {
            return Err(Error::tensor(&file, key, "rows, one after the other", format!("shape {shape:?}")));
        };
        let bytes = shape.iter().try_fold(width, |product: usize, &axis| product.checked_mul(axis));
        let count = rows.saturating_sub(first).min(steps);
        let (Some(bytes), Some(skipped)) = (bytes, bytes.and_then(|bytes| first.checked_mul(bytes))) else {
            return Err(Error::tensor(&file, key, "rows that memory holds", format!("shape {:?}", array.shape)));
        };
        let mut rest = behind.chain(reader);
        let skipped = skipped as u64 * u64::from(count > 0);
        let passed = std::io::copy(&mut rest.by_ref().take(skipped), &mut std::io::sink()).map_err(damaged)?;
        let mut values = Vec::new();
        rest.take((count * bytes) as u64).read_to_end(&mut values).map_err(damaged)?;
        if passed < skipped || values.len() < count * bytes {
            let got = format!("an end after {} bytes", passed as usize + values.len());
            return Err(Error::tensor(&file, key, format!("{rows} rows of {bytes} bytes"), got));
        }
        Ok(Self { file, kind, shape: shape.to_vec(), count, values })
    }

    fn wrong(&self, expected: &str) -> Error {
        Error::content(&self.file, expected, format!("rows of shape {:?} and type `{}`", self.shape, self.kind))
    }

    /// One number a row.
    fn numbers(&self) -> Result<Vec<f32>, Error> {
        if !self.shape.is_empty() {
            return Err(self.wrong("a number a step"));
        }
        let four = || self.values.as_chunks::<4>().0.iter();
        let eight = || self.values.as_chunks::<8>().0.iter();
        Ok(match &self.kind[..] {
            "<i4" => four().map(|bytes| i32::from_le_bytes(*bytes) as f32).collect(),
            "<f4" => four().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            "<i8" => eight().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect(),
            "<f8" => eight().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
            _ => self.values.iter().map(|&byte| byte.into()).collect(),
        })
    }

    fn bytes(self) -> Result<Vec<u8>, Error> {
        if self.kind == "|u1" { Ok(self.values) } else { Err(self.wrong("pixels of a byte each")) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::data::gzip::tests::gzip;

    /// A numpy array with rows of the given bytes.
    fn array(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        gzip(&[&[&b"\x93NUMPY\x01\0"[..], &length, header.as_bytes(), values].concat()])
    }

    /// A folder with nine stored steps of pictures of 2 x 2: three empty ones, an episode of two, three empty ones and the
    /// beginning of an episode.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fourfold-dqn-replay-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let numbers = |values: [f32; 9]| values.map(f32::to_le_bytes).concat();
        let actions = [0i32, 0, 0, 2, 5, 0, 0, 0, 1].map(i32::to_le_bytes).concat();
        let pictures: Vec<u8> = [0, 0, 0, 30, 40, 0, 0, 0, 80].iter().flat_map(|&shade| [shade; 4]).collect();
        let columns = [
            ("action", array("<i4", "9,", &actions)),
            ("reward", array("<f4", "9,", &numbers([0.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.5]))),
            ("terminal", array("|u1", "9,", &[0, 0, 0, 0, 1, 0, 0, 0, 0])),
            ("observation", array("|u1", "9, 2, 2", &pictures)),
        ];
        for (key, bytes) in columns {
            fs::write(folder.join(format!("$store$_{key}_ckpt.7.gz")), bytes).unwrap();
        }
        folder
    }

    const ALL: Selection = Selection { checkpoint: 7, first: 0, steps: 100 };

    #[test]
    fn empty_steps_and_an_episode_without_an_end_are_left_out() {
        let folder = folder("whole");
        let data = load(&folder, ALL).unwrap();
        assert_eq!((data.steps(), data.episodes(), data.actions()), (2, 1, Actions::Discrete(6)));
        assert_eq!(data.columns().rewards, [1.0, -1.0]);
        assert_eq!(data.columns().terminated, [true]);
        let frames = data.frames().unwrap();
        assert_eq!(frames.shape, FrameShape { rows: 2, columns: 2, stack: 4 });
        assert_eq!(frames.pixels, [30, 30, 30, 30, 40, 40, 40, 40]);
        // From the second episode on there is nothing else, and so it is kept.
        let later = load(&folder, Selection { first: 5, steps: 4, ..ALL }).unwrap();
        assert_eq!((later.columns().rewards.clone(), later.columns().terminated.clone()), (vec![0.5], vec![false]));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_is_missing_damaged_or_of_another_kind_is_refused_by_its_name() {
        let folder = folder("wrong");
        let refused = |selection| load(&folder, selection).unwrap_err().to_string();
        assert!(refused(Selection { checkpoint: 8, ..ALL }).contains("$store$_action_ckpt.8.gz"));
        let nothing = refused(Selection { first: 9, ..ALL });
        assert!(nothing.ends_with("expected steps from 9 on in checkpoint 7, got none"), "{nothing}");
        let path = folder.join("$store$_observation_ckpt.7.gz");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 12]).unwrap();
        let cut = refused(ALL);
        assert!(cut.contains("$store$_observation_ckpt.7.gz") && cut.contains("a whole gzip file"), "{cut}");
        fs::write(&path, array("|u1", "9, 2, 2", &[1; 20])).unwrap();
        let short = refused(ALL);
        assert!(
            short.contains("tensor `observation`: expected 9 rows of 4 bytes, got an end after 20 bytes"),
            "{short}"
        );
        fs::write(&path, array("<f4", "9,", &[0; 36])).unwrap();
        let numbers = refused(ALL);
        assert!(
            numbers.contains("expected pictures (steps, rows, columns), got rows of shape [] and type `<f4`"),
            "{numbers}"
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}

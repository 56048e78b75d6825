//! The messages between us and a worker; `protocol.py` documents the bytes.

use std::io::{self, Read, Write};

use fourfold::data::Actions;

/// The first message of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Numbers in an observation.
    pub observations: usize,
    pub actions: Actions,
    /// Steps after which an episode's time is up.
    pub time_limit: Option<usize>,
    /// Of Gymnasium, the simulator and Python.
    pub versions: String,
}

/// The state of an episode after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    GoesOn,
    /// It ended of itself.
    Terminated,
    /// Its time was up.
    Truncated,
}

/// The result of a step, lane by lane; zeros in lanes that did not go on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// (lanes, observations)
    pub observations: Vec<f32>,
    /// (lanes)
    pub rewards: Vec<f64>,
    /// (lanes)
    pub ends: Vec<End>,
}

/// Larger numbers in a greeting are no greeting.
const MOST: usize = 1 << 20;

/// The two pipes of a worker.
pub(super) struct Link {
    commands: Option<Box<dyn Write + Send>>,
    answers: Box<dyn Read + Send>,
}

impl Link {
    pub fn new(commands: impl Write + Send + 'static, answers: impl Read + Send + 'static) -> Self {
        Self { commands: Some(Box::new(commands)), answers: Box::new(answers) }
    }

    /// Waits for the greeting.
    pub fn greeting(&mut self) -> io::Result<Greeting> {
        expect_greeting(&mut self.answers)?;
        let mut numbers = [[0; 4]; 5];
        self.answers.read_exact(numbers.as_flattened_mut())?;
        let [observations, choices, count, limit, length] = numbers.map(|bytes| u32::from_le_bytes(bytes) as usize);
        let sizes = 1..=MOST;
        if choices > 1 || !sizes.contains(&observations) || !sizes.contains(&count) || length > MOST {
            return Err(malformed(format!("sizes, got {observations}, {choices}, {count} and {length}")));
        }
        let mut versions = vec![0; length];
        self.answers.read_exact(&mut versions)?;
        Ok(Greeting {
            observations,
            actions: if choices == 1 { Actions::Discrete(count) } else { Actions::Continuous(count) },
            time_limit: (limit > 0).then_some(limit),
            versions: String::from_utf8_lossy(&versions).into_owned(),
        })
    }

    /// Asks for new episodes, with what each lane begins with.
    pub fn send_reset(&mut self, words: &[u32]) -> io::Result<()> {
        let mut bytes = b"R".to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self.send(&bytes)
    }

    /// Asks for a step of the lanes that go on: `actions` (lanes, numbers).
    pub fn send_step(&mut self, going: &[bool], actions: &[f32]) -> io::Result<()> {
        let mut bytes = b"S".to_vec();
        bytes.extend(going.iter().map(|&going| u8::from(going)));
        bytes.extend(actions.iter().flat_map(|action| action.to_le_bytes()));
        self.send(&bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let commands = self.commands.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        commands.write_all(bytes)?;
        commands.flush()
    }

    /// Waits for observations, so many numbers.
    pub fn receive_observations(&mut self, count: usize) -> io::Result<Vec<f32>> {
        let mut bytes = vec![[0; 4]; count];
        self.answers.read_exact(bytes.as_flattened_mut())?;
        Ok(bytes.into_iter().map(f32::from_le_bytes).collect())
    }

    /// Waits for what a step of so many lanes came to.
    pub fn receive_step(&mut self, lanes: usize, observations: usize) -> io::Result<Answer> {
        let observations = self.receive_observations(lanes * observations)?;
        let mut rewards = vec![[0; 8]; lanes];
        self.answers.read_exact(rewards.as_flattened_mut())?;
        let mut ends = vec![0; lanes];
        self.answers.read_exact(&mut ends)?;
        let end = |byte: u8| match byte {
            0 => Ok(End::GoesOn),
            1 => Ok(End::Terminated),
            2 => Ok(End::Truncated),
            other => Err(malformed(format!("an end of 0, 1 or 2, got {other}"))),
        };
        Ok(Answer {
            observations,
            rewards: rewards.into_iter().map(f64::from_le_bytes).collect(),
            ends: ends.into_iter().map(end).collect::<io::Result<_>>()?,
        })
    }

    /// Ends the commands, and with them the worker.
    pub fn close(&mut self) {
        self.commands = None;
    }
}

/// Reads the four bytes with which a worker begins.
///
/// # Errors
/// Other bytes, or a broken pipe.
pub fn expect_greeting(answers: &mut impl Read) -> io::Result<()> {
    let mut magic = [0; 4];
    answers.read_exact(&mut magic)?;
    match &magic {
        b"4FLD" => Ok(()),
        _ => Err(malformed(format!("the greeting `4FLD`, got {magic:?}"))),
    }
}

fn malformed(expected_and_got: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected {expected_and_got}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(bytes: &[u8]) -> io::Result<Greeting> {
        Link::new(io::sink(), io::Cursor::new(bytes.to_vec())).greeting()
    }

    fn bytes(numbers: [u32; 5], text: &str) -> Vec<u8> {
        let numbers = numbers.map(u32::to_le_bytes);
        [b"4FLD", numbers.as_flattened(), text.as_bytes()].concat()
    }

    #[test]
    fn a_greeting_tells_spaces_time_and_versions() {
        let expected = Greeting {
            observations: 11,
            actions: Actions::Continuous(3),
            time_limit: Some(1000),
            versions: "gym 1".into(),
        };
        assert_eq!(greeting(&bytes([11, 0, 3, 1000, 5], "gym 1")).unwrap(), expected);
        let cart = greeting(&bytes([4, 1, 2, 0, 0], "")).unwrap();
        assert_eq!((cart.actions, cart.time_limit), (Actions::Discrete(2), None));
    }

    #[test]
    fn a_greeting_of_something_else_is_refused() {
        let error = greeting(b"Hello, world, this is no worker").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(greeting(&bytes([11, 7, 3, 0, 0], "")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(greeting(&bytes([0, 0, 3, 0, 0], "")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let cut = &bytes([11, 0, 3, 0, 5], "gym 1")[..26];
        assert_eq!(greeting(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_unknown_end_is_refused() {
        let answer = [&1.0_f32.to_le_bytes()[..], &1.0_f64.to_le_bytes(), &[3]].concat();
        let error = Link::new(io::sink(), io::Cursor::new(answer)).receive_step(1, 1).unwrap_err();
        assert_eq!(error.to_string(), "expected an end of 0, 1 or 2, got 3");
    }
}

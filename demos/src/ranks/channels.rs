//! Ranks that are threads of one process: several machines in a test.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::Link;
use crate::failure::Failure;

/// The end of one rank.
#[derive(Debug)]
pub struct Channels {
    rank: usize,
    /// To each rank, this one included.
    to: Vec<Sender<Vec<u32>>>,
    from: Vec<Receiver<Vec<u32>>>,
}

impl Channels {
    /// Connects so many ranks, each with all.
    pub fn among(count: usize) -> Vec<Self> {
        let mut ranks: Vec<Self> = (0..count).map(|rank| Self { rank, to: Vec::new(), from: Vec::new() }).collect();
        for from in 0..count {
            for to in 0..count {
                let (sender, receiver) = channel();
                ranks[from].to.push(sender);
                ranks[to].from.push(receiver);
            }
        }
        ranks
    }
}

impl Link for Channels {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn gather(&self, own: &[u32], patience: &mut dyn FnMut() -> Option<Failure>) -> Result<Vec<u32>, Failure> {
        for to in &self.to {
            // One that has gone is missed below.
            let _ = to.send(own.to_vec());
        }
        let mut all = Vec::with_capacity(own.len() * self.size());
        for (other, from) in self.from.iter().enumerate() {
            let words = loop {
                match from.recv_timeout(Duration::from_millis(20)) {
                    Ok(words) => break words,
                    Err(RecvTimeoutError::Timeout) => patience().map_or(Ok(()), Err)?,
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Failure::Run(format!(
                            "rank {} of {}: expected numbers of rank {other}, got none: it has ended",
                            self.rank,
                            self.size()
                        )));
                    }
                }
            };
            all.extend(words);
        }
        Ok(all)
    }

    fn abort(&self, code: u8) -> ! {
        std::process::exit(code.into())
    }
}

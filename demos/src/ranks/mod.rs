//! The processes of one run, its ranks: each does a part of the work, and they tell each other a few numbers.
//!
//! Every rank computes the same update from the same numbers in the same order, so all hold the same bits, and those of a
//! run of one process. Only the first, the root, writes the folder of the run and speaks.

pub mod channels;
#[cfg(feature = "mpi")]
mod mpi;

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fourfold::evolution::Part;

use crate::failure::Failure;
use crate::run::stop;

/// The wires between ranks.
pub trait Link: Debug {
    /// The place of this rank, from 0 on.
    fn rank(&self) -> usize;

    /// Ranks.
    fn size(&self) -> usize;

    /// The place of this rank among those of its machine.
    fn local(&self) -> usize {
        self.rank()
    }

    /// Sends words to every rank, as many as each of them sends, and returns those of all in the order of ranks. While some
    /// are missing it asks `patience` again and again; what that returns ends the run.
    ///
    /// # Errors
    /// The failure that `patience` returned, or a rank is gone.
    fn gather(&self, own: &[u32], patience: &mut dyn FnMut() -> Option<Failure>) -> Result<Vec<u32>, Failure>;

    /// Ends this process and, as far as the link can, all others.
    fn abort(&self, code: u8) -> !;
}

/// The ranks of a run, seen from one of them; by default it is alone.
#[derive(Debug, Clone, Default)]
pub struct Ranks(Option<Rc<Several>>);

#[derive(Debug)]
struct Several {
    link: Box<dyn Link>,
    /// Waits so long before each exchange, as a slow network would: for measurements.
    delay: Duration,
    work: RefCell<Work>,
    /// How to go on with the run, once it has a folder.
    hint: RefCell<String>,
    /// All ranks know that the run has failed.
    failed: Cell<bool>,
}

/// The time between exchanges.
#[derive(Debug)]
struct Work {
    since: Instant,
    /// Microseconds of each rank.
    of: Vec<u64>,
}

/// A variable with the microseconds that every exchange takes longer, see `docs/scale.md`.
const DELAY: &str = "FOURFOLD_RANK_DELAY";

/// Time after which the others count as gone.
const PATIENCE: Duration = Duration::from_secs(600);

/// Time after a signal in which the others must answer.
const GRACE: Duration = Duration::from_secs(30);

/// Time after a signal before it is told that others are missing. A launcher kills one second after its signal.
const TOLD_AFTER: Duration = Duration::from_millis(300);

impl Ranks {
    /// Finds the other processes of this run, where a launcher of MPI has started it.
    ///
    /// # Errors
    /// `FOURFOLD_RANK_DELAY` is no number, or the MPI library does not start.
    pub fn of_process() -> Result<Self, Failure> {
        #[cfg(feature = "mpi")]
        if mpi::launched() {
            return Self::over(mpi::Mpi::start()?);
        }
        Ok(Self::default())
    }

    /// Takes a link to the other ranks.
    ///
    /// # Errors
    /// `FOURFOLD_RANK_DELAY` is no number.
    pub fn over(link: impl Link + 'static) -> Result<Self, Failure> {
        let delay = match std::env::var(DELAY) {
            Ok(text) => text
                .parse()
                .map_err(|_| Failure::Input(format!("{DELAY}: expected a number of microseconds, got `{text}`")))?,
            Err(_) => 0,
        };
        if link.size() == 1 {
            return Ok(Self::default());
        }
        stop::be_silent();
        let work = RefCell::new(Work { since: Instant::now(), of: vec![0; link.size()] });
        let (delay, hint) = (Duration::from_micros(delay), RefCell::default());
        Ok(Self(Some(Rc::new(Several { link: Box::new(link), delay, work, hint, failed: Cell::new(false) }))))
    }

    /// Returns the place of this rank, from 0 on.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |several| several.link.rank())
    }

    /// Returns the number of ranks.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |several| several.link.size())
    }

    /// Returns true if there are others.
    pub fn are_several(&self) -> bool {
        self.0.is_some()
    }

    /// Returns true for the rank that writes and speaks.
    pub fn is_root(&self) -> bool {
        self.rank() == 0
    }

    /// Returns the place of this rank among those of its machine, if there are others anywhere.
    pub fn local(&self) -> Option<usize> {
        self.0.as_ref().map(|several| several.link.local())
    }

    /// Returns the part of the work that this rank does.
    pub fn part(&self) -> Part {
        Part { index: self.rank(), count: self.size() }
    }

    /// Tells all ranks some words, of which each rank has as many as `counts` says, and returns those of all in the order of
    /// ranks.
    ///
    /// # Errors
    /// Another rank is gone.
    pub fn gather(&self, own: &[u32], counts: &[usize]) -> Result<Vec<u32>, Failure> {
        debug_assert_eq!((counts.len(), counts[self.rank()]), (self.size(), own.len()));
        let Some(several) = &self.0 else { return Ok(own.to_vec()) };
        several.gather(own, counts)
    }

    /// Returns the root's word.
    ///
    /// # Errors
    /// Another rank is gone.
    pub fn of_root(&self, word: u32) -> Result<u32, Failure> {
        Ok(self.each(word)?[0])
    }

    /// Returns true if any rank says so.
    ///
    /// # Errors
    /// Another rank is gone.
    pub fn any(&self, says: bool) -> Result<bool, Failure> {
        Ok(self.each(says.into())?.contains(&1))
    }

    /// Returns a word of each rank.
    ///
    /// # Errors
    /// Another rank is gone.
    pub fn each(&self, word: u32) -> Result<Vec<u32>, Failure> {
        self.gather(&[word], &vec![1; self.size()])
    }

    /// Returns the root's text.
    ///
    /// # Errors
    /// Another rank is gone.
    pub fn text_of_root(&self, text: &str) -> Result<String, Failure> {
        let bytes = if self.is_root() { text.as_bytes() } else { &[] };
        let length = self.of_root(bytes.len() as u32)? as usize;
        let words: Vec<u32> = bytes.iter().map(|&byte| byte.into()).collect();
        let mut counts = vec![0; self.size()];
        counts[0] = length;
        let bytes: Vec<u8> = self.gather(&words, &counts)?.into_iter().map(|word| word as u8).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns a result if all ranks have one. Of several failures that of the first rank counts, and the others end without
    /// a word.
    ///
    /// # Errors
    /// Some rank failed.
    pub fn agreed<T>(&self, own: Result<T, Failure>) -> Result<T, Failure> {
        let Some(several) = &self.0 else { return own };
        let codes = self.each(own.as_ref().err().map_or(0, |failure| failure.code().into()))?;
        let Some(first) = codes.iter().position(|&code| code != 0) else { return own };
        several.failed.set(true);
        match own {
            Err(failure) if first == self.rank() => Err(failure),
            _ => Err(Failure::Elsewhere(codes[first] as u8)),
        }
    }

    /// Checks that all ranks have the same word, which stands for `what`.
    ///
    /// # Errors
    /// Some rank has another.
    pub fn same(&self, word: u32, what: &str) -> Result<(), Failure> {
        let own = match self.of_root(word)? == word {
            true => Ok(()),
            false => Err(Failure::Run(format!(
                "rank {} of {}: expected {what} of rank 0, got other ones: all ranks need the same adapter, driver and \
                 version",
                self.rank(),
                self.size()
            ))),
        };
        self.agreed(own)
    }

    /// Sets the sentence that tells how to go on with the run if a rank is gone.
    pub fn set_hint(&self, hint: String) {
        if let Some(several) = &self.0 {
            several.hint.replace(hint);
        }
    }

    /// Returns the rank that has worked longest between exchanges so far, and how much longer than the mean.
    pub fn slowest(&self) -> Option<(usize, f64)> {
        let of = &self.0.as_ref()?.work.borrow().of;
        let (rank, &most) = of.iter().enumerate().max_by_key(|(_, micros)| **micros)?;
        let mean = of.iter().sum::<u64>() as f64 / of.len() as f64;
        (mean > 0.0).then(|| (rank, most as f64 / mean - 1.0))
    }

    /// Ends the work with the others: waits for those that have more to write. Returns false where they know nothing of the
    /// failure of this one, so that only an abort ends them.
    pub fn part_ways(&self, failure: Option<&Failure>) -> bool {
        let Some(several) = &self.0 else { return true };
        let known = several.failed.get() || matches!(failure, None | Some(Failure::Stopped));
        known && self.each(0).is_ok()
    }

    /// Ends all ranks.
    pub fn abort(&self, code: u8) -> ! {
        match &self.0 {
            Some(several) => several.link.abort(code),
            None => std::process::exit(code.into()),
        }
    }
}

impl Several {
    fn gather(&self, own: &[u32], counts: &[usize]) -> Result<Vec<u32>, Failure> {
        std::thread::sleep(self.delay);
        // All send as many words: the time that their work took, theirs, and zeros.
        let length = 1 + counts.iter().max().unwrap_or(&0);
        let mut words = Vec::with_capacity(length);
        let worked = self.work.borrow().since.elapsed().as_micros();
        words.push(u32::try_from(worked).unwrap_or(u32::MAX));
        words.extend(own);
        words.resize(length, 0);
        let (begun, mut signal, mut told) = (Instant::now(), None, false);
        let mut patience = || {
            let signal = stop::asked().then(|| *signal.get_or_insert_with(Instant::now));
            let since = signal.map(|signal| signal.elapsed());
            if since.is_some_and(|since| since > TOLD_AFTER) && !told {
                told = true;
                crate::tell!("{}", self.missing("the run was told to end, perhaps since another rank died"));
            }
            let gone = since.is_some_and(|since| since > GRACE) || begun.elapsed() > PATIENCE;
            gone.then(|| Failure::Run(self.missing("it waits no longer")))
        };
        let all = self.link.gather(&words, &mut patience)?;
        let mut work = self.work.borrow_mut();
        let mut gathered = Vec::with_capacity(counts.iter().sum());
        for ((words, &count), micros) in all.chunks(length).zip(counts).zip(&mut work.of) {
            *micros += u64::from(words[0]);
            gathered.extend_from_slice(&words[1..][..count]);
        }
        work.since = Instant::now();
        Ok(gathered)
    }

    /// The sentence about ranks that do not answer.
    fn missing(&self, why: &str) -> String {
        let (rank, size, hint) = (self.link.rank(), self.link.size(), self.hint.borrow());
        let hint = if hint.is_empty() { String::new() } else { format!(". {hint}") };
        format!("rank {rank} of {size}: expected numbers of all other ranks, got none: {why}{hint}")
    }
}

/// A number that stands for words, for [`Ranks::same`].
pub fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    parts.into_iter().fold(0, crc32c::crc32c_append)
}

#[cfg(test)]
mod tests {
    use super::channels::Channels;
    use super::*;

    /// The results of a function on each of several ranks.
    fn on<T: Send>(count: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let threads =
                Channels::among(count).into_iter().map(|link| scope.spawn(move || work(Ranks::over(link).unwrap())));
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn words_come_in_the_order_of_ranks_however_many_each_has() {
        let counts = [3, 0, 1];
        let all = on(3, |ranks| {
            let own = vec![ranks.rank() as u32 + 7; counts[ranks.rank()]];
            ranks.gather(&own, &counts).unwrap()
        });
        assert_eq!(all, vec![vec![7, 7, 7, 9]; 3]);
    }

    #[test]
    fn every_rank_has_the_word_and_the_text_of_the_root() {
        let texts = on(3, |ranks| {
            let word = ranks.of_root(ranks.rank() as u32 + 5).unwrap();
            (word, ranks.text_of_root(&format!("runs/pes-{:03}", ranks.rank())).unwrap())
        });
        assert_eq!(texts, vec![(5, "runs/pes-000".to_owned()); 3]);
    }

    #[test]
    fn the_failure_of_the_first_rank_that_has_one_counts_and_the_others_say_nothing() {
        let failures = on(3, |ranks| {
            let own = if ranks.rank() == 0 { Ok(()) } else { Err(Failure::input(format!("rank {}", ranks.rank()))) };
            let failure = ranks.agreed(own).unwrap_err();
            assert!(ranks.part_ways(Some(&failure)), "all know");
            failure
        });
        assert_eq!(failures, [Failure::Elsewhere(2), Failure::input("rank 1"), Failure::Elsewhere(2)]);
    }

    #[test]
    fn other_numbers_on_a_rank_are_found() {
        let found = on(2, |ranks| ranks.same(ranks.rank() as u32, "the weights"));
        assert_eq!(found[0], Err(Failure::Elsewhere(1)));
        let sentence = found[1].as_ref().unwrap_err().to_string();
        assert!(sentence.starts_with("rank 1 of 2: expected the weights of rank 0"), "{sentence}");
    }

    #[test]
    fn a_rank_that_dies_ends_the_others_with_one_sentence() {
        let ended = on(3, |ranks| match ranks.rank() {
            1 => Ok(Vec::new()),
            _ => ranks.each(0).and_then(|_| ranks.each(0)),
        });
        for rank in [0, 2] {
            let sentence = ended[rank].as_ref().unwrap_err().to_string();
            assert_eq!(sentence, format!("rank {rank} of 3: expected numbers of rank 1, got none: it has ended"));
        }
    }

    #[test]
    fn the_rank_that_works_longest_is_known_to_all() {
        let slowest = on(3, |ranks| {
            std::thread::sleep(Duration::from_millis(if ranks.rank() == 2 { 200 } else { 1 }));
            ranks.each(0).unwrap();
            ranks.slowest().unwrap()
        });
        assert!(slowest.iter().all(|&(rank, over)| rank == 2 && over > 0.5), "{slowest:?}");
    }

    #[test]
    fn a_process_alone_tells_itself() {
        let ranks = Ranks::default();
        assert_eq!((ranks.rank(), ranks.size(), ranks.part()), (0, 1, Part::WHOLE));
        assert_eq!(ranks.gather(&[1, 2], &[2]).unwrap(), [1, 2]);
        assert_eq!(ranks.slowest(), None);
    }
}

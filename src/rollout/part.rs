//! Parts of a population, each played by another process.

use std::ops::Range;

use super::Error;

/// The place of a process among those that share a population: it unrolls some members and computes the update from the
/// numbers of all, in the same order as a process that has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Its number, from 0 on.
    pub index: usize,
    /// Processes.
    pub count: usize,
}

impl Part {
    /// The whole population.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Returns its members of so many: neighbours, the first parts one more where they do not divide evenly.
    pub fn range(&self, members: usize) -> Range<usize> {
        let (each, more) = (members / self.count, members % self.count);
        let start = |index: usize| index * each + index.min(more);
        start(self.index)..start(self.index + 1)
    }

    /// Returns the members of each part, in the order of parts.
    pub fn ranges(&self, members: usize) -> Vec<Range<usize>> {
        (0..self.count).map(|index| Self { index, ..*self }.range(members)).collect()
    }

    /// Fails where so many members have not so many parts.
    pub(crate) fn check(&self, unit: &str, members: usize) -> Result<(), Error> {
        let Self { index, count } = *self;
        if index >= count || count > members {
            let message = format!(
                "a population of {members} {unit} has 1 to {members} parts, but this is part {index} of {count}"
            );
            return Err(Error::Settings { message });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_neighbours_and_differ_by_one_member_at_most() {
        let ranges = |members, count| Part { index: 0, count }.ranges(members);
        assert_eq!(ranges(10, 4), [0..3, 3..6, 6..8, 8..10]);
        assert_eq!(ranges(3, 3), [0..1, 1..2, 2..3]);
        let all = 0..7;
        assert_eq!(ranges(7, 1), [all]);
    }

    #[test]
    fn more_parts_than_members_are_refused() {
        assert!(Part { index: 0, count: 4 }.check("pairs", 4).is_ok());
        let sentence = Part { index: 1, count: 5 }.check("pairs", 4).unwrap_err().to_string();
        assert!(sentence.contains("1 to 4 parts") && sentence.contains("part 1 of 5"), "{sentence}");
    }
}

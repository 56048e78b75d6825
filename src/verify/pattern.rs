//! Which elements of a tensor are wrong, and what they have in common: a hint at the fault.

use std::fmt;

use fourfold_shaders::{Data, Tolerance};

/// The elements of one binding that are beyond their bounds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongElements {
    /// Their number.
    pub count: usize,
    /// The number of all elements.
    pub of: usize,
    /// The first of them.
    pub first: Vec<usize>,
    /// The coordinates of those, if the tensor's shape is known.
    pub coordinates: Option<Vec<Vec<usize>>>,
    /// Their arrangement in words.
    pub pattern: String,
}

/// Elements that are listed at most.
const LISTED: usize = 8;

impl WrongElements {
    /// Finds them. `shape` are the binding's axes in words, whose lengths stand in `label`.
    pub(super) fn find(tolerance: &Tolerance, expected: &Data, got: &Data, shape: &str, label: &str) -> Self {
        let wrong: Vec<usize> = tolerance.beyond(expected, got);
        let first: Vec<usize> = wrong.iter().copied().take(LISTED).collect();
        let lengths = lengths(shape, label).filter(|lengths| lengths.iter().product::<usize>() == got.len());
        let coordinates = lengths.map(|lengths| first.iter().map(|&index| unravel(index, &lengths)).collect());
        let pattern = pattern(&wrong, got.len());
        Self { count: wrong.len(), of: got.len(), first, coordinates, pattern }
    }
}

impl fmt::Display for WrongElements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} elements are wrong ({})", self.count, self.of, self.pattern)?;
        if let Some(coordinates) = &self.coordinates {
            let first: Vec<String> = coordinates.iter().take(3).map(|place| format!("{place:?}")).collect();
            write!(f, ", the first at {}", first.join(", "))?;
        }
        Ok(())
    }
}

/// The lengths of the axes `(rows, columns)`, where the label says `rows: 3` and `columns: 5`.
fn lengths(shape: &str, label: &str) -> Option<Vec<usize>> {
    let axes = shape.strip_prefix('(')?.split(')').next()?;
    let length = |axis: &str| {
        let number = axis.split('*').map(|factor| {
            let factor = factor.trim();
            factor.parse().ok().or_else(|| {
                let named = format!("{factor}: ");
                let place = label.match_indices(&named).map(|(place, _)| place);
                // A name, not the end of a longer one.
                let mut places =
                    place.filter(|&place| !label[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
                let rest = &label[places.next()? + factor.len() + 2..];
                rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse::<usize>().ok()
            })
        });
        number.product::<Option<usize>>()
    };
    axes.split(',').map(str::trim).map(length).collect()
}

/// The coordinates of the element `index`.
fn unravel(mut index: usize, lengths: &[usize]) -> Vec<usize> {
    let mut place: Vec<usize> = lengths
        .iter()
        .rev()
        .map(|&length| {
            let coordinate = index % length.max(1);
            index /= length.max(1);
            coordinate
        })
        .collect();
    place.reverse();
    place
}

/// The arrangement of the indices, which are in order, in a tensor of `of` elements.
fn pattern(indices: &[usize], of: usize) -> String {
    let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else { return String::from("none") };
    if indices.len() == of {
        return String::from("all");
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &index in indices {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == index => *length += 1,
            _ => runs.push((index, 1)),
        }
    }
    let (_, length) = runs[0];
    let step = runs.get(1).map_or(0, |run| run.0 - first);
    let even = runs.windows(2).all(|pair| pair[1].0 - pair[0].0 == step) && runs.iter().all(|run| run.1 == length);
    match runs.len() {
        1 if last + 1 == of => format!("the last {}", indices.len()),
        1 if indices.len() == 1 => format!("element {first}"),
        1 => format!("elements {first} to {last}"),
        2 => format!("{first} to {last}, in 2 runs"),
        _ if even && length == 1 => format!("every {step} elements from {first} to {last}"),
        _ if even => format!("runs of {length}, every {step} elements from {first} to {last}"),
        runs => format!("scattered from {first} to {last}, in {runs} runs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrangements_are_named() {
        for (indices, of, expected) in [
            (vec![0, 1, 2], 3, "all"),
            (vec![7, 8, 9], 10, "the last 3"),
            (vec![4], 10, "element 4"),
            (vec![2, 3, 4], 10, "elements 2 to 4"),
            (vec![3, 7, 11], 20, "every 4 elements from 3 to 11"),
            (vec![3, 4, 7, 8, 11, 12], 20, "runs of 2, every 4 elements from 3 to 12"),
            (vec![1, 2, 7, 9], 20, "scattered from 1 to 9, in 3 runs"),
        ] {
            assert_eq!(pattern(&indices, of), expected);
        }
    }

    #[test]
    fn the_lengths_of_axes_are_found_in_the_problem() {
        let label = "Problem { rows: 3, vec4: false, columns: 70, all_rows: 9 }";
        assert_eq!(lengths("(rows, columns)", label), Some(vec![3, 70]));
        assert_eq!(lengths("(2 * rows)", label), Some(vec![6]));
        assert_eq!(lengths("(heads)", label), None);
        assert_eq!(unravel(72, &[3, 70]), [1, 2]);
    }
}

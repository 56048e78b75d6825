//! Shuffles at certain steps of an episode, ascending: the orders between them, and the phases of a wiring that begin at each.

/// Steps of a phase, and how many phases there are: one begins at every shuffle, and perhaps others between them.
pub fn phases(shuffles: &[usize], horizon: usize) -> [usize; 2] {
    let interval = match shuffles.iter().copied().fold(0, divisor) {
        0 => horizon,
        common => common,
    };
    [interval, shuffles.last().map_or(0, |last| last / interval) + 1]
}

/// The number of shuffles up to a step.
pub fn order(shuffles: &[usize], step: usize) -> usize {
    shuffles.iter().filter(|&&shuffle| shuffle <= step).count()
}

/// The greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_begin_at_every_shuffle() {
        assert_eq!(phases(&[], 100), [100, 1]);
        assert_eq!(phases(&[40, 60], 100), [20, 4]);
        assert_eq!([39, 40, 60].map(|step| order(&[40, 60], step)), [0, 1, 2]);
    }
}

//! Colours of numbers.

/// Every eighth of cividis (Nuñez, Anderton and Renslow 2018), which looks nearly the same to the colour-blind.
const STOPS: [[u8; 3]; 9] = [
    [0, 34, 78],
    [8, 51, 112],
    [53, 69, 108],
    [79, 87, 108],
    [102, 105, 112],
    [125, 124, 120],
    [154, 146, 117],
    [191, 172, 97],
    [254, 232, 56],
];

/// Returns the colour of a number from 0 to 1; those beyond have the colour of the end, and NaN is grey.
pub(crate) fn cividis(share: f32) -> [u8; 4] {
    if share.is_nan() {
        return [128, 128, 128, 255];
    }
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let index = (place as usize).min(STOPS.len() - 2);
    let between = place - index as f32;
    let part = |channel: usize| {
        let [low, high] = [STOPS[index], STOPS[index + 1]].map(|stop| f32::from(stop[channel]));
        (low + between * (high - low)).round() as u8
    };
    [part(0), part(1), part(2), 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_numbers_are_lighter() {
        let light = |share: f32| cividis(share)[..3].iter().map(|&part| u32::from(part)).sum::<u32>();
        let all: Vec<u32> = (0..=32).map(|part| light(part as f32 / 32.0)).collect();
        assert!(all.is_sorted() && all[0] < all[32], "{all:?}");
        assert_eq!(
            [cividis(-1.0), cividis(2.0), cividis(f32::NAN)],
            [cividis(0.0), cividis(1.0), [128, 128, 128, 255]]
        );
    }
}

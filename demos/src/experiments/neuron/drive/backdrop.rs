//! Backgrounds in place of the grass, by their names or files.

use std::path::Path;

use fourfold::rollout::environments::car_racing::Background;

use crate::failure::Failure;
use crate::picture::bitmap::Bitmap;

/// Names of backgrounds that are made here; any of them moves with the world where `moving-` stands before it.
const MADE: [&str; 2] = ["noise", "stripes"];

/// The prefix of the name, or the file, of a background that moves with the world.
const MOVING: &str = "moving-";

/// The background of a name, or of a PNG file, for pictures of so many rows.
///
/// # Errors
/// The file cannot be read or is no picture of red, green and blue.
pub fn backdrop(name: &str, seed: u32, side: usize) -> Result<Background, Failure> {
    let (plain, moves) = name.strip_prefix(MOVING).map_or((name, false), |plain| (plain, true));
    let made = match plain {
        "noise" => Background::noise(seed, side, moves),
        "stripes" => Background::stripes(side, moves),
        _ => Background::new(side, picture(plain, side)?, moves),
    };
    made.map_err(|error| Failure::Input(format!("--backgrounds: {error}")))
}

/// The colours of a PNG file, as many as a square of this side has: the nearest pixel of each.
fn picture(file: &str, side: usize) -> Result<Vec<[u8; 3]>, Failure> {
    if !Path::new(file).exists() {
        let names = MADE.join(", ");
        return Err(Failure::Input(format!(
            "--backgrounds: expected {names} or a PNG file, each perhaps with `{MOVING}` before it, got `{file}`"
        )));
    }
    let bitmap = Bitmap::from_png(&fourfold::data::file::read(Path::new(file))?)
        .map_err(|failure| Failure::Input(format!("{file}: {failure}")))?;
    let [width, height] = [bitmap.width, bitmap.height].map(|length| length as usize);
    let nearest = |index: usize| {
        let (row, column) = (index / side * height / side, index % side * width / side);
        let first = 3 * (row * width + column);
        [0, 1, 2].map(|channel| bitmap.pixels[first + channel])
    };
    Ok((0..side * side).map(nearest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_there_is_and_whether_it_moves() {
        assert!(!backdrop("noise", 1, 48).unwrap().moves());
        let moving = backdrop("moving-stripes", 1, 48).unwrap();
        assert!(moving.moves() && moving.side() == 48);
        let refused = backdrop("forest", 1, 48).unwrap_err().to_string();
        assert!(refused.starts_with("--backgrounds: expected noise, stripes or a PNG file"), "{refused}");
    }
}

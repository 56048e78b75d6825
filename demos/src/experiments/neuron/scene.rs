//! The pictures of an episode of the cart-pole swing-up under an attention neuron: numbers and names, nothing of
//! how they are drawn.

/// One step of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Steps before this one.
    pub step: usize,
    /// Metres from the middle of the track.
    pub position: f64,
    /// Radians from upright.
    pub angle: f64,
    /// In [-1, 1]: the share of the greatest force, positive to the right.
    pub action: f64,
    /// The sum of the rewards up to this step's.
    pub score: f64,
    /// One for each input of the policy, in the order in which they are wired now.
    pub channels: Vec<Channel>,
    /// Steps since the inputs were shuffled last, 0 in the very step; `None` before that.
    pub since_shuffle: Option<usize>,
}

/// One input of the policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    /// Its source: an index into [`Film::sources`].
    pub source: usize,
    pub value: f64,
    /// The mean over the rows of the message of `|A|`, in [0, 1].
    pub attention: f64,
}

/// A whole episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    /// The names of what inputs can be wired to.
    pub sources: Vec<String>,
    /// At least one, a step each.
    pub scenes: Vec<Scene>,
    /// Half the length of the track in metres.
    pub track: f64,
    /// The length of the pole in metres.
    pub pole: f64,
    /// Seconds of a step.
    pub time_step: f64,
    /// Steps of an episode at most.
    pub horizon: usize,
    /// True if the memory of the channels is cleared when they are shuffled.
    pub forgets: bool,
    /// True if the cart left the track.
    pub fell: bool,
}

impl Film {
    /// The names of what the five observations and the noise channels after them are.
    pub fn sources(noise_channels: usize) -> Vec<String> {
        let noise = (1..=noise_channels).map(|number| format!("noise {number}"));
        ["x", "v", "cos", "sin", "spin"].map(String::from).into_iter().chain(noise).collect()
    }

    pub fn inputs(&self) -> usize {
        self.sources.len()
    }

    /// The steps in which the inputs were shuffled.
    pub fn shuffles(&self) -> Vec<usize> {
        let now = self.scenes.iter().filter(|scene| scene.since_shuffle == Some(0));
        now.map(|scene| scene.step).collect()
    }

    /// `count` steps that stand for the episode: the first, the last and those between at even distances, of which the
    /// nearest to a shuffle is that of the shuffle. Fewer where the episode is as short.
    pub fn stills(&self, count: usize) -> Vec<usize> {
        let last = self.scenes.len() - 1;
        let mut stills: Vec<usize> = (0..count).map(|index| index * last / (count.max(2) - 1)).collect();
        for shuffle in self.shuffles() {
            if stills.contains(&shuffle) {
                continue;
            }
            let inner = 1..count.saturating_sub(1);
            let free = inner.filter(|&index| self.scenes[stills[index]].since_shuffle != Some(0));
            if let Some(nearest) = free.min_by_key(|&index| stills[index].abs_diff(shuffle)) {
                stills[nearest] = shuffle;
            }
        }
        stills.sort_unstable();
        stills.dedup();
        stills
    }

    /// The stretches of steps in which one order of the inputs lasts, as `first..end`.
    pub fn stretches(&self) -> Vec<std::ops::Range<usize>> {
        let inner = self.shuffles().into_iter().filter(|&step| step > 0);
        let edges: Vec<usize> = [0].into_iter().chain(inner).chain([self.scenes.len()]).collect();
        edges.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }

    /// The mean attention to each source over some steps, in the order of the sources.
    pub fn attention(&self, steps: std::ops::Range<usize>) -> Vec<f64> {
        let mut sums = vec![0.0; self.inputs()];
        for channel in self.scenes[steps.clone()].iter().flat_map(|scene| &scene.channels) {
            sums[channel.source] += channel.attention / steps.len() as f64;
        }
        sums
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An episode whose pole turns once, shuffled at these steps: each time the inputs move on by one place.
    pub(crate) fn film(steps: usize, shuffles: &[usize], noise_channels: usize) -> Film {
        let sources = Film::sources(noise_channels);
        let inputs = sources.len();
        let scene = |step: usize| {
            let turns = shuffles.iter().filter(|&&shuffle| shuffle <= step).count();
            let channel = |slot: usize| {
                let source = (slot + turns) % inputs;
                Channel { source, value: source as f64, attention: (source + 1) as f64 / inputs as f64 }
            };
            Scene {
                step,
                position: 2.0 * (step as f64 / 30.0).sin(),
                angle: std::f64::consts::TAU * step as f64 / steps as f64,
                action: (step as f64 / 10.0).cos(),
                score: step as f64,
                channels: (0..inputs).map(channel).collect(),
                since_shuffle: shuffles.iter().filter(|&&shuffle| shuffle <= step).max().map(|last| step - last),
            }
        };
        Film {
            sources,
            scenes: (0..steps).map(scene).collect(),
            track: 2.4,
            pole: 0.6,
            time_step: 0.01,
            horizon: 1_000,
            forgets: false,
            fell: steps < 1_000,
        }
    }

    #[test]
    fn stills_show_every_shuffle() {
        assert_eq!(film(101, &[], 0).stills(5), [0, 25, 50, 75, 100]);
        assert_eq!(film(101, &[30, 33], 0).stills(5), [0, 30, 33, 75, 100]);
        assert_eq!(film(101, &[0, 100], 0).stills(5), [0, 25, 50, 75, 100]);
        assert_eq!(film(2, &[], 0).stills(5), [0, 1]);
    }

    #[test]
    fn an_order_lasts_from_shuffle_to_shuffle() {
        assert_eq!(film(10, &[3, 7], 0).stretches(), [0..3, 3..7, 7..10]);
        assert_eq!(film(10, &[0, 4], 0).stretches(), [0..4, 4..10]);
        assert_eq!(film(10, &[0, 4], 0).shuffles(), [0, 4]);
    }

    #[test]
    fn attention_follows_the_source_and_not_the_slot() {
        let film = film(10, &[5], 0);
        let (before, after) = (film.attention(0..5), film.attention(5..10));
        for (source, (before, after)) in before.iter().zip(&after).enumerate() {
            assert!((before - (source + 1) as f64 / 5.0).abs() < 1e-12);
            assert!((before - after).abs() < 1e-12);
        }
    }
}

//! Orders in which a network meets its inputs.

/// The order of inputs, or of the patches of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InputOrder {
    Plain,
    /// Another one in each episode.
    Shuffled,
    /// Another one every so many steps.
    Reshuffled(usize),
    /// Shuffled, and this share of them absent.
    Missing(f64),
}

impl InputOrder {
    /// Its name in a table.
    pub fn name(self) -> String {
        match self {
            Self::Plain => "in order".into(),
            Self::Shuffled => "shuffled".into(),
            Self::Reshuffled(interval) => format!("shuffled every {interval} steps"),
            Self::Missing(share) => format!("shuffled, {:.0} % missing", 100.0 * share),
        }
    }

    /// Steps between two shuffles within an episode.
    pub fn interval(self) -> Option<usize> {
        match self {
            Self::Reshuffled(interval) => Some(interval),
            _ => None,
        }
    }
}

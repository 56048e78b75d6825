//! Buffers for values that live within a step: a pure function of their lifetimes.

use super::PlannedBuffer;
use crate::graph::Tag;

/// A value that needs memory from one unit to another, both included.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub words: usize,
    pub first: usize,
    pub last: usize,
    pub sharing: Sharing,
}

/// The values that share memory with a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sharing {
    /// Values that live at other times.
    Pool,
    /// Flat tensors packed in the same way, whose gaps are zero too: (offset, length) of the parts.
    Packed(Vec<(usize, usize)>),
    /// None: the value outlives the step.
    Alone(Tag),
    /// None: the value is filled with a number once and never written.
    Constant(f32),
}

/// Assigns each request a buffer; buffers are appended to `buffers`.
///
/// First fit in the order of the first use: a freed buffer is reused if it is large enough, the smallest such one; if
/// none is, the largest freed one grows. No dispatch writes what it reads, because a buffer is free only after the last
/// unit that uses it.
pub(super) fn assign(requests: &[Request], buffers: &mut Vec<PlannedBuffer>) -> Vec<usize> {
    struct Open {
        buffer: usize,
        last: usize,
        sharing: Sharing,
    }
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&request| requests[request].first);
    let mut open: Vec<Open> = Vec::new();
    let mut assigned = vec![0; requests.len()];
    for index in order {
        let request = &requests[index];
        // 64 words are the strictest alignment of a storage binding.
        let words = request.words.next_multiple_of(64);
        let free = open
            .iter_mut()
            .filter(|slot| !matches!(slot.sharing, Sharing::Alone(_) | Sharing::Constant(_)))
            .filter(|slot| slot.last < request.first && slot.sharing == request.sharing)
            .min_by_key(|slot| {
                let size = buffers[slot.buffer].words;
                if size >= words { (0, size) } else { (1, usize::MAX - size) }
            });
        assigned[index] = match free {
            Some(slot) => {
                slot.last = request.last;
                buffers[slot.buffer].words = buffers[slot.buffer].words.max(words);
                slot.buffer
            }
            None => {
                let (tag, fill) = match request.sharing {
                    Sharing::Pool => (Tag::Activations, None),
                    Sharing::Packed(_) => (Tag::Gradients, Some(0.0)),
                    Sharing::Alone(tag) => (tag, None),
                    Sharing::Constant(value) => (Tag::Bookkeeping, Some(value)),
                };
                buffers.push(PlannedBuffer { words, tag, fill });
                let buffer = buffers.len() - 1;
                open.push(Open { buffer, last: request.last, sharing: request.sharing.clone() });
                buffer
            }
        };
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: usize, first: usize, last: usize) -> Request {
        Request { words, first, last, sharing: Sharing::Pool }
    }

    #[test]
    fn values_that_live_at_the_same_time_never_share() {
        let requests = [request(64, 0, 2), request(64, 1, 3), request(64, 2, 4), request(64, 3, 5)];
        let mut buffers = Vec::new();
        let assigned = assign(&requests, &mut buffers);
        assert_eq!(assigned, [0, 1, 2, 0]);
        assert_eq!(buffers.len(), 3);
    }

    #[test]
    fn the_smallest_free_buffer_that_is_large_enough_is_reused() {
        let requests = [request(640, 0, 0), request(128, 0, 0), request(100, 1, 1)];
        let assigned = assign(&requests, &mut Vec::new());
        assert_eq!(assigned[2], assigned[1]);
    }

    #[test]
    fn a_value_that_outlives_the_step_shares_with_none() {
        let alone = Request { sharing: Sharing::Alone(Tag::Weights), ..request(64, 0, 0) };
        let mut buffers = Vec::new();
        let assigned = assign(&[alone, request(64, 1, 1)], &mut buffers);
        assert_ne!(assigned[0], assigned[1]);
        assert_eq!(buffers[0].tag, Tag::Weights);
    }
}

//! The panel of the attention: a strip for each block.

use crate::colour_map::cividis;
use crate::panel::panel;
use crate::{Align, Area, Colour, Drawing, Picture};

/// The attention weights of a choice over its context.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionPanel<'a> {
    /// (blocks, context, tokens of a step)
    pub(super) shares: &'a [f32],
    /// Steps of a context, and of these the ones that are no padding.
    pub(super) context: usize,
    pub(super) known: usize,
    /// The names of the tokens of a step.
    pub(super) names: &'a [&'a str],
    pub(super) version: u64,
}

impl AttentionPanel<'_> {
    pub(super) fn draw(&self, drawing: &mut Drawing, area: Area, text: f32) {
        let title = "attention weights of the choice over the context, by block (right: now)";
        let area = panel(drawing, area, text, Colour::Ink, title);
        let row = self.names.len() * self.context;
        let blocks = self.shares.len() / row.max(1);
        if blocks == 0 || self.known == 0 {
            return;
        }
        let [names, all] = area.split([1.0, 7.0], 0.4 * text, false);
        // Short contexts stand side by side, long ones below each other.
        let grid = if self.context < 8 { [blocks, 1] } else { [1, blocks] };
        for (block, shares) in self.shares.chunks_exact(row).enumerate() {
            let strip = all.cell(block, grid).shrink(0.2 * text);
            if block % grid[0] == 0 {
                for (index, name) in self.names.iter().enumerate() {
                    let [_, y] = strip.cell(index, [1, self.names.len()]).centre();
                    drawing.text([names.max[0], y], 0.85 * text, Align::Right, Colour::Ink, *name);
                }
            }
            self.strip(drawing, strip, shares);
        }
    }

    /// A row for each kind of token, a column for each step.
    fn strip(&self, drawing: &mut Drawing, area: Area, shares: &[f32]) {
        let (kinds, context) = (self.names.len(), self.context);
        let padding = context - self.known.min(context);
        // The action of the step itself is not seen yet.
        let is_seen = |kind: usize, step: usize| step >= padding && (kind + 1 < kinds || step + 1 < context);
        let greatest = shares.iter().copied().fold(1e-9, f32::max);
        let tone = |place: usize| {
            let (kind, step) = (place / context, place % context);
            if is_seen(kind, step) { cividis(shares[step * kinds + kind] / greatest) } else { [0; 4] }
        };
        let rgba = (0..kinds * context).flat_map(tone).collect();
        drawing.picture(area, Picture { size: [context, kinds], rgba, version: self.version, smooth: false });
    }
}

//! Where things stand in a drawing.

/// The size of a drawing and of its text, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Width and height.
    pub size: [f32; 2],
    /// The height of text: 14 where nothing is enlarged.
    pub text: f32,
}

impl View {
    /// The whole drawing.
    pub fn area(self) -> Area {
        Area { min: [0.0, 0.0], max: self.size }
    }

    /// True if panels stand under each other rather than side by side.
    pub fn is_narrow(self) -> bool {
        self.size[0] < 0.9 * self.size[1] || self.size[0] < 40.0 * self.text
    }
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// The upper left corner.
    pub min: [f32; 2],
    /// The lower right corner.
    pub max: [f32; 2],
}

impl Area {
    /// Width.
    pub fn width(self) -> f32 {
        self.max[0] - self.min[0]
    }

    /// Height.
    pub fn height(self) -> f32 {
        self.max[1] - self.min[1]
    }

    /// The middle.
    pub fn centre(self) -> [f32; 2] {
        [0.5 * (self.min[0] + self.max[0]), 0.5 * (self.min[1] + self.max[1])]
    }

    /// Returns true if a point lies in it.
    pub fn contains(self, at: [f32; 2]) -> bool {
        (0..2).all(|axis| self.min[axis] <= at[axis] && at[axis] <= self.max[axis])
    }

    /// The point at shares of width and height from the upper left corner.
    pub fn at(self, [x, y]: [f32; 2]) -> [f32; 2] {
        [self.min[0] + x * self.width(), self.min[1] + y * self.height()]
    }

    /// The shares of width and height at which a point lies.
    pub fn share(self, [x, y]: [f32; 2]) -> [f32; 2] {
        [(x - self.min[0]) / self.width().max(1e-6), (y - self.min[1]) / self.height().max(1e-6)]
    }

    /// The area without a margin.
    pub fn shrink(self, margin: f32) -> Self {
        let margin = [margin.min(0.5 * self.width()), margin.min(0.5 * self.height())];
        let [min, max] = [self.min, self.max];
        Self { min: [min[0] + margin[0], min[1] + margin[1]], max: [max[0] - margin[0], max[1] - margin[1]] }
    }

    /// Cuts off the upper `height` points: they, and the rest.
    pub fn cut_top(self, height: f32) -> [Self; 2] {
        let edge = (self.min[1] + height).clamp(self.min[1], self.max[1]);
        [Self { max: [self.max[0], edge], ..self }, Self { min: [self.min[0], edge], ..self }]
    }

    /// Cuts the width, or the height if `down`, into parts of these weights with gaps between them.
    pub fn split<const N: usize>(self, weights: [f32; N], gap: f32, down: bool) -> [Self; N] {
        let axis = usize::from(down);
        let total = (self.max[axis] - self.min[axis] - gap * (N as f32 - 1.0)).max(0.0);
        let sum: f32 = weights.iter().sum();
        let mut edge = self.min[axis];
        weights.map(|weight| {
            let mut part = self;
            part.min[axis] = edge;
            part.max[axis] = edge + total * weight / sum;
            edge = part.max[axis] + gap;
            part
        })
    }

    /// The largest square in the middle.
    pub fn square(self) -> Self {
        let half = 0.5 * self.width().min(self.height());
        let [x, y] = self.centre();
        Self { min: [x - half, y - half], max: [x + half, y + half] }
    }

    /// Cell `index` of a grid of columns and rows.
    pub fn cell(self, index: usize, [columns, rows]: [usize; 2]) -> Self {
        let (column, row) = ((index % columns) as f32, (index / columns) as f32);
        let (columns, rows) = (columns as f32, rows as f32);
        Self {
            min: self.at([column / columns, row / rows]),
            max: self.at([(column + 1.0) / columns, (row + 1.0) / rows]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Area = Area { min: [10.0, 20.0], max: [110.0, 60.0] };

    #[test]
    fn parts_of_an_area_fill_it_up_to_the_gaps() {
        let [a, b] = AREA.split([1.0, 3.0], 20.0, false);
        assert_eq!([a.min, a.max, b.min, b.max], [[10.0, 20.0], [30.0, 60.0], [50.0, 20.0], [110.0, 60.0]]);
        let [top, rest] = AREA.cut_top(100.0);
        assert_eq!([top.height(), rest.height()], [40.0, 0.0]);
        assert_eq!(AREA.cell(5, [4, 2]), Area { min: [35.0, 40.0], max: [60.0, 60.0] });
    }

    #[test]
    fn a_share_of_an_area_is_the_way_back_from_a_point() {
        let at = AREA.at([0.25, 0.5]);
        assert_eq!(at, [35.0, 40.0]);
        assert_eq!(AREA.share(at), [0.25, 0.5]);
        assert_eq!(AREA.square(), Area { min: [40.0, 20.0], max: [80.0, 60.0] });
    }
}

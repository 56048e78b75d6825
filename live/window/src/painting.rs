//! Shapes of a scene, painted by egui.

use std::collections::HashMap;

use eframe::egui::{
    Align2, Color32, ColorImage, CornerRadius, FontId, Painter, Pos2, Rect, Shape, Stroke, TextureHandle,
    TextureOptions, Vec2, epaint::PathStroke,
};
use fourfold_scenes::{Align, Area, Drawing, Paint, Picture, Shape as Drawn};

/// The textures of a scene's pictures, by their place among the pictures of a drawing.
#[derive(Default)]
pub(crate) struct Textures {
    kept: HashMap<usize, (u64, [usize; 2], TextureHandle)>,
}

impl Textures {
    /// Forgets the pictures of another scene.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }

    fn of(&mut self, painter: &Painter, index: usize, picture: &Picture) -> Option<&TextureHandle> {
        let [columns, rows] = picture.size;
        if columns * rows == 0 || picture.rgba.len() != 4 * columns * rows {
            return None;
        }
        let same = |kept: &(u64, [usize; 2], TextureHandle)| kept.0 == picture.version && kept.1 == picture.size;
        if !self.kept.get(&index).is_some_and(same) {
            let image = ColorImage::from_rgba_unmultiplied(picture.size, &picture.rgba);
            let options = if picture.smooth { TextureOptions::LINEAR } else { TextureOptions::NEAREST };
            let texture = match self.kept.remove(&index) {
                Some((_, size, mut texture)) if size == picture.size => {
                    texture.set(image, options);
                    texture
                }
                _ => painter.ctx().load_texture(format!("picture {index}"), image, options),
            };
            self.kept.insert(index, (picture.version, picture.size, texture));
        }
        self.kept.get(&index).map(|(_, _, texture)| texture)
    }
}

/// Paints a drawing whose upper left corner is at `origin`, on a window that was cleared in the colour of the ground: to
/// paint it once more takes a software driver a fifth of a frame.
pub(crate) fn paint(drawing: &Drawing, painter: &Painter, origin: Pos2, dark: bool, textures: &mut Textures) {
    let place = |[x, y]: [f32; 2]| origin + Vec2::new(x, y);
    let colour = |paint: Paint| {
        let [red, green, blue, alpha] = paint.rgba(dark);
        Color32::from_rgba_unmultiplied(red, green, blue, alpha)
    };
    let rect = |area: Area| Rect::from_min_max(place(area.min), place(area.max));
    let mut pictures = 0;
    for shape in &drawing.shapes {
        match shape {
            Drawn::Line { points, width, paint } => {
                let points: Vec<Pos2> = points.iter().copied().map(place).collect();
                if let [from, to] = points[..] {
                    painter.line_segment([from, to], Stroke::new(*width, colour(*paint)));
                } else {
                    painter.line(points, PathStroke::new(*width, colour(*paint)));
                }
            }
            Drawn::Polygon { points, paint } => {
                let points = points.iter().copied().map(place).collect();
                painter.add(Shape::convex_polygon(points, colour(*paint), Stroke::NONE));
            }
            Drawn::Circle { centre, radius, ring: None, paint } => {
                painter.circle_filled(place(*centre), *radius, colour(*paint));
            }
            Drawn::Circle { centre, radius, ring: Some(width), paint } => {
                painter.circle_stroke(place(*centre), *radius, Stroke::new(*width, colour(*paint)));
            }
            Drawn::Rectangle { area, rounding, paint } => {
                painter.rect_filled(rect(*area), CornerRadius::same(rounding.clamp(0.0, 255.0) as u8), colour(*paint));
            }
            Drawn::Text { at, size, align, paint, text } => {
                let align = match align {
                    Align::Left => Align2::LEFT_CENTER,
                    Align::Centre => Align2::CENTER_CENTER,
                    Align::Right => Align2::RIGHT_CENTER,
                };
                // Letters of less than a pixel are none, and egui refuses them.
                if *size >= 2.0 {
                    // A line is a quarter higher than its letters.
                    painter.text(place(*at), align, text, FontId::proportional(0.8 * size), colour(*paint));
                }
            }
            Drawn::Picture { area, picture } => {
                if let Some(texture) = textures.of(painter, pictures, picture) {
                    let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
                    painter.image(texture.id(), rect(*area), whole, Color32::WHITE);
                }
                pictures += 1;
            }
        }
    }
}

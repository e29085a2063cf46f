//! What a drawing needs of its surface.

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A surface in pixels, the origin at the upper left.
pub(super) trait Canvas {
    fn polyline(&mut self, points: &[(f64, f64)], colour: [u8; 3], width: f64, dashed: bool);
    fn polygon(&mut self, points: &[(f64, f64)], colour: [u8; 3], opacity: f64);
    fn disc(&mut self, centre: (f64, f64), radius: f64, colour: [u8; 3]);
    fn text(&mut self, at: (f64, f64), text: &str, anchor: Anchor, upright: bool);
}

//! Draws diagrams one below the other on any canvas.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas};
use super::{Mark, PALETTE, Plot};

/// Width of a drawing.
pub(super) const WIDTH: f64 = 820.0;
/// Height of one diagram.
pub(super) const HEIGHT: f64 = 460.0;
/// Left, right, top, bottom margins of a diagram; the right one is wider where names are long.
const MARGINS: [f64; 4] = [80.0, 190.0, 34.0, 52.0];
/// Width of a letter, about.
const LETTER: f64 = 6.8;
const INK: [u8; 3] = [40, 40, 40];
const GRID: [u8; 3] = [225, 225, 225];

pub(super) fn draw(plots: &[Plot], canvas: &mut impl Canvas) {
    for (row, plot) in plots.iter().enumerate() {
        diagram(plot, row as f64 * HEIGHT, canvas);
    }
}

fn diagram(plot: &Plot, top: f64, canvas: &mut impl Canvas) {
    let [left, right, above, below] = MARGINS;
    let longest = plot.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    let right = right.max(30.0 + LETTER * longest as f64).min(0.5 * WIDTH);
    let (x0, x1, y0, y1) = (left, WIDTH - right, top + HEIGHT - below, top + above);
    let (horizontal, vertical) = Axis::of(plot);
    let across = |t: f64| x0 + t * (x1 - x0);
    let up = |t: f64| y0 + t * (y1 - y0);
    for (value, label) in horizontal.ticks(6) {
        if let Some(x) = horizontal.place(value).map(across) {
            canvas.polyline(&[(x, y0), (x, y1)], GRID, 1.0, false);
            canvas.text((x, y0 + 18.0), &label, Anchor::Middle, false);
        }
    }
    for (value, label) in vertical.ticks(6) {
        if let Some(y) = vertical.place(value).map(up) {
            canvas.polyline(&[(x0, y), (x1, y)], GRID, 1.0, false);
            canvas.text((x0 - 8.0, y + 4.0), &label, Anchor::End, false);
        }
    }
    canvas.polyline(&[(x0, y1), (x0, y0), (x1, y0), (x1, y1), (x0, y1)], INK, 1.0, false);
    canvas.text((0.5 * (x0 + x1), y1 - 12.0), &plot.title, Anchor::Middle, false);
    canvas.text((0.5 * (x0 + x1), y0 + 40.0), &plot.x_label, Anchor::Middle, false);
    canvas.text((16.0, 0.5 * (y0 + y1)), &plot.y_label, Anchor::Middle, true);
    let place = |p: &(f64, f64)| Some((across(horizontal.place(p.0)?), up(vertical.place(p.1)?)));
    let mut legend = y1 + 8.0;
    for series in &plot.series {
        let colour = PALETTE[series.colour % PALETTE.len()];
        let points: Vec<(f64, f64)> = series.points.iter().filter_map(place).collect();
        match series.mark {
            Mark::Band => canvas.polygon(&points, colour, 0.18),
            Mark::Line => canvas.polyline(&points, colour, 1.6, false),
            Mark::Faint => canvas.polyline(&points, pale(colour), 1.0, false),
            Mark::Dashed => canvas.polyline(&points, colour, 1.2, true),
            Mark::Dots => points.iter().for_each(|p| canvas.disc(*p, 2.6, colour)),
            Mark::Rings => points.iter().for_each(|p| {
                canvas.disc(*p, 6.0, colour);
                canvas.disc(*p, 3.5, [255, 255, 255]);
            }),
        }
        if !series.name.is_empty() && legend < y0 {
            canvas.disc((x1 + 14.0, legend), 4.0, colour);
            canvas.text((x1 + 24.0, legend + 4.0), &series.name, Anchor::Start, false);
            legend += 18.0;
        }
    }
}

/// A third of the colour on white.
fn pale(colour: [u8; 3]) -> [u8; 3] {
    colour.map(|channel| 255 - (255 - channel) / 3)
}

//! Pixels: drawn at twice the size, then averaged, so that lines are smooth.

use super::Plot;
use super::canvas::{Anchor, Canvas};
use super::draw::{HEIGHT, WIDTH, draw};
use super::font::{glyph, plain};
use crate::FitError;

/// Subpixels a pixel and direction.
const FINE: usize = 2;
/// Pixels of the result for one unit of the drawing.
const SCALE: f64 = 1.5;

struct Raster {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Raster {
    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], opacity: f64) {
        if x < 0 || y < 0 || x >= self.width as i64 || y >= self.height as i64 {
            return;
        }
        let pixel = &mut self.pixels[y as usize * self.width + x as usize];
        for (p, c) in pixel.iter_mut().zip(colour) {
            *p = (f64::from(*p) * (1.0 - opacity) + f64::from(c) * opacity).round() as u8;
        }
    }

    fn fine(value: f64) -> f64 {
        value * SCALE * FINE as f64
    }

    fn dot(&mut self, centre: (f64, f64), radius: f64, colour: [u8; 3]) {
        let reach = radius.ceil() as i64;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                if ((dx * dx + dy * dy) as f64) <= radius * radius {
                    self.blend(centre.0.round() as i64 + dx, centre.1.round() as i64 + dy, colour, 1.0);
                }
            }
        }
    }
}

impl Canvas for Raster {
    fn polyline(&mut self, points: &[(f64, f64)], colour: [u8; 3], width: f64, dashed: bool) {
        let mut travelled = 0.0;
        for pair in points.windows(2) {
            let [(x0, y0), (x1, y1)] = [pair[0], pair[1]].map(|(x, y)| (Self::fine(x), Self::fine(y)));
            let length = (x1 - x0).hypot(y1 - y0);
            let steps = length.ceil().max(1.0) as usize;
            for k in 0..=steps {
                let t = k as f64 / steps as f64;
                let on = !dashed || (travelled + t * length) % 27.0 < 15.0;
                if on {
                    self.dot((x0 + t * (x1 - x0), y0 + t * (y1 - y0)), Self::fine(0.5 * width).max(0.5), colour);
                }
            }
            travelled += length;
        }
    }

    fn polygon(&mut self, points: &[(f64, f64)], colour: [u8; 3], opacity: f64) {
        let corners: Vec<(f64, f64)> = points.iter().map(|(x, y)| (Self::fine(*x), Self::fine(*y))).collect();
        for y in 0..self.height {
            let level = y as f64 + 0.5;
            let mut crossings: Vec<f64> = (0..corners.len())
                .filter_map(|i| {
                    let (a, b) = (corners[i], corners[(i + 1) % corners.len()]);
                    ((a.1 <= level) != (b.1 <= level)).then(|| a.0 + (level - a.1) / (b.1 - a.1) * (b.0 - a.0))
                })
                .collect();
            crossings.sort_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                for x in pair[0].round() as i64..pair[1].round() as i64 {
                    self.blend(x, y as i64, colour, opacity);
                }
            }
        }
    }

    fn disc(&mut self, (x, y): (f64, f64), radius: f64, colour: [u8; 3]) {
        self.dot((Self::fine(x), Self::fine(y)), Self::fine(radius), colour);
    }

    fn text(&mut self, (x, y): (f64, f64), text: &str, anchor: Anchor, upright: bool) {
        let text = plain(text);
        // One dot of a letter is a square of this many subpixels.
        let dot = FINE as i64 + 1;
        let advance = 6 * dot;
        let total = advance * text.chars().count() as i64;
        let shift = match anchor {
            Anchor::Start => 0,
            Anchor::Middle => -total / 2,
            Anchor::End => -total,
        };
        let (x, y) = (Self::fine(x) as i64, Self::fine(y) as i64);
        for (k, character) in text.chars().enumerate() {
            for (column, bits) in glyph(character).into_iter().enumerate() {
                for row in (0..7).filter(|r| bits >> r & 1 == 1) {
                    for sub in 0..dot * dot {
                        let along = shift + k as i64 * advance + column as i64 * dot + sub % dot;
                        let down = (i64::from(row) - 7) * dot + sub / dot;
                        let (px, py) = if upright { (x + down, y - along) } else { (x + along, y + down) };
                        self.blend(px, py, [40, 40, 40], 1.0);
                    }
                }
            }
        }
    }
}

/// The diagrams one below the other, as the bytes of a PNG file.
pub fn png(plots: &[Plot]) -> Result<Vec<u8>, FitError> {
    let (width, height) = ((WIDTH * SCALE) as usize, (HEIGHT * SCALE) as usize * plots.len().max(1));
    let mut raster =
        Raster { width: width * FINE, height: height * FINE, pixels: vec![[255; 3]; width * height * FINE * FINE] };
    draw(plots, &mut raster);
    let mut bytes = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let sum: usize = (0..FINE * FINE)
                    .map(|k| {
                        let (sx, sy) = (x * FINE + k % FINE, y * FINE + k / FINE);
                        usize::from(raster.pixels[sy * raster.width + sx][channel])
                    })
                    .sum();
                bytes.push((sum / (FINE * FINE)) as u8);
            }
        }
    }
    let failed = |e: png::EncodingError| FitError::Data(format!("the plot cannot be written as PNG: {e}"));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&bytes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

//! Diagrams in Braille: each character is 2 × 4 dots.

use super::axis::Axis;
use super::{Mark, Plot};

/// One diagram in `columns` × `rows` characters, with labels around it.
pub fn terminal(plot: &Plot, columns: usize, rows: usize) -> String {
    let (horizontal, vertical) = Axis::of(plot);
    let (width, height) = (columns * 2, rows * 4);
    let mut cells = vec![0u8; columns * rows];
    let mut set = |x: f64, y: f64| {
        let (px, py) = ((x * (width - 1) as f64).round() as i64, ((1.0 - y) * (height - 1) as f64).round() as i64);
        if (0..width as i64).contains(&px) && (0..height as i64).contains(&py) {
            let (px, py) = (px as usize, py as usize);
            let bit = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]][py % 4][px % 2];
            cells[py / 4 * columns + px / 2] |= bit;
        }
    };
    for series in &plot.series {
        let points: Vec<(f64, f64)> =
            series.points.iter().filter_map(|p| Some((horizontal.place(p.0)?, vertical.place(p.1)?))).collect();
        match series.mark {
            // In one colour both would cover what they stand behind.
            Mark::Band | Mark::Faint => {}
            Mark::Dots => points.iter().for_each(|p| set(p.0, p.1)),
            Mark::Rings => {
                let (dx, dy) = (1.0 / width as f64, 1.0 / height as f64);
                for p in &points {
                    for (x, y) in [(0.0, 1.5), (0.0, -1.5), (1.5, 0.0), (-1.5, 0.0)] {
                        set(p.0 + x * dx, p.1 + y * dy);
                    }
                }
            }
            Mark::Line | Mark::Dashed => {
                for pair in points.windows(2) {
                    let steps = 2 * width.max(height);
                    for k in 0..=steps {
                        let t = k as f64 / steps as f64;
                        if series.mark == Mark::Dashed && k / 6 % 2 == 1 {
                            continue;
                        }
                        set(pair[0].0 + t * (pair[1].0 - pair[0].0), pair[0].1 + t * (pair[1].1 - pair[0].1));
                    }
                }
            }
        }
    }
    let mut labels = vec![String::new(); rows];
    for (value, label) in vertical.ticks(5) {
        if let Some(t) = vertical.place(value) {
            let row = ((1.0 - t) * (rows - 1) as f64).round().clamp(0.0, (rows - 1) as f64) as usize;
            labels[row] = label;
        }
    }
    let mut out = format!("{}   [{} over {}]\n", plot.title, plot.y_label, plot.x_label);
    for row in 0..rows {
        out.push_str(&format!("{:>8} ┤", labels[row]));
        out.extend((0..columns).map(|c| char::from_u32(0x2800 + u32::from(cells[row * columns + c])).unwrap_or(' ')));
        out.push('\n');
    }
    let mut line = vec![' '; columns + 12];
    for (value, label) in horizontal.ticks(5) {
        if let Some(t) = horizontal.place(value) {
            let centre = (t * (columns - 1) as f64) as usize;
            let start = centre.saturating_sub(label.len() / 2).min(line.len() - label.len());
            if line[start.saturating_sub(1)..start + label.len()].iter().all(|c| *c == ' ') {
                for (slot, c) in line[start..].iter_mut().zip(label.chars()) {
                    *slot = c;
                }
            }
        }
    }
    out.push_str(&format!("{:>10}{}\n", "", line.into_iter().collect::<String>().trim_end()));
    out
}

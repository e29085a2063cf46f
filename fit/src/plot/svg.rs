//! Scalable vector graphics.

use super::Plot;
use super::canvas::{Anchor, Canvas};
use super::draw::{HEIGHT, WIDTH, draw};
use std::fmt::Write;

struct Svg(String);

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn list(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

// Writing into a String cannot fail.
impl Canvas for Svg {
    fn polyline(&mut self, points: &[(f64, f64)], colour: [u8; 3], width: f64, dashed: bool) {
        let dash = if dashed { r#" stroke-dasharray="5,4""# } else { "" };
        let _ = writeln!(
            self.0,
            r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="{width}"{dash}/>"#,
            list(points),
            hex(colour)
        );
    }

    fn polygon(&mut self, points: &[(f64, f64)], colour: [u8; 3], opacity: f64) {
        let _ =
            writeln!(self.0, r#"<polygon points="{}" fill="{}" fill-opacity="{opacity}"/>"#, list(points), hex(colour));
    }

    fn disc(&mut self, (x, y): (f64, f64), radius: f64, colour: [u8; 3]) {
        let _ = writeln!(self.0, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{}"/>"#, hex(colour));
    }

    fn text(&mut self, (x, y): (f64, f64), text: &str, anchor: Anchor, upright: bool) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn = if upright { format!(r#" transform="rotate(-90 {x:.1} {y:.1})""#) } else { String::new() };
        let safe = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.0, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"{turn}>{safe}</text>"#);
    }
}

/// The diagrams one below the other.
pub fn svg(plots: &[Plot]) -> String {
    let height = HEIGHT * plots.len().max(1) as f64;
    let mut canvas = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#282828\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    ));
    draw(plots, &mut canvas);
    canvas.0.push_str("</svg>\n");
    canvas.0
}

//! Plots as data, drawn as SVG, PNG or text.

mod axis;
mod canvas;
mod draw;
mod font;
mod png;
mod svg;
mod terminal;

pub use png::png;
pub use svg::svg;
pub use terminal::terminal;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A dot a point.
    Dots,
    /// A larger ring a point, for optima.
    Rings,
    /// A line through the points.
    Line,
    /// A thin pale line, behind others: noise.
    Faint,
    /// A dashed line.
    Dashed,
    /// A filled polygon, a band of uncertainty: its lower edge from left to right, then its upper edge back.
    Band,
}

/// Points of one kind and colour.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Series {
    /// Name in the legend; empty for none.
    pub name: String,
    /// How to draw it.
    pub mark: Mark,
    /// Index into the palette.
    pub colour: usize,
    /// The points; others than finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// One diagram.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Horizontal axis.
    pub x_label: String,
    /// Vertical axis.
    pub y_label: String,
    /// Logarithmic horizontal axis.
    pub x_log: bool,
    /// Logarithmic vertical axis.
    pub y_log: bool,
    /// What is shown.
    pub series: Vec<Series>,
}

impl Plot {
    /// An empty diagram.
    pub fn new(title: &str, x: (&str, bool), y: (&str, bool)) -> Self {
        Self {
            title: title.into(),
            x_label: x.0.into(),
            y_label: y.0.into(),
            x_log: x.1,
            y_log: y.1,
            series: Vec::new(),
        }
    }

    /// Adds a dashed level across all points, such as the zero of residuals. To be called after them.
    pub fn level(&mut self, y: f64) {
        let xs = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
        let (low, high) = xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        if low < high {
            self.add("", Mark::Dashed, 7, vec![(low, y), (high, y)]);
        }
    }

    /// Adds a series.
    pub fn add(&mut self, name: &str, mark: Mark, colour: usize, points: Vec<(f64, f64)>) {
        self.series.push(Series { name: name.into(), mark, colour, points });
    }
}

/// Colours that can be told apart by most people (Okabe and Ito).
pub(crate) const PALETTE: [[u8; 3]; 8] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [120, 100, 60],
    [0, 0, 0],
];

//! Where a curve is lowest.

use super::{Request, Section, What};
use crate::FitError;
use crate::laws::{crossing, minimum};
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::json;

pub(super) fn section(table: &Table, request: &Request, _: &mut Vec<String>) -> Result<Section, FitError> {
    let What::Minimum { x, y } = &request.what else {
        return Err(FitError::Data("no minimum was asked for".into()));
    };
    let points: Vec<(f64, f64)> = table.positive(x)?.into_iter().zip(table.positive(y)?).collect();
    let curve = crossing::curve(&points);
    let Some(found) = minimum::minimum(&curve) else {
        return Err(FitError::Data("there are no points".into()));
    };
    let mut text = if found.inside {
        format!("{y} is lowest at {x} {:.4e}: {:.5}\n", found.x, found.y)
    } else {
        format!(
            "{y} is lowest at an end, {x} {:.4e}: {:.5}. What lies beyond is not known; measure there\n",
            found.x, found.y
        )
    };
    curve.iter().for_each(|(at, value)| text.push_str(&format!("  {x} {at:>11.4e}: {value:.5}\n")));
    let mut plot = Plot::new(&format!("{y} over {x}"), (x, true), (y, false));
    plot.add("", Mark::Dots, 0, points);
    plot.add("", Mark::Line, 0, curve.clone());
    plot.add("lowest", Mark::Rings, 0, vec![(found.x, found.y)]);
    Ok(Section {
        group: Vec::new(),
        text,
        fit: json!({ "law": found, "curve": curve, "x": x, "y": y }),
        plots: vec![plot],
    })
}

//! Power laws between two columns.

use super::intervals::Intervals;
use super::isoflop::{law_json, spread};
use super::{Request, Section, What, weights, with_error};
use crate::FitError;
use crate::laws::power_law::{OffsetLaw, PowerLaw};
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::json;

pub(super) fn section(table: &Table, request: &Request, _: &mut Vec<String>) -> Result<Section, FitError> {
    let What::PowerLaw { x, y, offset } = &request.what else {
        return Err(FitError::Data("a power law needs --x and --y".into()));
    };
    let (xs, ys) = (table.positive(x)?, table.positive(y)?);
    let weights = weights(table, request)?;
    let law = PowerLaw::fit(&xs, &ys, Some(&weights))?;
    let mut text = format!(
        "{y} = {:.6e} · {x}^({})   R² {:.6}, {} points\n",
        law.coefficient,
        with_error(law.exponent, law.exponent_error),
        law.line.r_squared,
        xs.len()
    );
    if law.line.freedom == 0 {
        text.push_str("Two points leave nothing to judge the law by: its errors are not known.\n");
    } else {
        let (low, high) = law.exponent_interval(request.level);
        let (least, most) = law.coefficient_interval(request.level);
        text.push_str(&format!(
            "{:.0} %: exponent {low:.5} to {high:.5}, coefficient {least:.4e} to {most:.4e}\n",
            100.0 * request.level
        ));
    }
    let mut plot = Plot::new("Power law", (x, true), (y, true));
    plot.add("data", Mark::Dots, 0, xs.iter().copied().zip(ys.iter().copied()).collect());
    let (low, high) = xs.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(*v), h.max(*v)));
    let grid = spread(low, high, 60);
    plot.add("power law", Mark::Line, 1, grid.iter().map(|v| (*v, law.at(*v))).collect());
    let mut band: Vec<(f64, f64)> = grid.iter().map(|v| (*v, law.interval(*v, request.level).0)).collect();
    band.extend(grid.iter().rev().map(|v| (*v, law.interval(*v, request.level).1)));
    if band.iter().all(|p| p.1.is_finite() && p.1 > 0.0) {
        plot.add("", Mark::Band, 1, band);
    }
    let mut fit = json!({ "law": law_json(&law, request.level), "x": x, "y": y });
    if *offset {
        let (with, intervals) =
            OffsetLaw::fit_and(&xs, &ys, Some(&weights), true, |fit, best| Intervals::of(fit, best, request))?;
        text.push_str(&format!(
            "with an offset: {y} = {:.6e} · {x}^p + c   {}\n",
            with.coefficient, with.result.outcome
        ));
        for j in [1, 2, 0] {
            text.push_str(&intervals.line(&with.result, j));
        }
        text.push_str(&intervals.remarks(&with.result));
        plot.add("with offset", Mark::Dashed, 2, grid.iter().map(|v| (*v, with.at(*v))).collect());
        fit["offset_law"] = json!(with);
        fit["offset_law"]["intervals"] = json!(intervals.free_json(&with.result));
    }
    Ok(Section { group: Vec::new(), text, fit, plots: vec![plot] })
}

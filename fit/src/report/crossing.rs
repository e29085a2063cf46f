//! Where one group's curve passes another's.

use super::{Request, Section, What};
use crate::FitError;
use crate::laws::crossing;
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::{Value, json};

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let What::Crossing { x, y, by } = &request.what else {
        return Err(FitError::Data("no crossing was asked for".into()));
    };
    let mut curves: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    let mut plot = Plot::new(&format!("{y} over {x}"), (x, true), (y, true));
    let mut left_out = 0;
    for (colour, (group, rows)) in table.group(std::slice::from_ref(by))?.into_iter().enumerate() {
        let (places, values) = (rows.numbers(x)?, rows.positive(y)?);
        let points: Vec<(f64, f64)> = places.into_iter().zip(values).filter(|point| point.0 > 0.0).collect();
        left_out += rows.len() - points.len();
        let name = group.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" ");
        let curve = crossing::curve(&points);
        plot.add(&name, Mark::Dots, colour, points);
        plot.add("", Mark::Line, colour, curve.clone());
        curves.push((name, curve));
    }
    if left_out > 0 {
        notes.push(format!("{left_out} rows left out: {x} is not above zero"));
    }
    let mut text = String::new();
    if let [(name, _)] = &curves[..] {
        // Other groups may have two.
        if request.group.is_empty() {
            return Err(FitError::Data(format!(
                "the column `{by}` has one value only, {name}: there is nothing to cross"
            )));
        }
        text.push_str(&format!("{name} alone: there is nothing to cross\n"));
    }
    let mut pairs: Vec<Value> = Vec::new();
    for (place, (one, curve)) in curves.iter().enumerate() {
        for (other, reference) in &curves[place + 1..] {
            let ratios = crossing::log_ratios(curve, reference);
            let found = crossing::crossings(&ratios);
            text.push_str(&said(&[one, other, x, y], &ratios, &found));
            let ratios: Vec<(f64, f64)> = ratios.iter().map(|(at, ratio)| (*at, ratio.exp())).collect();
            pairs.push(json!({ "of": one, "over": other, "at": found, "ratios": ratios }));
        }
    }
    Ok(Section { group: Vec::new(), text, fit: json!({ "law": pairs, "x": x, "y": y }), plots: vec![plot] })
}

fn said([one, other, x, y]: &[&str; 4], ratios: &[(f64, f64)], found: &[f64]) -> String {
    let (Some(first), Some(last)) = (ratios.first(), ratios.last()) else {
        return format!("{one} and {other}: no {x} is on both curves\n");
    };
    let mut text = format!("{one} over {other}, {x} {} to {}:\n", first.0, last.0);
    for (at, ratio) in ratios {
        text.push_str(&format!("  {x} {at:>10}: {y} {:.3} times as large\n", ratio.exp()));
    }
    match found {
        [] if ratios.iter().all(|point| point.1 == 0.0) => text.push_str("  they are equal throughout\n"),
        [] => {
            let below = if ratios.iter().any(|point| point.1 < 0.0) { one } else { other };
            text.push_str(&format!("  they do not cross: {below} has the smaller {y} throughout\n"));
        }
        some => {
            // Each crossing changes who is ahead.
            let mut ahead = ratios.iter().find(|point| point.1 != 0.0).is_some_and(|point| point.1 < 0.0);
            for at in some {
                ahead = !ahead;
                let below = if ahead { one } else { other };
                text.push_str(&format!("  they cross at {x} {at:.0}: from there on {below} has the smaller {y}\n"));
            }
        }
    }
    text
}

//! Frontiers of loss over compute.

use super::{Request, Section};
use crate::FitError;
use crate::laws::pareto::{self, Space};
use crate::laws::power_law::PowerLaw;
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::{Value, json};

pub(super) fn section(table: &Table, request: &Request, _: &mut Vec<String>) -> Result<Section, FitError> {
    let default = vec!["arch".to_string()];
    let by = if request.group.is_empty() && table.has("arch") { &default } else { &request.group };
    let mut text = String::new();
    let mut plot = Plot::new("Pareto frontier", ("training FLOPs", true), ("loss (nats/token)", true));
    let mut hulls: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    let mut law: Vec<Value> = Vec::new();
    for (colour, (group, rows)) in table.group(by)?.into_iter().enumerate() {
        let name = group.iter().map(|g| g.1.as_str()).collect::<Vec<_>>().join(" ");
        let name = if name.is_empty() { "all runs".to_string() } else { name };
        let points: Vec<(f64, f64)> =
            rows.positive("flops_train")?.into_iter().zip(rows.positive("val_loss")?).collect();
        let hull = pareto::hull(&points, Space::Linear)?;
        text.push_str(&format!("{name}: {} of {} runs on the hull\n", hull.len(), points.len()));
        for (flops, loss) in &hull {
            text.push_str(&format!("  {flops:>12.4e} FLOPs  {loss:.4}\n"));
        }
        let (flops, losses): (Vec<f64>, Vec<f64>) = hull.iter().copied().unzip();
        let through = PowerLaw::fit(&flops, &losses, None).ok();
        plot.add(&name, Mark::Dots, colour, points);
        plot.add("", Mark::Line, colour, hull.clone());
        law.push(json!({ "name": name, "hull": hull,
            "loss_law": through.map(|l| super::isoflop::law_json(&l, request.level)) }));
        hulls.push((name, hull));
    }
    let mut ratios: Vec<Value> = Vec::new();
    for (i, (name, hull)) in hulls.iter().enumerate() {
        for (other, reference) in hulls.iter().skip(i + 1) {
            text.push_str(&format!("compute for equal loss, {name} over {other}:\n"));
            for k in (10..60).rev() {
                let loss = f64::from(k) / 10.0;
                if let Some(ratio) = pareto::compute_ratio(hull, reference, loss) {
                    text.push_str(&format!("  loss {loss:.1}: {ratio:.2}\n"));
                    ratios.push(json!({ "of": name, "over": other, "loss": loss, "ratio": ratio }));
                }
            }
        }
    }
    Ok(Section { group: Vec::new(), text, fit: json!({ "law": law, "ratios": ratios }), plots: vec![plot] })
}

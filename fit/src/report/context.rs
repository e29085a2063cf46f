//! Dependence of the optimum on the context length.

use super::{Request, Section, quantity, with_error};
use crate::FitError;
use crate::laws::context::{self, AtContext};
use crate::laws::isoflop;
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::json;

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let mut all = Vec::new();
    for (group, rows) in table.group(&["ctx".to_string()])? {
        let context = rows.positive("ctx")?.first().copied().unwrap_or(f64::NAN);
        let runs = super::isoflop::runs(&rows, request, notes)?;
        let profiles = isoflop::profiles(&runs)
            .map_err(|e| FitError::Data(format!("context {}: {e}", group.first().map_or("", |g| &g.1))))?;
        all.push(AtContext { context, profiles });
    }
    let law = context::fit(all.clone())?;
    all.sort_by(|a, b| a.context.total_cmp(&b.context));
    let mut text = String::from("   context     budget         N*         D*   loss there\n");
    let mut plot = Plot::new("Optimal size over context", ("context (tokens)", true), ("parameters N*", true));
    let mut budgets: Vec<f64> = all.iter().flat_map(|a| a.profiles.iter().map(|p| p.budget)).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    for a in &all {
        for p in &a.profiles {
            text.push_str(&format!(
                "{:>10} {:>10.1e} {:>10} {:>10} {:>12.4}\n",
                a.context,
                p.budget,
                quantity(p.params.optimum),
                quantity(p.tokens.optimum),
                p.params.loss
            ));
        }
    }
    for (colour, budget) in budgets.iter().enumerate() {
        let line: Vec<(f64, f64)> = all
            .iter()
            .filter_map(|a| {
                let p = a.profiles.iter().find(|p| p.budget == *budget)?;
                Some((a.context, p.params.optimum))
            })
            .collect();
        plot.add(&format!("{budget:.0e} FLOPs"), Mark::Rings, colour, line.clone());
        plot.add("", Mark::Line, colour, line);
    }
    for c in &law.changes {
        text.push_str(&format!(
            "at {:.0e} FLOPs from context {} to {}: N* {:+.1} %, D* {:+.1} %, loss {:+.4}\n",
            c.budget,
            c.contexts[0],
            c.contexts[1],
            100.0 * (c.params_ratio - 1.0),
            100.0 * (c.tokens_ratio - 1.0),
            c.loss_difference
        ));
    }
    for (name, joint) in [("N*", &law.params), ("D*", &law.tokens), ("loss", &law.loss)] {
        match joint {
            Some(j) => text.push_str(&format!(
                "{name:>4} ~ C^({}) · T^({})\n",
                with_error(j.by_compute, j.by_compute_error),
                with_error(j.by_context, j.by_context_error)
            )),
            None => text.push_str(&format!("{name:>4}: too few shared budgets to separate compute from context\n")),
        }
    }
    text.push_str("Losses at different contexts are on differently packed text: compare them with care.\n");
    Ok(Section { group: Vec::new(), text, fit: json!({ "law": law }), plots: vec![plot] })
}

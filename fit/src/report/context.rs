//! Dependence of the optimum on the context length.

use super::{Request, Section, quantity, with_error};
use crate::FitError;
use crate::laws::context::{self, AtContext, Context};
use crate::laws::isoflop;
use crate::plot::{Mark, Plot};
use crate::statistics::Interval;
use crate::table::Table;
use serde_json::{Value, json};

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
    let level = 100.0 * request.level;
    text.push_str(&format!("Changes, with {level:.0} % intervals by the noise of the runs:\n"));
    for c in &law.changes {
        let [n, d, l] = c.intervals(request.level);
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        text.push_str(&format!(
            "at {:.0e} FLOPs from context {} to {}: N* {:+.1} % ({:+.1} to {:+.1}), D* {:+.1} % ({:+.1} to {:+.1}), \
             loss {:+.4} ({:+.4} to {:+.4})\n",
            c.budget,
            c.contexts[0],
            c.contexts[1],
            percent(c.params_ratio),
            percent(n.0),
            percent(n.1),
            percent(c.tokens_ratio),
            percent(d.0),
            percent(d.1),
            c.loss_difference,
            l.0,
            l.1
        ));
    }
    for (name, joint) in [("N*", &law.params), ("D*", &law.tokens), ("loss", &law.loss)] {
        match joint {
            Some(j) => {
                let [compute, context] = j.intervals(request.level);
                text.push_str(&format!(
                    "{name:>4} ~ C^({}) · T^({})   {level:.0} %: {:.4} to {:.4}, {:.4} to {:.4}\n",
                    with_error(j.by_compute, j.by_compute_error),
                    with_error(j.by_context, j.by_context_error),
                    compute.0,
                    compute.1,
                    context.0,
                    context.1
                ));
            }
            None => text.push_str(&format!("{name:>4}: too few shared budgets to separate compute from context\n")),
        }
    }
    text.push_str("Losses at different contexts are on differently packed text: compare them with care.\n");
    Ok(Section { group: Vec::new(), text, fit: json!({ "law": law_json(&law, request.level) }), plots: vec![plot] })
}

/// The law with its intervals.
fn law_json(law: &Context, level: f64) -> Value {
    let interval = |(low, high): (f64, f64)| json!(Interval { low, high });
    let mut value = json!(law);
    for (name, joint) in [("params", &law.params), ("tokens", &law.tokens), ("loss", &law.loss)] {
        if let Some(joint) = joint {
            let [compute, context] = joint.intervals(level);
            value[name]["by_compute_interval"] = interval(compute);
            value[name]["by_context_interval"] = interval(context);
        }
    }
    for (k, change) in law.changes.iter().enumerate() {
        let [params, tokens, loss] = change.intervals(level);
        value["changes"][k]["params_ratio_interval"] = interval(params);
        value["changes"][k]["tokens_ratio_interval"] = interval(tokens);
        value["changes"][k]["loss_difference_interval"] = interval(loss);
    }
    value
}

//! IsoFLOP profiles, and N*(C) and D*(C) through their optima.

use gradus_fit::plot::Plot;
use gradus_fit::report::{Report, What};
use gradus_fit::table::GroupValues;
use serde_json::Value;

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Part, Section, together};
use super::published;
use super::study::{Source, Study};
use super::words::{architecture, count, counted, decimal, ends, flops, group, number, overlap, range, with_range};
use crate::error::Result;

/// Mean FLOPs over which the published laws go, and the fitter's default.
const PUBLISHED_RANGE: (f64, f64) = (5e18, 2e20);
/// An interval of an exponent that is wider than this says little.
const WIDE: f64 = 0.2;

const ABOUT: &str = "At each compute budget a parabola of the loss over log N (and apart over log D); its minimum is the \
    compute-optimal size N* (or number of tokens D*). The power laws go through these optima.";

/// A group's fit.
struct Fitted {
    group: GroupValues,
    report: Report,
}

impl Fitted {
    fn fit(&self) -> &Value {
        &self.report.sections[0].fit
    }

    fn label(&self) -> String {
        group(&self.group)
    }

    fn value(&self, column: &str) -> &str {
        self.group.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value)
    }
}

/// The question for a group: over the published range where the budgets are the published ones, else over all.
fn ask(study: &Study, runs: &Source, of: &[(String, String)]) -> Result<Ask> {
    let compute = runs.table.positive("flops_train")?;
    let (low, high) = compute.iter().fold((f64::INFINITY, 0f64), |(low, high), c| (low.min(*c), high.max(*c)));
    let (what, flags) = if low >= 0.5 * PUBLISHED_RANGE.0 {
        (What::Isoflop(PUBLISHED_RANGE), String::new())
    } else {
        // As written, so that the command has the same bits.
        let (from, to) = (format!("{:.2e}", 0.98 * low), format!("{:.2e}", 1.02 * high));
        let range = (from.parse().unwrap_or(0.0), to.parse().unwrap_or(f64::INFINITY));
        (What::Isoflop(range), format!(" --from {from} --to {to}"))
    };
    Ok(study.ask(Ask { flags, ..Ask::new("isoflop", what) }.of(of), true))
}

/// The sections of profiles and of the laws through their optima.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn sections(study: &Study) -> Result<[Section; 2]> {
    let mut profiles = Section::new("profiles", "IsoFLOP profiles", ABOUT);
    let laws = Section::new(
        "laws",
        "Compute-optimal size and tokens",
        "N*, D* and the loss at the optimum as powers of the compute C, with bands at 95 %: the wider of what the noise of \
         the runs and the scatter of the optima about the line give.",
    );
    let Some(runs) = study.runs.as_ref().filter(|_| study.has_set("isoflop")) else {
        let missing =
            "There are no runs at equal budgets in this folder: gradus sweep with study = \"isoflop\" makes them.";
        return Ok([profiles.without(missing), laws.without(missing)]);
    };
    let mut conditions = study.conditions();
    if runs.table.has("experiment_set") {
        conditions.push("experiment_set == isoflop".into());
    }
    let mut fitted = Vec::new();
    for of in runs.groups(&["arch", "ctx"], &conditions)? {
        let ask = ask(study, runs, &of)?;
        add(&mut profiles, runs, &ask, group(&of), |_, part, report| {
            part.plots.retain(|plot| ["IsoFLOP profiles", "Residuals"].contains(&plot.title.as_str()));
            part.grids = vec![optima(&report.sections[0].fit)];
            fitted.push(Fitted { group: of.clone(), report });
        })?;
    }
    edges(&fitted, &mut profiles.unsettled);
    Ok([profiles, through_optima(laws, &fitted)])
}

/// The optimum of each budget.
fn optima(fit: &Value) -> Grid {
    let mut grid = Grid::new(
        "Optima of the parabolas (95 % by the scatter of the runs)",
        &["budget", "runs", "N*", "95 %", "D*", "95 %", "loss there", "95 %", "among the sizes tried"],
    );
    for profile in fit["profiles"].as_array().into_iter().flatten() {
        grid.rows.push(vec![
            flops(number(profile, "/budget")),
            format!("{:.0}", number(profile, "/runs")),
            count(number(profile, "/params/optimum")),
            range(ends(profile, "/params/optimum_interval"), count),
            count(number(profile, "/tokens/optimum")),
            range(ends(profile, "/tokens/optimum_interval"), count),
            decimal(number(profile, "/params/loss")),
            range(ends(profile, "/params/loss_interval"), decimal),
            if inside(profile) { "yes" } else { "no" }.into(),
        ]);
    }
    grid
}

/// Whether the optimum lies among the sizes tried.
fn inside(profile: &Value) -> bool {
    profile["params"]["inside"] == true && profile["tokens"]["inside"] == true
}

/// Says which optima are not among the sizes tried.
fn edges(fitted: &[Fitted], unsettled: &mut Vec<String>) {
    for one in fitted {
        let outside: Vec<String> = one.fit()["profiles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|profile| !inside(profile))
            .map(|profile| flops(number(profile, "/budget")))
            .collect();
        if !outside.is_empty() {
            unsettled.push(format!(
                "{}: the optimum lies outside the sizes tried at {} FLOPs, so it is extrapolated from a parabola; larger or \
                 smaller models at that budget would settle it.",
                one.label(),
                outside.join(", ")
            ));
        }
    }
}

fn through_optima(mut laws: Section, fitted: &[Fitted]) -> Section {
    if fitted.is_empty() {
        return laws.without("No group of runs has parabolas with an optimum; the profiles above say why.");
    }
    let mut part = Part::default();
    for title in ["Compute-optimal size", "Compute-optimal tokens", "Loss at the optimum"] {
        let of: Vec<(String, &Plot)> = fitted
            .iter()
            .filter_map(|one| {
                let plot = one.report.sections[0].plots.iter().find(|plot| plot.title == title)?;
                Some((one.label(), plot))
            })
            .collect();
        part.plots.extend(together(&of));
    }
    let mut grid = Grid::new(
        "Exponents over C (the paper's: IsoFLOP profiles at 6e18 to 1e20 FLOPs, at the same context where it has it, else at 8192)",
        &["runs", "budgets", "N* exponent", "95 %", "paper", "D* exponent", "95 %", "paper", "loss exponent", "95 %"],
    );
    for one in fitted {
        let law = &one.fit()["law"];
        let budgets =
            one.fit()["profiles"].as_array().map_or(0, |all| all.iter().filter(|p| p["used"] == true).count());
        let at = |context: &str| published::OPTIMA.iter().find(|row| row.0 == one.value("arch") && row.1 == context);
        let paper = at(one.value("ctx")).or_else(|| at("8192"));
        let theirs = |pick: fn(&(&str, &str, u32, f64, f64)) -> f64| paper.map_or("-".into(), |row| decimal(pick(row)));
        let exponent = |of: &str| decimal(number(law, &format!("/{of}/exponent")));
        let interval = |of: &str| range(ends(law, &format!("/{of}/exponent_interval")), decimal);
        grid.rows.push(vec![
            one.label(),
            budgets.to_string(),
            exponent("params"),
            interval("params"),
            theirs(|row| row.3),
            exponent("tokens"),
            interval("tokens"),
            theirs(|row| row.4),
            exponent("loss"),
            interval("loss"),
        ]);
        say(one, budgets, &mut laws);
    }
    part.grids.push(grid);
    compare(fitted, &mut laws);
    part.note = "From the same fits as the profiles above, by the commands there.".into();
    laws.parts.push(part);
    laws
}

/// The laws of a group in words.
fn say(one: &Fitted, budgets: usize, laws: &mut Section) {
    let law = &one.fit()["law"];
    let exponent = |of: &str| {
        let interval = ends(law, &format!("/{of}/exponent_interval"));
        (number(law, &format!("/{of}/exponent")), interval)
    };
    let (size, size_ends) = exponent("params");
    let (tokens, tokens_ends) = exponent("tokens");
    let sentence = format!(
        "{}: N* grows as C to the power {}, D* as C to the power {}, over {} from {} to {} FLOPs",
        one.label(),
        with_range(size, size_ends, decimal),
        with_range(tokens, tokens_ends, decimal),
        counted(budgets, "budget"),
        flops(number(law, "/flops_range/0")),
        flops(number(law, "/flops_range/1")),
    );
    match size_ends {
        None => laws.unsettled.push(format!(
            "{sentence}: so few budgets leave nothing to judge the law by; three or more would give intervals."
        )),
        Some((low, high)) if low <= 0.0 && high >= 0.0 => {
            laws.unsettled.push(format!(
                "{sentence}: whether N* grows at all is not settled; more budgets, sizes or seeds would."
            ));
        }
        Some((low, high)) => {
            laws.found.push(format!("{sentence}."));
            if high - low > WIDE {
                laws.unsettled.push(format!(
                    "{}: the exponent of N* is known only to {low:.2} to {high:.2}; more budgets, sizes or seeds would narrow it.",
                    one.label()
                ));
            }
        }
    }
}

/// The architectures beside each other at the largest budget that both have, context by context.
fn compare(fitted: &[Fitted], laws: &mut Section) {
    for (place, one) in fitted.iter().enumerate() {
        for other in fitted.iter().skip(place + 1).filter(|other| other.value("ctx") == one.value("ctx")) {
            let empty = Vec::new();
            let of = |fitted: &Fitted| fitted.fit()["profiles"].as_array().unwrap_or(&empty).clone();
            let theirs = of(other);
            let shared = of(one).into_iter().rev().find_map(|mine| {
                let same = theirs.iter().find(|profile| profile["budget"] == mine["budget"])?.clone();
                Some((mine, same))
            });
            let Some((mine, same)) = shared else { continue };
            let place = format!("At {} FLOPs and context {}", flops(number(&mine, "/budget")), one.value("ctx"));
            let names = [architecture(one.value("arch")), architecture(other.value("arch"))];
            for (what, value, interval, write) in [
                ("the optimal size", "/params/optimum", "/params/optimum_interval", count as fn(f64) -> String),
                ("the loss at the optimum", "/params/loss", "/params/loss_interval", decimal),
            ] {
                let [a, b] = [&mine, &same].map(|profile| (number(profile, value), ends(profile, interval)));
                let sentence = format!(
                    "{place} {what} is {} for {} and {} for {}",
                    with_range(a.0, a.1, write),
                    names[0],
                    with_range(b.0, b.1, write),
                    names[1]
                );
                match (a.1, b.1) {
                    _ if !(inside(&mine) && inside(&same)) => laws.unsettled.push(format!(
                        "{sentence}, but not both optima are among the sizes tried: the figures are extrapolated."
                    )),
                    (Some(first), Some(second)) if !overlap(first, second) => {
                        laws.found.push(format!("{sentence}: the intervals are apart."));
                    }
                    (Some(_), Some(_)) => laws
                        .unsettled
                        .push(format!("{sentence}: the intervals overlap, so this does not tell which is larger.")),
                    _ => laws
                        .unsettled
                        .push(format!("{sentence}: without intervals this does not tell which is larger.")),
                }
            }
        }
    }
}

//! `gradus predict`: sizes, tokens, losses and compute from a saved fit.

use clap::{ArgGroup, Args};
use gradus_fit::FitError;
use gradus_fit::predict::{Query, predict, to_json};
use gradus_fit::report::quantity;
use std::path::PathBuf;

/// Predicts from the JSON that `gradus fit isoflop` or `gradus fit loss-surface` printed.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true).args(["compute", "params", "tokens", "loss"]))]
pub struct PredictArgs {
    /// File with the JSON of a fit.
    #[arg(long, value_name = "FIT.json")]
    law: PathBuf,
    /// Training FLOPs.
    #[arg(long, conflicts_with_all = ["params", "tokens", "loss"])]
    compute: Option<f64>,
    /// Parameters; with --tokens the loss of that run.
    #[arg(long, conflicts_with = "loss")]
    params: Option<f64>,
    /// Training tokens.
    #[arg(long, conflicts_with = "loss")]
    tokens: Option<f64>,
    /// Loss to be reached.
    #[arg(long)]
    loss: Option<f64>,
    /// Level of the intervals.
    #[arg(long, default_value_t = 0.95)]
    level: f64,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Runs the verb and returns what it says.
///
/// # Errors
/// A query that is not one, or a file that is not a fit.
pub fn run(args: PredictArgs) -> Result<String, FitError> {
    let query = match (args.compute, args.params, args.tokens, args.loss) {
        (Some(c), None, None, None) => Query::Compute(c),
        (None, Some(n), Some(d), None) => Query::Run(n, d),
        (None, Some(n), None, None) => Query::Params(n),
        (None, None, Some(d), None) => Query::Tokens(d),
        (None, None, None, Some(l)) => Query::Loss(l),
        _ => return Err(FitError::Data("give one of --compute, --params, --tokens, --loss".into())),
    };
    if !(args.level > 0.0 && args.level < 1.0) {
        return Err(FitError::Data(format!("--level must lie between 0 and 1, not {}", args.level)));
    }
    let path = args.law.display().to_string();
    let failed = |problem: String| FitError::File { path: path.clone(), problem };
    let law = std::fs::read_to_string(&args.law).map_err(|e| failed(format!("cannot be read: {e}")))?;
    let document = serde_json::from_str(&law).map_err(|e| failed(format!("is not JSON: {e}")))?;
    let predictions = predict(&document, query, args.level)?;
    if args.json {
        return Ok(format!("{:#}\n", to_json(&predictions, args.level)));
    }
    let mut text = String::new();
    for prediction in &predictions {
        let group: Vec<String> = prediction.group.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        if !group.is_empty() {
            text.push_str(&format!("── {} ──\n", group.join(", ")));
        }
        for (name, e) in &prediction.values {
            let level = 100.0 * args.level;
            let (value, low, high) = (quantity(e.value), quantity(e.low), quantity(e.high));
            text.push_str(&format!("{name:>8}  {value}   {level:.0} %: {low} to {high}\n"));
        }
        for note in &prediction.notes {
            text.push_str(&format!("note: {note}\n"));
        }
    }
    Ok(text)
}

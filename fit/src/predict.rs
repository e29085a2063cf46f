//! Predictions from a saved fit: the best size, tokens and loss at a compute budget, or the compute that a
//! size, a number of tokens or a loss asks for.

use crate::FitError;
use crate::laws::loss_surface::LossSurface;
use crate::laws::optimum_law::wider;
use crate::statistics::distribution::student_quantile;
use serde_json::{Value, json};

/// What is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Query {
    /// Training FLOPs.
    Compute(f64),
    /// Parameters.
    Params(f64),
    /// Training tokens.
    Tokens(f64),
    /// Loss to be reached.
    Loss(f64),
    /// Parameters and tokens: what loss?
    Run(f64, f64),
}

/// A value with its interval; the ends are infinite where the fit knows none.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A prediction of one group.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The group's values.
    pub group: Vec<(String, String)>,
    /// Quantity (`compute`, `params`, `tokens`, `loss`) and estimate.
    pub values: Vec<(String, Estimate)>,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// FLOPs of a parameter and token, where the law knows only N and D.
const FLOPS_PER_PAIR: f64 = 6.0;

/// Predicts for every group of a saved fit.
pub fn predict(document: &Value, query: Query, level: f64) -> Result<Vec<Prediction>, FitError> {
    let (given, name) = match query {
        Query::Compute(v) => (vec![v], "--compute"),
        Query::Params(v) => (vec![v], "--params"),
        Query::Tokens(v) => (vec![v], "--tokens"),
        Query::Loss(v) => (vec![v], "--loss"),
        Query::Run(n, d) => (vec![n, d], "--params and --tokens"),
    };
    if given.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
        return Err(FitError::Data(format!("{name} must be above zero, not {given:?}")));
    }
    if document["gradus_fit"] != 1 {
        return Err(FitError::Data("this is not a fit written by `gradus fit --json` (no \"gradus_fit\": 1)".into()));
    }
    let what = document["what"].as_str().unwrap_or("");
    let groups = document["groups"].as_array().ok_or_else(|| missing("groups"))?;
    groups
        .iter()
        .map(|entry| {
            let law = &entry["fit"]["law"];
            let (values, notes) = match what {
                "isoflop" => isoflop(law, query, level)?,
                "loss-surface" => surface(law, query, level)?,
                other => {
                    return Err(FitError::Data(format!(
                        "a fit of `{other}` does not predict sizes; `isoflop` and `loss-surface` do"
                    )));
                }
            };
            let group = entry["group"]
                .as_object()
                .map(|g| g.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or("").to_string())).collect::<Vec<_>>());
            Ok(Prediction { group: group.unwrap_or_default(), values, notes })
        })
        .collect()
}

fn missing(field: &str) -> FitError {
    FitError::Data(format!("the saved fit has no usable field `{field}`"))
}

fn number(value: &Value, field: &str) -> Result<f64, FitError> {
    value[field].as_f64().ok_or_else(|| missing(field))
}

type Values = (Vec<(String, Estimate)>, Vec<String>);

/// A straight line in logarithms as it was saved.
struct Line {
    centre: f64,
    value: f64,
    exponent: f64,
    /// Covariances of (value at the centre, exponent), by columns, with the quantile of each: by the
    /// scatter of the points about the line and, through optima, by the noise of the runs.
    errors: Vec<([f64; 4], f64)>,
}

impl Line {
    fn read(law: &Value, level: f64) -> Result<Self, FitError> {
        let error = |covariance: &str, freedom: &str| {
            let numbers: Option<Vec<f64>> = law[covariance].as_array()?.iter().map(Value::as_f64).collect();
            let freedom = law[freedom].as_u64().unwrap_or(0) as usize;
            Some((numbers?.try_into().ok()?, student_quantile(0.5 + 0.5 * level, freedom)))
        };
        let mut errors = vec![error("covariance", "freedom")];
        if !law["runs_covariance"].is_null() {
            errors.push(error("runs_covariance", "runs_freedom"));
        }
        Ok(Self {
            centre: number(law, "centre")?,
            value: number(law, "ln_value_at_centre")?,
            exponent: number(law, "exponent")?,
            // A covariance that is not known makes the interval infinite.
            errors: errors.into_iter().map(|e| e.unwrap_or(([f64::INFINITY; 4], 1.0))).collect(),
        })
    }

    /// Half width of the interval of ln y at ln x: the widest.
    fn half(&self, ln_x: f64) -> f64 {
        let dx = ln_x - self.centre;
        self.errors.iter().fold(0.0, |widest, ([a, b, c, d], quantile)| {
            wider(widest, quantile * (a + (b + c) * dx + d * dx * dx).max(0.0).sqrt())
        })
    }

    fn forward(&self, x: f64) -> Estimate {
        let ln = self.value + self.exponent * (x.ln() - self.centre);
        let half = self.half(x.ln());
        Estimate { value: ln.exp(), low: (ln - half).exp(), high: (ln + half).exp() }
    }

    /// x for a given y. The interval holds every x at whose own interval y lies (Fieller's way), so it is
    /// longer where the line is less sure, and unbounded where the exponent could be 0.
    fn inverse(&self, y: f64) -> Estimate {
        let middle = (y.ln() - self.value) / self.exponent + self.centre;
        let outside = |ln_x: f64| (self.exponent * (ln_x - middle)).abs() > self.half(ln_x);
        let end = |sign: f64| {
            let mut step = 1e-6;
            while !outside(middle + sign * step) {
                step *= 2.0;
                if step > 1e3 {
                    return sign * f64::INFINITY;
                }
            }
            let (mut inside, mut beyond) = (0.5 * step, step);
            for _ in 0..60 {
                let half = 0.5 * (inside + beyond);
                if outside(middle + sign * half) { beyond = half } else { inside = half }
            }
            middle + sign * inside
        };
        Estimate { value: middle.exp(), low: end(-1.0).exp(), high: end(1.0).exp() }
    }
}

/// Says when a prediction leaves the runs the law was fitted to.
fn beyond(range: &Value, value: f64, what: &str) -> Option<String> {
    let (low, high) = (range[0].as_f64()?, range[1].as_f64()?);
    // Budgets and sizes are chosen roughly; a little outside is inside.
    let outside = value < low / 1.2 || value > high * 1.2;
    outside.then(|| format!("{what} {value:.2e} lies outside the runs ({low:.2e} to {high:.2e}): an extrapolation"))
}

fn isoflop(law: &Value, query: Query, level: f64) -> Result<Values, FitError> {
    let [params, tokens, loss] = ["params", "tokens", "loss"].map(|k| Line::read(&law[k], level));
    let (params, tokens, loss) = (params?, tokens?, loss?);
    let compute = match query {
        Query::Compute(c) => Estimate { value: c, low: c, high: c },
        Query::Params(n) => params.inverse(n),
        Query::Tokens(d) => tokens.inverse(d),
        Query::Loss(l) => loss.inverse(l),
        Query::Run(..) => {
            return Err(FitError::Data(
                "isoflop laws know optimal runs only: give --params or --tokens, or use a loss-surface fit".into(),
            ));
        }
    };
    let values = vec![
        ("compute".to_string(), compute),
        ("params".to_string(), params.forward(compute.value)),
        ("tokens".to_string(), tokens.forward(compute.value)),
        ("loss".to_string(), loss.forward(compute.value)),
    ];
    Ok((values, beyond(&law["flops_range"], compute.value, "compute").into_iter().collect()))
}

/// The surface's parameters with their covariance.
struct Surface {
    parameters: Vec<f64>,
    free: Vec<usize>,
    covariance: Vec<f64>,
    quantile: f64,
}

impl Surface {
    fn read(law: &Value, level: f64) -> Result<Self, FitError> {
        let list = |field: &str| -> Result<Vec<f64>, FitError> {
            law[field].as_array().and_then(|l| l.iter().map(Value::as_f64).collect()).ok_or_else(|| missing(field))
        };
        let (parameters, free, covariance) = (list("parameters")?, list("free")?, list("covariance")?);
        let free: Vec<usize> = free.into_iter().map(|j| j as usize).collect();
        if parameters.len() != 6 || free.iter().any(|j| *j >= 6) || covariance.len() != free.len() * free.len() {
            return Err(missing("parameters"));
        }
        let quantile = student_quantile(0.5 + 0.5 * level, law["freedom"].as_u64().unwrap_or(0) as usize);
        Ok(Self { parameters, free, covariance, quantile })
    }

    /// A quantity's interval from its derivatives, taken by central differences, in its logarithm.
    fn estimate(&self, quantity: impl Fn(&[f64]) -> f64) -> Estimate {
        let middle = quantity(&self.parameters).ln();
        let gradient: Vec<f64> = self
            .free
            .iter()
            .enumerate()
            .map(|(k, &j)| {
                // A thousandth of the standard error: small beside what matters, large beside rounding.
                let step = 1e-3 * self.covariance[k * self.free.len() + k].max(1e-24).sqrt();
                let at = |sign: f64| {
                    let mut p = self.parameters.clone();
                    p[j] += sign * step;
                    quantity(&p).ln()
                };
                (at(1.0) - at(-1.0)) / (2.0 * step)
            })
            .collect();
        let n = self.free.len();
        let mut variance = 0.0;
        for (a, ga) in gradient.iter().enumerate() {
            for (b, gb) in gradient.iter().enumerate() {
                variance += ga * gb * self.covariance[a * n + b];
            }
        }
        let half = self.quantile * variance.max(0.0).sqrt();
        Estimate { value: middle.exp(), low: (middle - half).exp(), high: (middle + half).exp() }
    }
}

fn loss_at(p: &[f64], params: f64, tokens: f64) -> f64 {
    LossSurface::ln_loss(params.ln(), tokens.ln(), p).exp()
}

/// N that minimises A·N^−α + B·D^−β with 6·N·D = C: the derivative vanishes at
/// α·A·N^−α = β·B·D^−β.
fn optimal_params(p: &[f64], compute: f64) -> f64 {
    let pair = (compute / FLOPS_PER_PAIR).ln();
    let ln = (p[3].ln() + p[0] - p[4].ln() - p[1] + p[4] * pair) / (p[3] + p[4]);
    ln.exp()
}

/// FLOPs at which the frontier satisfies `goal(C) = 0`, a falling or rising function; by bisection in ln C.
fn solve(goal: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (10f64.ln() * 10.0, 10f64.ln() * 40.0);
    let sign = goal(low.exp()).signum();
    if goal(high.exp()).signum() == sign {
        return f64::NAN;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if goal(middle.exp()).signum() == sign {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

fn surface(law: &Value, query: Query, level: f64) -> Result<Values, FitError> {
    let surface = Surface::read(law, level)?;
    if let Query::Run(n, d) = query {
        let exact = |v: f64| Estimate { value: v, low: v, high: v };
        let values = vec![
            ("compute".to_string(), exact(FLOPS_PER_PAIR * n * d)),
            ("params".to_string(), exact(n)),
            ("tokens".to_string(), exact(d)),
            ("loss".to_string(), surface.estimate(|p| loss_at(p, n, d))),
        ];
        return Ok((values, notes(law, n, d)));
    }
    let at = move |p: &[f64]| -> f64 {
        let best_loss = |c: f64| {
            let n = optimal_params(p, c);
            loss_at(p, n, c / FLOPS_PER_PAIR / n)
        };
        match query {
            Query::Compute(c) => c,
            Query::Params(n) => solve(|c| optimal_params(p, c) - n),
            Query::Tokens(d) => solve(|c| c / FLOPS_PER_PAIR / optimal_params(p, c) - d),
            Query::Loss(l) => solve(|c| best_loss(c) - l),
            Query::Run(n, d) => FLOPS_PER_PAIR * n * d,
        }
    };
    let compute = at(&surface.parameters);
    if !compute.is_finite() {
        let floor = surface.parameters[2].exp();
        return Err(FitError::Data(format!(
            "this law reaches that at no compute between 1e10 and 1e40 FLOPs (its irreducible loss is {floor:.4})"
        )));
    }
    let params = |p: &[f64]| optimal_params(p, at(p));
    let tokens = |p: &[f64]| at(p) / FLOPS_PER_PAIR / optimal_params(p, at(p));
    let values = vec![
        ("compute".to_string(), surface.estimate(at)),
        ("params".to_string(), surface.estimate(params)),
        ("tokens".to_string(), surface.estimate(tokens)),
        ("loss".to_string(), surface.estimate(|p| loss_at(p, params(p), tokens(p)))),
    ];
    let [n, d] = [params(&surface.parameters), tokens(&surface.parameters)];
    Ok((values, notes(law, n, d)))
}

/// What a prediction of the surface assumes.
fn notes(law: &Value, params: f64, tokens: f64) -> Vec<String> {
    let ranges = [("params_range", params, "parameters"), ("tokens_range", tokens, "tokens")];
    let outside = ranges.into_iter().filter_map(|(field, value, what)| beyond(&law[field], value, what));
    std::iter::once("compute counted as 6·N·D".to_string()).chain(outside).collect()
}

/// The JSON of predictions.
pub fn to_json(predictions: &[Prediction], level: f64) -> Value {
    let list: Vec<Value> = predictions
        .iter()
        .map(|p| {
            let group: serde_json::Map<String, Value> =
                p.group.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect();
            let values: serde_json::Map<String, Value> = p.values.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            json!({ "group": group, "values": values, "notes": p.notes })
        })
        .collect();
    json!({ "gradus_prediction": 1, "level": level, "predictions": list })
}

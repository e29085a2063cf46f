//! The command line of `gradus fit`, and what it asks of the fitter.

use clap::{Args, Subcommand, ValueEnum};
use gradus_fit::laws::{loss_surface, timing};
use gradus_fit::report::{CurveSettings, TimingKind, TimingSettings, What};
use gradus_fit::table::Table;
use gradus_fit::{FitError, Loss, Parameter, Transform};
use std::path::PathBuf;

/// Fits a law to a CSV file.
#[derive(Debug, Args)]
pub struct FitArgs {
    #[command(subcommand)]
    pub(super) what: Subject,
}

/// What every law takes.
#[derive(Debug, Args)]
pub struct Input {
    /// CSV file with a header.
    pub(super) file: PathBuf,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(super) json: bool,
    /// Draw to a file: `.svg` or `.png`.
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
    /// One fit for each combination of these columns' values.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(super) group: Vec<String>,
    /// Rows to use, such as `selected == 1 and ctx >= 2048`.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(super) condition: Option<String>,
    /// Column of weights.
    #[arg(long, value_name = "COLUMN")]
    pub(super) weight: Option<String>,
    /// A column under another name, such as `val_loss=loss`.
    #[arg(long = "column", value_name = "NAME=OTHER", value_parser = pair)]
    pub(super) columns: Vec<(String, String)>,
    /// Level of the intervals [default: 0.95].
    #[arg(long)]
    pub(super) level: Option<f64>,
    /// Bootstrap refits, 0 for none [default: 1000].
    #[arg(long)]
    pub(super) bootstrap: Option<usize>,
    /// Seed of the bootstrap and of spread starts [default: 0].
    #[arg(long)]
    pub(super) seed: Option<u64>,
}

impl Input {
    /// Refuses options that the law has no use for: what is given and ignored misleads.
    pub(super) fn refuse_unused(&self, what: &What) -> Result<(), FitError> {
        let (name, used): (&str, &[&str]) = match what {
            What::LossSurface(_) => ("loss-surface", &["--weight", "--level", "--bootstrap", "--seed"]),
            What::Isoflop(_) => ("isoflop", &["--weight", "--level", "--bootstrap", "--seed"]),
            What::Curve(_) => ("curve", &["--weight", "--level", "--bootstrap", "--seed"]),
            What::PowerLaw { offset: true, .. } => ("power-law", &["--weight", "--level", "--bootstrap", "--seed"]),
            What::PowerLaw { .. } => ("power-law` without `--offset", &["--weight", "--level"]),
            What::Overtraining => ("overtraining", &["--weight", "--level"]),
            What::Context => ("context", &["--weight", "--level"]),
            What::Pareto(_) => ("pareto", &["--level", "--bootstrap", "--seed"]),
            What::Timing(settings) => (settings.kind.name(), &["--weight", "--level", "--bootstrap", "--seed"]),
            What::Roofline(_) => ("roofline", &[]),
            What::Crossing { .. } => ("crossing", &[]),
            What::Minimum { .. } => ("minimum", &[]),
        };
        for (option, given) in [
            ("--weight", self.weight.is_some()),
            ("--level", self.level.is_some()),
            ("--bootstrap", self.bootstrap.is_some()),
            ("--seed", self.seed.is_some()),
        ] {
            if given && !used.contains(&option) {
                return Err(FitError::Data(format!("`gradus fit {name}` has no use for {option}: leave it out")));
            }
        }
        Ok(())
    }
}

/// Whether γ is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Gamma {
    /// Fitted.
    Free,
    /// 1.
    #[value(name = "1")]
    One,
}

/// Form of the loss surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SurfaceForm {
    /// E + A·N^−α + B·D^−β.
    Additive,
    /// E + (A·N^−α + B·D^−β)^γ.
    LogSumExp,
}

/// What is squared in a fit of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TimeResidual {
    /// Differences of logarithms.
    Log,
    /// Differences in milliseconds.
    Ms,
    /// As the published fits: Huber's function of milliseconds, squared.
    Published,
}

/// How compute and memory time combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RooflineForm {
    /// FLOPs alone.
    Compute,
    /// Bytes alone.
    Memory,
    /// The sum.
    Sum,
    /// The longer.
    Max,
    /// A smooth maximum.
    SmoothMax,
}

/// Robust losses of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CurveLoss {
    /// Least squares.
    Linear,
    /// Huber.
    Huber,
    /// Soft L1.
    SoftL1,
    /// Cauchy.
    Cauchy,
    /// Arctan.
    Arctan,
}

/// Settings of a fit of times.
#[derive(Debug, Args)]
pub(super) struct TimeArgs {
    #[command(flatten)]
    input: Input,
    /// What is squared.
    #[arg(long, value_enum, default_value_t = TimeResidual::Log)]
    residual: TimeResidual,
    /// How compute and memory time combine.
    #[arg(long, value_enum)]
    roofline: Option<RooflineForm>,
    /// Sharpness of the smooth maximum in 1/s.
    #[arg(long, default_value_t = 1000.0)]
    sharpness: f64,
    /// CSV file with the models' shapes.
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// Smallest batch used; by default 8 for a step, as in the paper, else any.
    #[arg(long)]
    least_batch: Option<f64>,
    /// Whether a cost a sequence is fitted; by default for a step only.
    #[arg(long, value_name = "BOOL")]
    per_sequence: Option<bool>,
    /// Tokens over which a step's time was averaged: a Transformer's weights are charged once for all of
    /// them, as in the published fits. 1 charges every step with its weights.
    #[arg(long, default_value_t = 100.0)]
    generated: f64,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subject {
    /// L(N, D) from parameters, tokens and losses.
    LossSurface {
        #[command(flatten)]
        input: Input,
        /// Whether γ is fitted.
        #[arg(long, value_enum)]
        gamma: Option<Gamma>,
        /// Scale δ of the Huber loss of ln L.
        #[arg(long, value_name = "DELTA", default_value_t = 1e-3)]
        huber: f64,
        /// Form of the law.
        #[arg(long, value_enum, default_value_t = SurfaceForm::LogSumExp)]
        law: SurfaceForm,
        /// So many starts spread over the published grid's box (from --seed), instead of its 8000 points.
        #[arg(long)]
        starts: Option<usize>,
    },
    /// IsoFLOP parabolas and the power laws of their optima.
    Isoflop {
        #[command(flatten)]
        input: Input,
        /// Least mean FLOPs of a budget in the laws.
        #[arg(long, default_value_t = 5e18)]
        from: f64,
        /// Largest mean FLOPs of a budget in the laws.
        #[arg(long, default_value_t = 2e20)]
        to: f64,
    },
    /// y = A·x^p between two columns.
    PowerLaw {
        #[command(flatten)]
        input: Input,
        /// Column of x.
        #[arg(long)]
        x: String,
        /// Column of y.
        #[arg(long)]
        y: String,
        /// Also fit y = A·x^p + c.
        #[arg(long)]
        offset: bool,
    },
    /// Compute-optimal size over context length.
    Context {
        #[command(flatten)]
        input: Input,
    },
    /// Slopes of loss over compute at each ratio of tokens to parameters.
    Overtraining {
        #[command(flatten)]
        input: Input,
    },
    /// Frontier of loss over compute.
    Pareto {
        #[command(flatten)]
        input: Input,
        /// Also the best run in each of so many bins a decade, and the laws of N and D along them.
        #[arg(long)]
        bins: Option<usize>,
    },
    /// Time to first token.
    Ttft(TimeArgs),
    /// Time of a generation step.
    StepTime(TimeArgs),
    /// FLOP/s over FLOPs a byte of prefills and steps, under the highest rates that any of them reached.
    Roofline {
        #[command(flatten)]
        input: Input,
        /// CSV file with the models' shapes, where the table has no FLOPs and bytes.
        #[arg(long, value_name = "FILE")]
        models: Option<PathBuf>,
    },
    /// Where the curves of two architectures, or of other groups, cross.
    Crossing {
        #[command(flatten)]
        input: Input,
        /// Column of x.
        #[arg(long, default_value = "prefill")]
        x: String,
        /// Column of y.
        #[arg(long)]
        y: String,
        /// Column whose values have a curve each.
        #[arg(long, default_value = "arch")]
        by: String,
    },
    /// Where a curve is lowest, such as the loss over the learning rate.
    Minimum {
        #[command(flatten)]
        input: Input,
        /// Column of x.
        #[arg(long)]
        x: String,
        /// Column of y.
        #[arg(long)]
        y: String,
    },
    /// Any formula.
    Curve {
        #[command(flatten)]
        input: Input,
        /// The formula, such as `b1*(1-exp(-b2*x))`.
        #[arg(long)]
        model: String,
        /// Parameters with their starts, such as `b1=500,b2=1e-4`.
        #[arg(long, value_delimiter = ',', value_parser = start, required = true)]
        start: Vec<(String, f64)>,
        /// Column of the measured values.
        #[arg(long, default_value = "y")]
        y: String,
        /// Robust loss.
        #[arg(long, value_enum, default_value_t = CurveLoss::Linear)]
        loss: CurveLoss,
        /// Scale of the robust loss.
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
        /// Starts tried, the given one first.
        #[arg(long, default_value_t = 64)]
        starts: usize,
        /// Powers of ten below and above the given start over which the others are spread.
        #[arg(long, default_value_t = 2.0)]
        decades: f64,
        /// Bounds, such as `b1=0:10`; either end may be left out.
        #[arg(long, value_name = "NAME=LOW:HIGH", value_delimiter = ',', value_parser = bound)]
        bound: Vec<(String, (f64, f64))>,
        /// Parameters held at their start.
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        fix: Vec<String>,
        /// Parameters searched by their logarithm, which keeps them above zero.
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        log: Vec<String>,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(a, b)| (a.trim().to_string(), b.trim().to_string()))
        .ok_or_else(|| format!("`{text}` is not NAME=OTHER"))
}

fn start(text: &str) -> Result<(String, f64), String> {
    let (name, value) = pair(text)?;
    let value = value.parse().map_err(|_| format!("`{value}`, the start of {name}, is not a number"))?;
    Ok((name, value))
}

fn bound(text: &str) -> Result<(String, (f64, f64)), String> {
    let (name, range) = pair(text)?;
    let (low, high) =
        range.split_once(':').ok_or_else(|| format!("`{range}`, the bounds of {name}, is not LOW:HIGH"))?;
    let end = |text: &str, open: f64| match text.trim() {
        "" => Ok(open),
        number => number.parse().map_err(|_| format!("`{number}`, a bound of {name}, is not a number")),
    };
    let ends = (end(low, f64::NEG_INFINITY)?, end(high, f64::INFINITY)?);
    Ok((name, ends))
}

/// The parameters of a curve with their starts, bounds and transforms.
fn curve_parameters(
    starts: Vec<(String, f64)>,
    bounds: Vec<(String, (f64, f64))>,
    fixed: &[String],
    logarithmic: &[String],
) -> Result<Vec<Parameter>, FitError> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for (name, start) in starts {
        if parameters.iter().any(|p| p.name == name) {
            return Err(FitError::Data(format!("--start gives `{name}` twice")));
        }
        parameters.push(Parameter::new(name, start));
    }
    let known: Vec<String> = parameters.iter().map(|p| p.name.clone()).collect();
    let at = |flag: &str, name: &String| {
        let place = known.iter().position(|k| k == name);
        place.ok_or_else(|| FitError::Data(format!("{flag}: no parameter `{name}`; --start has {}", known.join(", "))))
    };
    for (name, (low, high)) in &bounds {
        let j = at("--bound", name)?;
        parameters[j] = parameters[j].clone().bounds(*low, *high);
    }
    for name in fixed {
        parameters[at("--fix", name)?].fixed = true;
    }
    for name in logarithmic {
        parameters[at("--log", name)?].transform = Transform::Log;
    }
    Ok(parameters)
}

fn positive(flag: &str, value: f64) -> Result<f64, FitError> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(FitError::Data(format!("{flag} must be above zero, not {value}")))
}

/// The law, its input, and what is asked of it.
pub(super) fn plan(law: Subject) -> Result<(What, Input), FitError> {
    Ok(match law {
        Subject::LossSurface { input, gamma, huber, law, starts } => {
            let additive = law == SurfaceForm::Additive;
            if additive && gamma == Some(Gamma::Free) {
                return Err(FitError::Data("--law additive has gamma 1: leave out --gamma free".into()));
            }
            let free_gamma = !additive && gamma != Some(Gamma::One);
            let huber_delta = positive("--huber", huber)?;
            let spread = starts.map(|count| (count, input.seed.unwrap_or(0)));
            let settings = loss_surface::Settings { huber_delta, free_gamma, spread, ..Default::default() };
            (What::LossSurface(settings), input)
        }
        Subject::Isoflop { input, from, to } => (What::Isoflop((from, to)), input),
        Subject::PowerLaw { input, x, y, offset } => (What::PowerLaw { x, y, offset }, input),
        Subject::Context { input } => (What::Context, input),
        Subject::Overtraining { input } => (What::Overtraining, input),
        Subject::Pareto { bins: Some(0), .. } => return Err(FitError::Data("--bins must be above zero".into())),
        Subject::Pareto { input, bins } => (What::Pareto(bins), input),
        Subject::Ttft(args) => time(TimingKind::FirstToken, args)?,
        Subject::StepTime(args) => time(TimingKind::Step, args)?,
        Subject::Roofline { input, models } => {
            let models = models.as_deref().map(Table::read).transpose()?;
            (What::Roofline(TimingSettings { models, ..TimingSettings::new(TimingKind::Step) }), input)
        }
        Subject::Minimum { input, x, y } => (What::Minimum { x, y }, input),
        Subject::Crossing { input, x, y, by } => (What::Crossing { x, y, by }, input),
        Subject::Curve { input, model, start, y, loss, scale, starts, decades, bound, fix, log } => {
            let scale = positive("--scale", scale)?;
            let loss = match loss {
                CurveLoss::Linear => Loss::Squares,
                CurveLoss::Huber => Loss::Huber(scale),
                CurveLoss::SoftL1 => Loss::SoftL1(scale),
                CurveLoss::Cauchy => Loss::Cauchy(scale),
                CurveLoss::Arctan => Loss::Arctan(scale),
            };
            let parameters = curve_parameters(start, bound, &fix, &log)?;
            let (starts, decades) = (starts.max(1), positive("--decades", decades)?);
            let settings = CurveSettings { loss, starts, decades, ..CurveSettings::new(&model, parameters, &y) };
            (What::Curve(settings), input)
        }
    })
}

fn time(kind: TimingKind, args: TimeArgs) -> Result<(What, Input), FitError> {
    let sharpness = positive("--sharpness", args.sharpness)?;
    let roofline = args.roofline.map(|form| match form {
        RooflineForm::Compute => timing::Roofline::Compute,
        RooflineForm::Memory => timing::Roofline::Memory,
        RooflineForm::Sum => timing::Roofline::Sum,
        RooflineForm::Max => timing::Roofline::Max,
        RooflineForm::SmoothMax => timing::Roofline::SmoothMax(sharpness),
    });
    let residual = match args.residual {
        TimeResidual::Log => timing::Residual::Logarithm,
        TimeResidual::Ms => timing::Residual::Milliseconds,
        TimeResidual::Published => timing::Residual::SquaredHuber(1.0),
    };
    let models = args.models.as_deref().map(Table::read).transpose()?;
    let settings = TimingSettings {
        roofline,
        residual,
        models,
        least_batch: args.least_batch,
        per_sequence: args.per_sequence,
        generated: positive("--generated", args.generated)?,
        ..TimingSettings::new(kind)
    };
    Ok((What::Timing(settings), args.input))
}

//! `gradus fit`: laws from tables of runs and times.

use clap::{Args, Subcommand, ValueEnum};
use gradus_fit::laws::{loss_surface, timing};
use gradus_fit::report::{CurveSettings, Request, TimingKind, TimingSettings, What, report};
use gradus_fit::table::Table;
use gradus_fit::{FitError, Loss, Parameter, plot};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Fits a law to a CSV file.
#[derive(Debug, Args)]
pub struct FitArgs {
    #[command(subcommand)]
    what: Subject,
}

/// What every law takes.
#[derive(Debug, Args)]
pub struct Input {
    /// CSV file with a header.
    file: PathBuf,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Draw to a file: `.svg` or `.png`.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// One fit for each combination of these columns' values.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    group: Vec<String>,
    /// Rows to use, such as `selected == 1 and ctx >= 2048`.
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
    /// Column of weights.
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// A column under another name, such as `val_loss=loss`.
    #[arg(long = "column", value_name = "NAME=OTHER", value_parser = pair)]
    columns: Vec<(String, String)>,
    /// Level of the intervals.
    #[arg(long, default_value_t = 0.95)]
    level: f64,
    /// Bootstrap refits, 0 for none.
    #[arg(long, default_value_t = 1000)]
    bootstrap: usize,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Whether γ is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Gamma {
    /// Fitted.
    Free,
    /// 1.
    #[value(name = "1")]
    One,
}

/// Form of the loss surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SurfaceForm {
    /// E + A·N^−α + B·D^−β.
    Additive,
    /// E + (A·N^−α + B·D^−β)^γ.
    LogSumExp,
}

/// What is squared in a fit of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimeResidual {
    /// Differences of logarithms.
    Log,
    /// Differences in milliseconds.
    Ms,
    /// As the published fits: Huber's function of milliseconds, squared.
    Published,
}

/// How compute and memory time combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RooflineForm {
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
enum CurveLoss {
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
struct TimeArgs {
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
    /// Smallest batch used.
    #[arg(long)]
    least_batch: Option<f64>,
}

#[derive(Debug, Subcommand)]
enum Subject {
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
    },
    /// Time to first token.
    Ttft(TimeArgs),
    /// Time of a generation step.
    StepTime(TimeArgs),
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

fn positive(flag: &str, value: f64) -> Result<f64, FitError> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(FitError::Data(format!("{flag} must be above zero, not {value}")))
}

/// The law, its input, and what is asked of it.
fn plan(law: Subject) -> Result<(What, Input), FitError> {
    Ok(match law {
        Subject::LossSurface { input, gamma, huber, law } => {
            let additive = law == SurfaceForm::Additive;
            if additive && gamma == Some(Gamma::Free) {
                return Err(FitError::Data("--law additive has gamma 1: leave out --gamma free".into()));
            }
            let free_gamma = !additive && gamma != Some(Gamma::One);
            let huber_delta = positive("--huber", huber)?;
            (What::LossSurface(loss_surface::Settings { huber_delta, free_gamma, ..Default::default() }), input)
        }
        Subject::Isoflop { input, from, to } => (What::Isoflop((from, to)), input),
        Subject::PowerLaw { input, x, y, offset } => (What::PowerLaw { x, y, offset }, input),
        Subject::Context { input } => (What::Context, input),
        Subject::Overtraining { input } => (What::Overtraining, input),
        Subject::Pareto { input } => (What::Pareto, input),
        Subject::Ttft(args) => time(TimingKind::FirstToken, args)?,
        Subject::StepTime(args) => time(TimingKind::Step, args)?,
        Subject::Curve { input, model, start, y, loss, scale, starts } => {
            let scale = positive("--scale", scale)?;
            let loss = match loss {
                CurveLoss::Linear => Loss::Squares,
                CurveLoss::Huber => Loss::Huber(scale),
                CurveLoss::SoftL1 => Loss::SoftL1(scale),
                CurveLoss::Cauchy => Loss::Cauchy(scale),
                CurveLoss::Arctan => Loss::Arctan(scale),
            };
            let parameters = start.into_iter().map(|(name, value)| Parameter::new(name, value)).collect();
            let settings = CurveSettings { loss, starts: starts.max(1), ..CurveSettings::new(&model, parameters, &y) };
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
    let least_batch = args.least_batch;
    let settings = TimingSettings { roofline, residual, models, least_batch, ..TimingSettings::new(kind) };
    Ok((What::Timing(settings), args.input))
}

/// Runs the verb and returns what it says: everything is computed before anything is written.
///
/// # Errors
/// A file, column or value that is wrong, by name; a fit that cannot be made.
pub fn run(args: FitArgs) -> Result<String, FitError> {
    let (what, input) = plan(args.what)?;
    if !(input.level > 0.0 && input.level < 1.0) {
        return Err(FitError::Data(format!("--level must lie between 0 and 1, not {}", input.level)));
    }
    let mut table = Table::read(&input.file)?;
    table.rename(&input.columns)?;
    if let Some(condition) = &input.condition {
        table = table.filter(condition)?;
    }
    let request = Request {
        what,
        group: input.group,
        weight: input.weight,
        condition: input.condition,
        level: input.level,
        bootstrap: input.bootstrap,
        seed: input.seed,
    };
    let made = report(table, &request)?;
    if let Some(path) = &input.plot {
        draw(path, &made.plots())?;
    }
    if input.json {
        return Ok(format!("{:#}\n", made.json()));
    }
    let mut text = made.text().to_string();
    if std::io::stdout().is_terminal() {
        for diagram in made.plots().iter().take(4) {
            text.push_str(&format!("\n{}\n", plot::terminal(diagram, 72, 18)));
        }
    }
    Ok(text)
}

/// Writes beside the path and renames, so that no half a file is ever there.
fn draw(path: &Path, plots: &[plot::Plot]) -> Result<(), FitError> {
    let failed = |problem: String| FitError::File { path: path.display().to_string(), problem };
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => plot::svg(plots).into_bytes(),
        Some("png") => plot::png(plots)?,
        _ => return Err(failed("a plot is written as .svg or .png".into())),
    };
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|e| failed(format!("cannot be written: {e}")))
}

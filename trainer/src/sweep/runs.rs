//! The runs that follow from a plan: shapes, steps, batch and learning rate, each with its exact FLOPs.

use gradus_models::configuration::{Architecture, ModelConfiguration};

use super::plan::{Plan, Study};
use super::shapes::{around_optimum, candidates, flops_per_token, named, parameters};
use crate::configuration::{Configuration, Data};
use crate::counting::shape;
use crate::error::{Result, TrainerError};
use crate::figures;

/// A run has at least so many steps: rounding to whole steps then misses the budget by at most 1 %.
pub const LEAST_STEPS: u64 = 50;

/// A run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// The name of its folder.
    pub name: String,
    /// The FLOPs that it is to spend.
    pub budget: f64,
    /// The tokens a parameter that it is to see, in a study of over-training.
    pub ratio: Option<f64>,
    /// The multiple of the learning rate that it has, in a study of learning rates.
    pub factor: Option<f64>,
    /// Everything it does; the device is left open.
    pub configuration: Configuration,
    /// Its steps.
    pub steps: u64,
}

impl PlannedRun {
    /// N, both embeddings included.
    pub fn parameters(&self) -> u64 {
        parameters(&self.configuration.model)
    }

    /// N without the embedding and the output head.
    pub fn parameters_without_embeddings(&self) -> u64 {
        let counts = self.configuration.model.parameters();
        counts.total() - counts.embedding - counts.output_head
    }

    /// D: tokens trained on, those seen again included.
    pub fn tokens(&self) -> u64 {
        self.steps * self.configuration.tokens_per_step() as u64
    }

    /// C: FLOPs of all steps, by the published counts.
    pub fn flops(&self) -> f64 {
        self.steps as f64 * flops_per_step(&self.configuration)
    }
}

fn flops_per_step(configuration: &Configuration) -> f64 {
    let context = configuration.model.context_length as u64;
    shape(&configuration.model).training_flops(context, configuration.train.batch as f64)
}

/// Tokens of a step for a budget of C FLOPs: 0.2920·C^0.3271 (DeepSeek LLM, Bi and others 2024, arXiv 2401.02954, equation 1).
pub fn batch_tokens(budget: f64) -> f64 {
    0.2920 * budget.powf(0.3271)
}

/// Peak learning rate for a budget of C FLOPs: 0.3118·C^−0.1250 (the same).
pub fn learning_rate(budget: f64) -> f64 {
    0.3118 * budget.powf(-0.1250)
}

/// Every run of a plan, in the order in which they are made: by FLOPs, so that a sweep which is cut short has whole profiles.
///
/// # Errors
/// If a budget cannot be met by enough sizes, or a model has no kernels.
pub fn runs(plan: &Plan) -> Result<Vec<PlannedRun>> {
    let mut all = Vec::new();
    for context in &plan.contexts {
        for architecture in &plan.architectures {
            let candidates = candidates(plan, *architecture, *context)?;
            let of = (*architecture, *context);
            all.extend(match plan.study {
                Study::Isoflop | Study::LearningRate => isoflop(plan, of, &candidates)?,
                Study::Overtraining => overtraining(plan, of, &candidates)?,
            });
        }
    }
    all.sort_by(|left, right| left.budget.total_cmp(&right.budget));
    Ok(all)
}

/// At each budget several sizes, in a study of learning rates each at several of them.
fn isoflop(plan: &Plan, of: (Architecture, usize), candidates: &[ModelConfiguration]) -> Result<Vec<PlannedRun>> {
    let mut all = Vec::new();
    for budget in &plan.budgets {
        for model in sizes(plan, of, *budget, candidates)? {
            let factors: Vec<Option<f64>> = match plan.study {
                Study::LearningRate => plan.learning_rate_factors.iter().copied().map(Some).collect(),
                _ => vec![None],
            };
            for factor in factors {
                let target = Target { budget: *budget, ratio: None, factor };
                all.extend(plan.seeds.iter().map(|seed| planned(plan, target, model.clone(), *seed)));
            }
        }
    }
    Ok(all)
}

/// At each ratio every size.
fn overtraining(
    plan: &Plan,
    (architecture, context): (Architecture, usize),
    candidates: &[ModelConfiguration],
) -> Result<Vec<PlannedRun>> {
    let refuse = |what: String, hint: &str| TrainerError::Configuration {
        place: "plan".into(),
        message: format!("{architecture} at context {context}: {what}"),
        hint: Some(hint.into()),
    };
    let models = named(plan, candidates);
    if models.len() < plan.parameters.len() {
        let sizes = candidates.iter().map(parameters);
        let (least, most) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
        let what = format!(
            "only {} of the {} sizes in `parameters` are to be had, of models from {least} to {most} parameters",
            models.len(),
            plan.parameters.len()
        );
        return Err(refuse(what, "put the sizes further apart, or use a smaller width_step"));
    }
    let mut all = Vec::new();
    for ratio in &plan.ratios {
        for model in &models {
            let tokens = ratio * parameters(model) as f64;
            let budget = tokens * flops_per_token(model);
            let step = (batch(plan, budget, context) * context) as f64;
            if tokens < LEAST_STEPS as f64 * step {
                let what = format!(
                    "{ratio} tokens a parameter are {tokens} tokens for {} parameters, and {LEAST_STEPS} steps of {step} \
                     tokens are more",
                    parameters(model)
                );
                return Err(refuse(what, "take larger parameters or ratios, or a smaller batch_tokens"));
            }
            let target = Target { budget, ratio: Some(*ratio), factor: None };
            all.extend(plan.seeds.iter().map(|seed| planned(plan, target, model.clone(), *seed)));
        }
    }
    Ok(all)
}

/// Sequences of a step.
fn batch(plan: &Plan, budget: f64, context: usize) -> usize {
    let tokens = plan.batch_tokens.map_or_else(|| batch_tokens(budget), |tokens| tokens as f64);
    ((tokens / context as f64).round() as usize).max(1)
}

fn sizes(
    plan: &Plan,
    (architecture, context): (Architecture, usize),
    budget: f64,
    candidates: &[ModelConfiguration],
) -> Result<Vec<ModelConfiguration>> {
    let tokens = (batch(plan, budget, context) * context) as f64;
    let most_flops = budget / tokens / LEAST_STEPS as f64;
    let chosen = around_optimum(plan, budget, most_flops, candidates);
    if chosen.len() == plan.sizes {
        return Ok(chosen);
    }
    let fits = candidates.iter().filter(|model| flops_per_token(model) <= most_flops).count();
    let least = candidates.iter().map(flops_per_token).fold(f64::INFINITY, f64::min);
    let why = if fits == 0 {
        format!(
            "no size in range meets it: the smallest model needs {}FLOP for {LEAST_STEPS} steps of {tokens} tokens",
            figures::count(least * tokens * LEAST_STEPS as f64) + " "
        )
    } else {
        format!("only {} of {} sizes are to be had, of {fits} in range", chosen.len(), plan.sizes)
    };
    Err(TrainerError::Configuration {
        place: "plan".into(),
        message: format!("budget {budget:e} of {architecture} at context {context}: {why}"),
        hint: Some("change the budget, or use a smaller batch_tokens, width_step or sizes, or a larger spread".into()),
    })
}

/// What a run is to meet.
#[derive(Clone, Copy)]
struct Target {
    budget: f64,
    ratio: Option<f64>,
    factor: Option<f64>,
}

fn planned(plan: &Plan, target: Target, model: ModelConfiguration, seed: u64) -> PlannedRun {
    let Target { budget, ratio, factor } = target;
    let scale = plan.learning_rate_scale.of(model.architecture) * factor.unwrap_or(1.0);
    let mut configuration = Configuration::for_model(model);
    configuration.data = Data {
        path: plan.data.clone(),
        validation_fraction: plan.validation_fraction,
        document_reset: false,
        task: None,
    };
    configuration.optimizer.learning_rate = scale * plan.learning_rate.unwrap_or_else(|| learning_rate(budget));
    // Both architectures are clipped alike, as in the published runs.
    configuration.optimizer.gradient_clip = 0.5;
    configuration.train.batch = batch(plan, budget, configuration.model.context_length);
    configuration.train.seed = seed;
    configuration.precision.mode = plan.precision;
    // The loss that counts is the last; a checkpoint at each quarter is what a killed sweep goes on from.
    configuration.evaluation.interval = 1.0;
    configuration.evaluation.short_sample_tokens = 0;
    configuration.evaluation.tokens = plan.evaluation_tokens;
    configuration.checkpoint.interval = 0.25;
    configuration.checkpoint.keep = 1;
    configuration.checkpoint.best = false;
    let steps = ((budget / flops_per_step(&configuration)).round() as u64).max(1);
    configuration.train.steps = Some(steps);
    let model = &configuration.model;
    let target = ratio.map_or_else(|| format!("c{budget:e}"), |ratio| format!("r{ratio}"));
    let rate = factor.map_or_else(String::new, |factor| format!("-f{factor}"));
    let name = format!(
        "{}-t{}-{target}-d{}x{}{rate}-s{seed}",
        model.architecture, model.context_length, model.embedding_dim, model.num_blocks
    );
    PlannedRun { name, budget, ratio, factor, configuration, steps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_fit::counts::{Architecture as Counted, feed_forward_size};

    fn plan(text: &str) -> Plan {
        Plan::parse("p.toml", text).unwrap()
    }

    const BOTH: &str = "study = 'isoflop'\narchitectures = ['xlstm', 'transformer']\n";

    /// The formulas of the paper, written out anew: N and C of every planned run are theirs exactly.
    #[test]
    fn counts_are_the_formulas_and_budgets_are_met_within_one_percent() {
        let plans = [
            Plan::preset("demo").unwrap(),
            plan(&format!(
                "{BOTH}budgets = [1e13, 1e15]\ncontexts = [512, 2048]\nsizes = 7\nwidth_step = 16\nseeds = [0, 1, 2]"
            )),
        ];
        for plan in plans {
            let runs = runs(&plan).unwrap();
            let wanted =
                [plan.architectures.len(), plan.budgets.len(), plan.contexts.len(), plan.sizes, plan.seeds.len()];
            assert_eq!(runs.len(), wanted.iter().product::<usize>());
            for run in &runs {
                assert!((run.flops() / run.budget - 1.0).abs() <= 0.01, "{}: {}", run.name, run.flops());
                let model = &run.configuration.model;
                let xlstm = model.architecture == Architecture::Xlstm;
                let [d, n, h, q, v, f, t] = [
                    model.embedding_dim,
                    model.num_blocks,
                    model.num_heads,
                    model.qk_head_dim,
                    model.v_head_dim,
                    model.feed_forward_dim,
                    model.context_length,
                ]
                .map(|size| size as f64);
                assert_eq!(h * v, d);
                let counted = if xlstm { Counted::Xlstm } else { Counted::Transformer };
                assert_eq!(model.feed_forward_dim as u64, feed_forward_size(counted, d as u64));
                let (block, mixing) = if xlstm {
                    let l = 64.0;
                    let cell = l * (l + 1.0)
                        + l * l * (10.0 + 2.0 * q + 2.0 * v)
                        + 16.0 * l
                        + 5.0
                        + (4.0 * l + 2.0) * q * v
                        + 7.0 * l * q
                        + 2.0 * q
                        + 2.0 * l * v;
                    let linear = 2.0 * t * d * h * (2.0 * q + v + 2.0) + 4.0 * t * d * h * v + t * h * v;
                    let weights = d * h * (2.0 * q + v) + 2.0 * d * h + 2.0 * h + 2.0 * d * d + 2.0 * d;
                    (weights, linear + h * (t / l) * cell)
                } else {
                    let linear = 2.0 * t * d * h * (2.0 * q + v) + 2.0 * t * d * h * v;
                    (d * h * (2.0 * q + v) + d * d + d, linear + t * t * h * (q + v + 2.5))
                };
                assert_eq!(run.parameters() as f64, n * (block + 3.0 * d * f + d) + d + 512.0 * d, "{}", run.name);
                assert_eq!(run.parameters_without_embeddings(), run.parameters() - 512 * d as u64);
                let forward = n * (mixing + 6.0 * t * d * f + 2.0 * t * f) + 512.0 * t * d;
                let flops = 3.0 * forward * run.configuration.train.batch as f64 * run.steps as f64;
                assert!((run.flops() / flops - 1.0).abs() < 1e-15, "{}: {} {flops}", run.name, run.flops());
            }
        }
    }

    #[test]
    fn over_training_sees_its_ratio_of_tokens_within_one_percent() {
        let text = "study = 'overtraining'\narchitectures = ['xlstm', 'transformer']\ncontexts = [32]\n";
        let more = |more: &str| plan(&format!("{text}{more}"));
        let wanted = more("parameters = [3e4, 6e4, 12e4]\nratios = [5, 20, 60.5]\nbatch_tokens = 256\nwidth_step = 8");
        let runs = runs(&wanted).unwrap();
        assert_eq!(runs.len(), 18);
        for run in &runs {
            let (ratio, size) = (run.ratio.unwrap(), run.parameters() as f64);
            assert!((run.tokens() as f64 / size / ratio - 1.0).abs() <= 0.01, "{}", run.name);
            assert!((run.flops() / run.budget - 1.0).abs() <= 0.01, "{}", run.name);
            let miss = |target: &f64| (size / target).ln().abs();
            assert!(wanted.parameters.iter().map(miss).fold(f64::INFINITY, f64::min) < 0.15, "{}: {size}", run.name);
        }
        let sizes = |ratio: f64, arch| -> Vec<u64> {
            let of = |run: &&PlannedRun| run.ratio == Some(ratio) && run.configuration.model.architecture == arch;
            runs.iter().filter(of).map(PlannedRun::parameters).collect()
        };
        let arch = Architecture::Xlstm;
        assert_eq!((sizes(5.0, arch).len(), sizes(5.0, arch)), (3, sizes(60.5, arch)));
        let error = |text: &str| super::runs(&more(text)).unwrap_err().to_string();
        let short = error("parameters = [3e4]\nratios = [0.01]");
        assert!(short.contains("0.01 tokens a parameter") && short.contains("50 steps of"), "{short}");
        let close = error("parameters = [3e4, 30001, 30002, 30003]\nratios = [20]");
        assert!(close.contains("of the 4 sizes in `parameters`"), "{close}");
    }

    #[test]
    fn names_are_one_a_run() {
        let runs = runs(&plan(&format!("{BOTH}budgets = [1e12]\ncontexts = [64, 128]\nseeds = [0, 7]"))).unwrap();
        let mut names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), runs.len());
    }

    #[test]
    fn budgets_that_no_size_meets_are_refused() {
        let error = |text: &str| runs(&plan(&format!("{BOTH}contexts = [128]\n{text}"))).unwrap_err();
        let small = error("budgets = [1e6]");
        assert!(small.to_string().contains("budget 1e6 of xlstm at context 128: no size in range meets it"), "{small}");
        assert!(small.hint().unwrap().contains("batch_tokens") && small.exit_code() == 2);
        let few = error("budgets = [1e12]\nsizes = 200");
        assert!(few.to_string().contains("of 200 sizes"), "{few}");
        let large = error("budgets = [1e30]\nwidth_step = 2");
        assert!(large.to_string().contains("of 5 sizes"), "{large}");
    }

    #[test]
    fn the_rules_are_the_published_ones() {
        // DeepSeek LLM at 1e20 FLOPs: about 1.0 M tokens a step and a rate of 9.9e-4.
        assert!((batch_tokens(1e20) / 1.017e6 - 1.0).abs() < 0.01, "{}", batch_tokens(1e20));
        assert!((learning_rate(1e20) / 9.860e-4 - 1.0).abs() < 0.01, "{}", learning_rate(1e20));
    }
}

//! Which batch fits into the memory that there is: by the plan, before anything is made.

use gradus_engine::Device;

use super::memory::Plan;
use crate::configuration::{AutomaticBatch, Configuration};
use crate::error::{Result, TrainerError};
use crate::figures;

/// Of a card's memory, what a run may take: the driver and the display need some.
const USABLE: f64 = 0.96;

/// Of what there is, what a chosen batch may plan for: the plan is within a tenth of what a run takes.
const CHOSEN: f64 = 0.9;

/// What there is, where the system says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for all tensors together.
    pub memory: Option<u64>,
    /// Bytes of one tensor.
    pub tensor: Option<u64>,
    /// Tokens of a batch that is chosen: more at once make its steps longer, not the run shorter.
    pub tokens: Option<usize>,
}

/// What keeps all cores of a CPU busy.
const TOKENS_ON_CPU: usize = 1 << 14;
/// The batch of the smallest GPT-3 (arXiv 2005.14165, table 2.1), 125 M parameters: half a million tokens.
const TOKENS_ON_GPU: usize = 1 << 19;

impl Limits {
    /// Those of a device: of the CPU the memory that is free, on Linux; of a card the most of what it has.
    pub fn of(device: &Device) -> Self {
        match device {
            Device::Cpu(_) => Self { memory: free(), tensor: None, tokens: Some(TOKENS_ON_CPU) },
            Device::Gpu(gpu) => {
                let report = gpu.report();
                let memory = report.memory.map(|bytes| (USABLE * bytes as f64) as u64);
                let tensor = Some(report.limits.max_storage_buffer_binding_size);
                Self { memory, tensor, tokens: Some(TOKENS_ON_GPU) }
            }
        }
    }

    /// Whether a run fits, as far as that is known.
    fn allow(self, configuration: &Configuration) -> bool {
        let plan = Plan::new(configuration);
        self.memory.is_none_or(|memory| plan.total() <= memory) && self.tensor.is_none_or(|most| plan.largest <= most)
    }
}

/// The plan of a run.
///
/// # Errors
/// [`TrainerError::Memory`] if there is less memory than it needs; it says what would fit.
pub fn check(configuration: &Configuration, limits: Limits) -> Result<Plan> {
    let plan = Plan::new(configuration);
    match limits.memory {
        Some(have) if plan.total() > have => {
            Err(TrainerError::Memory { need: plan.total(), have, advice: advice(configuration, limits) })
        }
        _ => Ok(plan),
    }
}

/// What `--batch auto` asks for: the largest power of two that fits. With [`AutomaticBatch::OfStep`] it divides the sequences of
/// a step and accumulation makes up for the rest, else it has at most `windows` sequences, those of an epoch, and no more tokens
/// than help. A configuration
/// without such a request stays as it is.
///
/// # Errors
/// A device that does not say how much memory there is; [`TrainerError::Memory`] if not even one sequence fits.
pub fn choose(configuration: &mut Configuration, limits: Limits, windows: u64) -> Result<()> {
    let Some(automatic) = configuration.train.automatic_batch.take() else { return Ok(()) };
    if limits.memory.is_none() {
        return Err(TrainerError::Configuration {
            place: "[train]".into(),
            message: "`batch` is \"auto\", and this system does not say how much memory there is".into(),
            hint: Some("give a number of sequences (--batch 8); the first screen says what it will need".into()),
        });
    }
    let whole = limits;
    let limits = Limits { memory: limits.memory.map(|bytes| (CHOSEN * bytes as f64) as u64), ..limits };
    let rows = configuration.train.batch * configuration.train.accumulation;
    let most = match automatic {
        AutomaticBatch::OfStep => rows,
        AutomaticBatch::Free => {
            let tokens = limits.tokens.unwrap_or(MOST_TOKENS);
            usize::try_from(windows).unwrap_or(usize::MAX).min(tokens / configuration.model.context_length)
        }
    };
    let with = |batch: usize| match automatic {
        AutomaticBatch::OfStep => with_batch(configuration, batch, rows),
        AutomaticBatch::Free => with_batch(configuration, batch, batch * configuration.train.accumulation),
    };
    let divides = |batch: &usize| automatic == AutomaticBatch::Free || rows.is_multiple_of(*batch);
    let chosen = powers_of_two(most).filter(divides).map(with).find(|configuration| limits.allow(configuration));
    *configuration = match chosen {
        Some(chosen) => chosen,
        None => {
            let least = with(1);
            check(&least, whole)?;
            // It fits into memory, if without the margin, or one tensor is too large: its operation says which.
            least
        }
    };
    Ok(())
}

/// The most tokens of a batch that is tried: what an index of 32 bits counts.
const MOST_TOKENS: usize = 1 << 31;

/// From the largest that is not above `most`, which is not 0, to 1.
fn powers_of_two(most: usize) -> impl Iterator<Item = usize> {
    (0..=most.max(1).ilog2()).rev().map(|exponent| 1 << exponent)
}

/// The same with `batch` sequences at once and as many batches as a step of `rows` takes.
fn with_batch(configuration: &Configuration, batch: usize, rows: usize) -> Configuration {
    let mut configuration = configuration.clone();
    (configuration.train.batch, configuration.train.accumulation) = (batch, rows.div_ceil(batch));
    configuration
}

/// What would fit instead of a run that does not.
fn advice(configuration: &Configuration, limits: Limits) -> String {
    let train = &configuration.train;
    let rows = train.batch * train.accumulation;
    let smaller = |checkpointing: bool| {
        let batches = powers_of_two(train.batch.saturating_sub(1)).filter(|_| train.batch > 1);
        let mut all = batches.map(|batch| with_batch(configuration, batch, rows)).map(|mut configuration| {
            configuration.train.gradient_checkpointing |= checkpointing;
            configuration
        });
        all.find(|configuration| limits.allow(configuration))
    };
    let mut checkpointed = configuration.clone();
    checkpointed.train.gradient_checkpointing = true;
    let checkpointed = (!train.gradient_checkpointing && limits.allow(&checkpointed)).then_some(checkpointed);
    let mut ways: Vec<Configuration> = [smaller(false), checkpointed].into_iter().flatten().collect();
    if ways.is_empty() {
        ways.extend(smaller(true));
    }
    if ways.is_empty() {
        let mut halved = with_batch(configuration, 1, rows);
        halved.train.gradient_checkpointing = true;
        while halved.model.context_length > 1 && ways.is_empty() {
            halved.model.context_length /= 2;
            ways.extend(limits.allow(&halved).then(|| halved.clone()));
        }
    }
    let shown = ways
        .iter()
        .map(|way| format!("{} needs {}", flags(configuration, way), figures::bytes(Plan::new(way).total())));
    match shown.reduce(|all, way| format!("{all}; {way}")) {
        Some(ways) => ways,
        None => {
            let plan = Plan::new(configuration);
            format!(
                "nothing of this model fits: its weights and the optimizer's moments alone take {}; take a smaller --model",
                figures::bytes(plan.weights + plan.moments)
            )
        }
    }
}

/// The flags that make one configuration the other.
fn flags(from: &Configuration, to: &Configuration) -> String {
    let mut flags = Vec::new();
    if from.train.batch != to.train.batch {
        flags.push(format!("--batch {}", to.train.batch));
    }
    if from.train.accumulation != to.train.accumulation {
        flags.push(format!("--accumulation {}", to.train.accumulation));
    }
    if from.model.context_length != to.model.context_length {
        flags.push(format!("--context {}", to.model.context_length));
    }
    if from.train.gradient_checkpointing != to.train.gradient_checkpointing {
        flags.push("--gradient-checkpointing".into());
    }
    flags.join(" ")
}

/// Bytes of the CPU's memory that are free, where the system says so: on Linux.
fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_models::configuration::presets;

    fn configuration(batch: usize, accumulation: usize) -> Configuration {
        let mut configuration = Configuration::for_model(presets::find("llama-small").unwrap().model);
        (configuration.train.batch, configuration.train.accumulation) = (batch, accumulation);
        configuration
    }

    /// So many bytes for a batch that is chosen.
    fn chosen_from(bytes: u64) -> Limits {
        memory((bytes as f64 / CHOSEN).ceil() as u64)
    }

    fn memory(bytes: u64) -> Limits {
        Limits { memory: Some(bytes), ..Limits::default() }
    }

    fn need(batch: usize, accumulation: usize) -> u64 {
        Plan::new(&configuration(batch, accumulation)).total()
    }

    /// The batch and accumulation that are chosen.
    fn chosen(from: &Configuration, automatic: AutomaticBatch, limits: Limits, windows: u64) -> (usize, usize) {
        let mut configuration = from.clone();
        configuration.train.automatic_batch = Some(automatic);
        choose(&mut configuration, limits, windows).unwrap();
        (configuration.train.batch, configuration.train.accumulation)
    }

    #[test]
    fn the_largest_power_of_two_that_fits_is_chosen() {
        let free = |limits, windows| chosen(&configuration(8, 1), AutomaticBatch::Free, limits, windows);
        for batch in [1, 2, 16, 64] {
            // The limit itself fits, a little less does not.
            assert_eq!(free(chosen_from(need(batch, 1)), 1 << 40), (batch, 1));
            if batch > 1 {
                assert_eq!(free(chosen_from(need(batch + 1, 1)), 1 << 40), (batch, 1));
            }
            if batch > 1 {
                assert_eq!(free(chosen_from(need(batch, 1) - 10), 1 << 40), (batch / 2, 1));
            }
        }
        // No more than an epoch has, and no tensor beyond the device's limit.
        assert_eq!(free(memory(u64::MAX), 100), (64, 1));
        let largest = Plan::new(&configuration(4, 1)).largest;
        let limits = Limits { tensor: Some(largest), ..memory(u64::MAX) };
        assert_eq!(free(limits, 1 << 40), (4, 1));
        // Nor more tokens than help; one sequence at least.
        for (tokens, batch) in [(16 * 1024, 16), (16 * 1024 - 1, 8), (1, 1)] {
            assert_eq!(free(Limits { tokens: Some(tokens), ..memory(u64::MAX) }, 1 << 40), (batch, 1));
        }
        // What nobody asked for stays.
        let mut plain = configuration(3, 5);
        choose(&mut plain, memory(1), 1).unwrap();
        assert_eq!(plain, configuration(3, 5));
    }

    #[test]
    fn the_sequences_of_a_step_stay() {
        let of_step = |from: &Configuration, bytes| chosen(from, AutomaticBatch::OfStep, chosen_from(bytes), 1);
        assert_eq!(of_step(&configuration(64, 1), need(8, 8)), (8, 8));
        assert_eq!(of_step(&configuration(64, 1), need(8, 8) - 10), (4, 16));
        assert_eq!(of_step(&configuration(16, 4), 1 << 60), (64, 1));
        assert_eq!(of_step(&configuration(24, 1), 1 << 60), (8, 3));
        assert_eq!(of_step(&configuration(7, 3), 1 << 60), (1, 21));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let mut automatic = configuration(8, 1);
        automatic.train.automatic_batch = Some(AutomaticBatch::Free);
        let error = choose(&mut automatic.clone(), Limits::default(), 100).unwrap_err();
        assert!(error.to_string().contains("does not say how much memory"), "{error}");
        let error = choose(&mut automatic, memory(1 << 20), 100).unwrap_err();
        assert!(error.hint().unwrap().contains("nothing of this model fits"), "{error}");
    }

    /// Every way that an error names fits, and the next larger would not.
    #[test]
    fn an_error_names_what_fits() {
        let from = configuration(16, 2);
        let said = |bytes| {
            let error = check(&from, memory(bytes)).unwrap_err();
            (error.to_string(), error.hint().unwrap())
        };
        assert_eq!(check(&from, memory(need(16, 2))).unwrap(), Plan::new(&from));
        let (message, hint) = said(need(16, 2) - 1);
        assert!(message.contains("the run needs"), "{message}");
        assert!(hint.starts_with("--batch 8 --accumulation 4 needs "), "{hint}");
        assert!(hint.contains("; --gradient-checkpointing needs "), "{hint}");
        let (_, hint) = said(need(2, 16));
        assert!(hint.starts_with("--batch 2 --accumulation 16 needs "), "{hint}");
        let mut checkpointed = configuration(1, 32);
        checkpointed.train.gradient_checkpointing = true;
        let (_, hint) = said(Plan::new(&checkpointed).total());
        assert!(hint.starts_with("--batch 1 --accumulation 32 --gradient-checkpointing needs "), "{hint}");
        let (_, hint) = said(Plan::new(&checkpointed).total() - 1);
        assert!(hint.contains("--context 512 --gradient-checkpointing needs "), "{hint}");
        assert!(said(1 << 20).1.contains("nothing of this model fits"));
        // What it names is what the plan says.
        let (_, hint) = said(need(16, 2) - 1);
        assert!(hint.contains(&figures::bytes(need(8, 4))), "{hint}");
    }

    #[test]
    fn this_machine_has_memory() {
        if cfg!(target_os = "linux") {
            assert!(Limits::of(&Device::cpu()).memory.unwrap() > 1 << 20);
        }
        let mut huge = configuration(1 << 16, 1);
        huge.model.context_length = 1 << 20;
        assert!(check(&huge, Limits::of(&Device::cpu())).is_err() || !cfg!(target_os = "linux"));
    }
}

//! Everything that a run needs, made before its folder: what the user got wrong is said before anything is written.

use std::path::{Path, PathBuf};
use std::time::Instant;

use gradus_engine::Device;
use gradus_engine::device::gpu;
use gradus_models::Model;
use gradus_models::configuration::ModelConfiguration;
use gradus_models::tokenizer::Tokenizer;

use super::fitting::{self, Limits};
use super::initial::Initial;
use super::memory::Plan;
use super::step::{self, Learner};
use crate::configuration::{Configuration, Evaluation, Mode, ModelBase};
use crate::data::{self, Batch, Corpus, batches::Batches};
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::model_source::ModelSource;
use crate::progress::FirstScreen;
use crate::run_folder::{self, Position, Row};
use crate::verbs::train::Arguments;

/// The preset that is trained where nobody names a model.
pub(crate) const DEFAULT_ON_CPU: &str = "xlstm-tiny";
pub(crate) const DEFAULT_ON_GPU: &str = "xlstm-small";

/// A run that is ready to start or to go on.
#[derive(Debug)]
pub struct Setup {
    /// What it does.
    pub configuration: Configuration,
    /// Where.
    pub device: Device,
    /// Why there.
    pub why: String,
    /// The text.
    pub corpus: Corpus,
    /// What turns its tokens into text, where that is known and samples are written.
    pub tokenizer: Option<Tokenizer>,
    /// What it is trained on.
    pub batches: Batches,
    /// The batches of every evaluation.
    pub evaluation: Vec<Batch>,
    /// Model and optimizer.
    pub learner: Learner,
    /// The memory it should need.
    pub plan: Plan,
    /// Where it stands.
    pub position: Position,
    /// The rows of the steps before.
    pub rows: Vec<Row>,
    /// Its folder.
    pub folder: PathBuf,
    /// When the program started.
    pub started: Instant,
}

impl Setup {
    /// What the command line asks for.
    ///
    /// # Errors
    /// Whatever is wrong with it, with the model, the data, the device or the folder.
    pub fn new(arguments: &Arguments, started: Instant) -> Result<Self> {
        if let Some(run) = &arguments.resume {
            return super::resume::setup(run, arguments.device, arguments.stop_at, started);
        }
        let layers = arguments.layers()?;
        let source = arguments.model_source()?;
        let init = layers.init();
        if let (Some(_), Some(init)) = (&source, &init) {
            return Err(TrainerError::Usage {
                message: format!("--model: the model is given by train.init too, as {}", init.display()),
                hint: Some("leave out one of the two".into()),
            });
        }
        let (device, why) = layers.device().open(gpu::Options::from_environment())?;
        let default = if device.is_gpu() { DEFAULT_ON_GPU } else { DEFAULT_ON_CPU };
        let (base, init) = match source {
            None => (ModelBase::FileOr(default), init),
            Some(ModelSource::Preset(name)) => (ModelBase::Preset(name.into()), None),
            Some(ModelSource::File(path)) => (ModelBase::File(path), None),
            Some(ModelSource::Folder(path)) => (ModelBase::Given, Some(path)),
        };
        let initial = init.as_ref().map(|path| Initial::load(path, &device)).transpose()?;
        let shape = initial.as_ref().map(Initial::configuration);
        let vocabulary = data::vocabulary(layers.data_path().as_deref(), layers.task())?;
        let mut configuration = layers.resolve_with(base, shape, vocabulary)?;
        configuration.train.init = init;
        let automatic = configuration.train.automatic_batch.is_some();
        let mut prepared = Prepared::choosing(&mut configuration, &device)?;
        if automatic {
            let batch = configuration.train.batch;
            let note = format!(
                "batch {batch}: the largest power of two for which there is memory and data, and that is not too large to help"
            );
            prepared.corpus.notes.push(note);
        }
        let model = match initial {
            Some(initial) => {
                initial.check_tokenizer(&prepared.corpus)?;
                initial.into_model(configuration.model.clone())?
            }
            None => Model::new(configuration.model.clone(), &device, configuration.train.seed)?,
        };
        let model = model
            .in_precision(configuration.precision.mode.into())?
            .with_gradient_checkpointing(configuration.train.gradient_checkpointing);
        let optimizer = step::optimizer(&model, &configuration.optimizer, &configuration.precision)?;
        let folder = run_folder::create(arguments.out.as_deref(), &configuration)?;
        let data = prepared.corpus.identity.clone();
        let position = Position { seed: configuration.train.seed, data, ..Position::default() };
        let learner = Learner::new(model, optimizer);
        Ok(prepared.into_setup(configuration, (device, why), learner, (position, Vec::new()), folder, started))
    }

    /// What is said before the first step.
    pub fn first_screen(&self) -> FirstScreen {
        let configuration = &self.configuration;
        let mut notes = self.corpus.notes.clone();
        let (own, used) = (configuration.model.vocab_size, self.corpus.vocabulary);
        if own > used {
            notes.push(format!("of the model's {own} tokens {used} are used"));
        }
        if self.position.step > 0 {
            notes.push(format!("goes on after step {}", self.position.step));
        }
        let is_task = self.corpus.task.is_some();
        let is_bytes = self.corpus.bytes_per_token[0] == 1.0;
        let size = |tokens: usize| match is_bytes {
            _ if is_task => "any number of rows".into(),
            true => figures::bytes(tokens as u64),
            false => format!("{} tokens", figures::count(tokens as f64)),
        };
        let hash = format!(" (SHA-256 {})", &self.corpus.identity[..12]);
        FirstScreen {
            device: self.device.name(),
            why: self.why.clone(),
            model: configuration.name(),
            parameters: configuration.model.parameters().total(),
            memory: self.plan,
            data: format!("{}{hash}", self.corpus.name),
            data_sizes: [self.corpus.train.len(), self.corpus.validation.len()].map(size),
            step: [configuration.train.accumulation, configuration.train.batch, configuration.model.context_length],
            length: configuration.run_length(),
            folder: self.folder.display().to_string(),
            notes,
        }
    }
}

/// What follows from a configuration and a device alone.
pub(super) struct Prepared {
    pub(super) corpus: Corpus,
    tokenizer: Option<Tokenizer>,
    batches: Batches,
    evaluation: Vec<Batch>,
    plan: Plan,
}

impl Prepared {
    pub(super) fn new(configuration: &Configuration, device: &Device) -> Result<Self> {
        Self::choosing(&mut configuration.clone(), device)
    }

    /// The same, with a batch that fits where the configuration asks for one.
    pub(super) fn choosing(configuration: &mut Configuration, device: &Device) -> Result<Self> {
        refuse_unsupported(configuration, device)?;
        let limits = Limits::of(device);
        if configuration.train.automatic_batch.is_none() {
            // Before the data is opened, which may take a while.
            fitting::check(configuration, limits)?;
        }
        let corpus = Corpus::open(&configuration.data, configuration.model.context_length)?;
        check_vocabulary(&configuration.model, corpus.vocabulary)?;
        let tokenizer = corpus.open_tokenizer()?;
        check_prompt(&configuration.evaluation, tokenizer.as_ref())?;
        let batches = corpus.batches(configuration.model.context_length, configuration.train.seed)?;
        fitting::choose(configuration, limits, batches.per_epoch())?;
        let plan = Plan::new(configuration);
        let model = &configuration.model;
        let evaluation = corpus.evaluation_batches(
            model.context_length,
            configuration.train.batch,
            configuration.evaluation_windows(),
        )?;
        Ok(Self { corpus, tokenizer, batches, evaluation, plan })
    }

    pub(super) fn into_setup(
        self,
        configuration: Configuration,
        (device, why): (Device, String),
        learner: Learner,
        (position, rows): (Position, Vec<Row>),
        folder: PathBuf,
        started: Instant,
    ) -> Setup {
        let Self { corpus, tokenizer, batches, evaluation, plan } = self;
        Setup {
            configuration,
            device,
            why,
            corpus,
            tokenizer,
            batches,
            evaluation,
            learner,
            plan,
            position,
            rows,
            folder,
            started,
        }
    }
}

/// Values that the configuration's language has and this trainer cannot do.
fn refuse_unsupported(configuration: &Configuration, device: &Device) -> Result<()> {
    check_precision(configuration.precision.mode, device)?;
    let precision = &configuration.precision;
    let default = Configuration::for_model(configuration.model.clone()).precision;
    if precision.mode == Mode::F32
        && (precision.initial_loss_scale, precision.loss_scale_interval)
            != (default.initial_loss_scale, default.loss_scale_interval)
    {
        return Err(TrainerError::Configuration {
            place: "[precision]".into(),
            message: "initial_loss_scale and loss_scale_interval have no meaning in mode \"f32\"".into(),
            hint: Some("remove these keys".into()),
        });
    }
    Ok(())
}

/// Refuses mixed precision on a device that does not compute in f16.
pub(crate) fn check_precision(mode: Mode, device: &Device) -> Result<()> {
    let has_half = matches!(device, Device::Gpu(gpu) if gpu.report().shader_f16);
    if mode == Mode::F32 || has_half {
        return Ok(());
    }
    Err(TrainerError::Configuration {
        place: "[precision]".into(),
        message: format!("mode \"mixed\" needs a GPU with f16, and {} does not compute in it", device.name()),
        hint: Some(
            "set mode = \"f32\" (--precision f32), or name a GPU that has SHADER_F16: see `gradus devices`".into(),
        ),
    })
}

/// Refuses a model that has fewer tokens than the data.
pub(crate) fn check_vocabulary(model: &ModelConfiguration, vocabulary: usize) -> Result<()> {
    if model.vocab_size >= vocabulary {
        return Ok(());
    }
    Err(TrainerError::Configuration {
        place: "[model]".into(),
        message: format!("`vocab_size` is {}, and the data has {vocabulary} different tokens", model.vocab_size),
        hint: Some(format!("give the model a vocab_size of {vocabulary}, or prepare the data with its own tokenizer")),
    })
}

/// Refuses a prompt of samples that could not be written: a run would end at its first evaluation.
fn check_prompt(options: &Evaluation, tokenizer: Option<&Tokenizer>) -> Result<()> {
    let writes = options.sample_tokens > 0 || options.short_sample_tokens > 0;
    let Some(tokenizer) = tokenizer.filter(|_| writes) else { return Ok(()) };
    tokenizer.encode(&options.sample_prompt).map(|_| ()).map_err(|error| TrainerError::Configuration {
        place: "[evaluation]".into(),
        message: format!("`sample_prompt` is {:?}: {error}", options.sample_prompt),
        hint: Some(
            "give a prompt that the data's tokenizer has, or set sample_tokens and short_sample_tokens to 0".into(),
        ),
    })
}

/// The folder of the run that a path inside it belongs to.
pub(super) fn run_of(path: &Path) -> PathBuf {
    let is_run = |folder: &&Path| folder.join(run_folder::CONFIGURATION_FILE).is_file();
    let run = path.ancestors().take(3).find(is_run).unwrap_or(path);
    if run.as_os_str().is_empty() { PathBuf::from(".") } else { run.to_owned() }
}

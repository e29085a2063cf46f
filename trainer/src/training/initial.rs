//! The weights that a run starts from: of Hugging Face layout, of an earlier run, or of one of its checkpoints.

use std::path::{Path, PathBuf};

use gradus_engine::Device;
use gradus_models::configuration::ModelConfiguration;
use gradus_models::tokenizer::TOKENIZER;
use gradus_models::{Model, folder};
use serde_json::Value;

use crate::data::Corpus;
use crate::error::{Result, TrainerError};
use crate::model_source;
use crate::run_folder::checkpoint;

/// A model that was trained before. Its optimizer is not taken over.
pub struct Initial {
    model: Model,
    folder: PathBuf,
}

impl Initial {
    /// Loads the weights that a path names, as [`model_source::weights_folder`] finds them.
    ///
    /// # Errors
    /// If there are none, or they are damaged.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        if !path.is_dir() && !checkpoint::is_pointer(path) {
            return Err(TrainerError::Configuration {
                place: "--init".into(),
                message: format!("there is no folder `{}`", path.display()),
                hint: Some("name a folder of Hugging Face layout, a run, or one of its checkpoints".into()),
            });
        }
        let folder = model_source::weights_folder(path)?;
        Ok(Self { model: folder::load(&folder, device)?, folder })
    }

    /// Its shape.
    pub fn configuration(&self) -> &ModelConfiguration {
        self.model.configuration()
    }

    /// Refuses tokens that another tokenizer made than that of the model: they would stand for something else. Where one of
    /// the two is not known nothing can be said.
    ///
    /// # Errors
    /// Names both.
    pub fn check_tokenizer(&self, corpus: &Corpus) -> Result<()> {
        let own = self.folder.join(TOKENIZER);
        let text = match std::fs::read(&own) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(TrainerError::io("read", &own))?,
        };
        let problem = match &corpus.tokenizer {
            Some(file) if is_same(&text, &file.content) => return Ok(()),
            Some(file) => format!("its tokens were made by {}", file.path.display()),
            None if corpus.bytes_per_token[0] == 1.0 => "its tokens are bytes".into(),
            None => return Ok(()),
        };
        Err(TrainerError::Data {
            path: corpus.name.clone().into(),
            problem: format!("{problem}, and those of the model by {}", own.display()),
            hint: format!("gradus data prepare --tokenizer {} makes tokens that the model knows", own.display()),
        })
    }

    /// The model with the configuration of the new run, which has another context at most.
    ///
    /// # Errors
    /// If the weights do not fit it.
    pub fn into_model(self, configuration: ModelConfiguration) -> Result<Model> {
        Ok(Model::with_weights(configuration, self.model.weights)?)
    }
}

/// Whether two files hold the same JSON, however it is spaced.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
    left == right || parse(left).is_some_and(|left| Some(left) == parse(right))
}

//! A model in a folder of Hugging Face layout: `config.json` and `model.safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use gradus_engine::{Device, Tensor};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::configuration::ModelConfiguration;
use crate::model::Model;
use crate::parameters;
use crate::{Error, Result, hugging_face};

/// The file of a model's configuration.
pub const CONFIGURATION: &str = "config.json";
/// The file of a model's weights.
pub const WEIGHTS: &str = "model.safetensors";

/// Named f32 tensors, copied off their device, ready to be written.
#[derive(Debug, Default)]
pub struct Named(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Named {
    /// Adds a tensor.
    ///
    /// # Errors
    /// A fault of the device; a tensor that is not f32.
    pub fn add(&mut self, name: impl Into<String>, tensor: &Tensor) -> Result<()> {
        let values = tensor.to_vec::<f32>()?;
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push((name.into(), tensor.sizes().to_vec(), bytes));
        Ok(())
    }

    /// The bytes of a safetensors file. The same tensors give the same bytes.
    ///
    /// # Errors
    /// Two tensors of one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let views: std::result::Result<BTreeMap<_, _>, _> = self
            .0
            .iter()
            .map(|(name, sizes, bytes)| TensorView::new(Dtype::F32, sizes.clone(), bytes).map(|view| (name, view)))
            .collect();
        let error = |error: safetensors::SafeTensorError| Error::Request(format!("safetensors: {error}"));
        let views = views.map_err(error)?;
        if views.len() != self.0.len() {
            return Err(Error::Request("two tensors have the same name".into()));
        }
        safetensors::serialize(views, None).map_err(error)
    }
}

/// The files of a model as (name, content), for whoever writes them.
///
/// # Errors
/// A fault of the device.
pub fn files(model: &Model) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut named = Named::default();
    for (parameter, tensor) in model.parameters().iter().zip(&model.weights) {
        named.add(&parameter.name, tensor)?;
    }
    let configuration = format!("{:#}\n", hugging_face::to_json(model.configuration()));
    Ok(vec![(CONFIGURATION, configuration.into_bytes()), (WEIGHTS, named.to_bytes()?)])
}

/// A safetensors file, memory-mapped.
pub struct File {
    path: std::path::PathBuf,
    map: Mmap,
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).map_err(Error::file(path))?;
        // SAFETY: the map is only read. A program that shortens the file meanwhile would stop this one, as with any map;
        // checkpoints are never changed after they were written.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::file(path))?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// Its tensors by name, checked against the file's length.
    ///
    /// # Errors
    /// A truncated or malformed file.
    pub fn tensors(&self) -> Result<HashMap<String, TensorView<'_>>> {
        let parsed = SafeTensors::deserialize(&self.map).map_err(|error| {
            Error::content(&self.path, format!("it is not a whole safetensors file ({error}); it may be truncated"))
        })?;
        Ok(parsed.iter().map(|(name, view)| (name.to_owned(), view)).collect())
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A stored tensor as f32 on a device.
///
/// # Errors
/// A type other than f32, f16 or bf16; an allocation that the device refuses.
pub fn to_tensor(path: &Path, name: &str, view: &TensorView, device: &Device) -> Result<Tensor> {
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => {
            return Err(Error::content(path, format!("tensor `{name}` is {other:?}; f32, f16 and bf16 can be read")));
        }
    };
    Ok(Tensor::new(device, view.shape(), &values)?)
}

/// Reads the configuration of a folder, and the width of its feed-forward layers from the weights.
///
/// # Errors
/// A folder without `config.json`; what [`hugging_face::from_json`] refuses.
pub fn configuration(folder: &Path, tensors: Option<&HashMap<String, TensorView>>) -> Result<ModelConfiguration> {
    let path = folder.join(CONFIGURATION);
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let width = tensors.and_then(|tensors| tensors.get("backbone.blocks.0.ffn.proj_up.weight"));
    hugging_face::from_json(&path, &text, width.and_then(|view| view.shape().first().copied()))
}

/// Loads the model of a folder onto a device.
///
/// # Errors
/// Files that are missing, truncated or malformed; tensors that are missing, too many, or of another shape, all by name.
pub fn load(folder: &Path, device: &Device) -> Result<Model> {
    let file = File::open(&folder.join(WEIGHTS))?;
    let tensors = file.tensors()?;
    let configuration = configuration(folder, Some(&tensors))?;
    let parameters = parameters::list(&configuration);
    let mut problems: Vec<String> = Vec::new();
    for parameter in &parameters {
        match tensors.get(&parameter.name) {
            None => problems.push(format!("tensor `{}` is missing", parameter.name)),
            Some(view) if view.shape() != parameter.sizes => problems.push(format!(
                "tensor `{}` has shape {:?}, the configuration says {:?}",
                parameter.name,
                view.shape(),
                parameter.sizes
            )),
            Some(_) => {}
        }
    }
    let mut extra: Vec<&String> =
        tensors.keys().filter(|name| parameters.iter().all(|parameter| parameter.name != **name)).collect();
    extra.sort();
    problems.extend(extra.iter().map(|name| format!("tensor `{name}` is not one of the model's")));
    if !problems.is_empty() {
        const SHOWN: usize = 8;
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        return Err(Error::content(file.path(), problems.join("; ") + &more));
    }
    let weights: Result<Vec<Tensor>> = parameters
        .iter()
        .filter_map(|parameter| tensors.get(&parameter.name).map(|view| (parameter, view)))
        .map(|(parameter, view)| to_tensor(file.path(), &parameter.name, view, device))
        .collect();
    Model::with_weights(configuration, weights?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::presets;

    fn written(name: &str) -> (tempfile::TempDir, Model) {
        let model = Model::new(presets::find(name).unwrap().model, &Device::cpu(), 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in files(&model).unwrap() {
            fs::write(folder.path().join(file), content).unwrap();
        }
        (folder, model)
    }

    #[test]
    fn a_model_is_read_as_it_was_written() {
        for name in ["xlstm-tiny", "llama-tiny"] {
            let (folder, model) = written(name);
            let loaded = load(folder.path(), &Device::cpu()).unwrap();
            assert_eq!(loaded.configuration(), model.configuration());
            for (a, b) in loaded.weights.iter().zip(&model.weights) {
                assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
            }
        }
    }

    #[test]
    fn damaged_files_are_named() {
        let (folder, model) = written("llama-tiny");
        let refused = |part: &str| {
            let error = load(folder.path(), &Device::cpu()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        let path = folder.path().join(WEIGHTS);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        refused("truncated");
        fs::write(&path, b"").unwrap();
        refused("model.safetensors");
        let mut named = Named::default();
        for (parameter, tensor) in model.parameters().iter().zip(&model.weights).skip(1) {
            named.add(&parameter.name, tensor).unwrap();
        }
        named.add("foreign.weight", &model.weights[0]).unwrap();
        fs::write(&path, named.to_bytes().unwrap()).unwrap();
        refused("`model.embed_tokens.weight` is missing; tensor `foreign.weight` is not one of the model's");
        fs::write(&path, &bytes).unwrap();
        let configuration = folder.path().join(CONFIGURATION);
        let text = fs::read_to_string(&configuration).unwrap();
        fs::write(&configuration, text.replace("\"vocab_size\": 256", "\"vocab_size\": 300")).unwrap();
        refused("has shape [256, 128], the configuration says [300, 128]");
        fs::remove_file(&configuration).unwrap();
        refused("config.json");
    }
}

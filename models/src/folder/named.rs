//! The files of a model as bytes in memory, for whoever writes them.

use std::collections::{BTreeMap, HashMap};

use gradus_engine::Tensor;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::convert::Stored;
use super::{CONFIGURATION, WEIGHTS};
use crate::hugging_face::SpecialTokens;
use crate::model::Model;
use crate::{Error, Result, hugging_face};

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
        // Without the entry older versions of transformers do not open the file.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(views, Some(metadata)).map_err(error)
    }
}

/// The files of a model as (name, content), for whoever writes them. `tokens` go into its configuration.
///
/// # Errors
/// A fault of the device.
pub fn files(model: &Model, tokens: &SpecialTokens) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut named = Named::default();
    for (parameter, tensor) in model.parameters().iter().zip(&model.weights) {
        named.add(&parameter.name, tensor)?;
    }
    let configuration = format!("{:#}\n", hugging_face::to_json(model.configuration(), tokens, Stored::F32));
    Ok(vec![(CONFIGURATION, configuration.into_bytes()), (WEIGHTS, named.to_bytes()?)])
}

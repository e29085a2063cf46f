//! Where in a folder's files each weight of a model is, and what is missing, too much, or wrong.

use std::collections::{HashMap, HashSet};

use safetensors::Dtype;

use super::convert::readable;
use super::shards::Entry;
use crate::configuration::ModelConfiguration;
use crate::parameters::Parameter;

/// The embedding's name in NX-AI's plain layout; all other names are those of Hugging Face.
const EMBEDDING: (&str, &str) = ("backbone.embeddings.weight", "embedding.weight");

/// With `weight_mode` "fused" these matrices are one: the rows of the parts, in this order.
const FUSED: [(&str, &[&str]); 4] = [
    (
        "mlstm_layer.qkv_opreact.weight",
        &["mlstm_layer.q.weight", "mlstm_layer.k.weight", "mlstm_layer.v.weight", "mlstm_layer.ogate_preact.weight"],
    ),
    ("mlstm_layer.ifgate_preact.weight", &["mlstm_layer.igate_preact.weight", "mlstm_layer.fgate_preact.weight"]),
    ("mlstm_layer.ifgate_preact.bias", &["mlstm_layer.igate_preact.bias", "mlstm_layer.fgate_preact.bias"]),
    ("ffn.proj_up_gate_z.weight", &["ffn.proj_up_gate.weight", "ffn.proj_up.weight"]),
];

/// The bytes of one weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// Their type.
    pub dtype: Dtype,
    /// The elements, little endian.
    pub data: &'a [u8],
}

/// The tensors of a folder by name.
pub(super) struct Sources<'a> {
    tensors: &'a HashMap<String, Entry<'a>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(tensors: &'a HashMap<String, Entry<'a>>) -> Self {
        Self { tensors }
    }

    /// The inner width of an xLSTM's feed-forward layers.
    pub(super) fn feed_forward_dim(&self) -> Option<usize> {
        let rows = |name: &str| self.tensors.get(name)?.view.shape().first().copied();
        rows("backbone.blocks.0.ffn.proj_up.weight")
            .or_else(|| Some(rows("backbone.blocks.0.ffn.proj_up_gate_z.weight")? / 2))
    }

    /// The bytes of each weight.
    ///
    /// # Errors
    /// Everything that is missing, not of the shape or of a type that can be read, or no weight of the model, by name.
    pub(super) fn find(
        &self,
        model: &ModelConfiguration,
        parameters: &[Parameter],
    ) -> Result<Vec<Source<'a>>, Vec<String>> {
        let sizes: HashMap<&str, &[usize]> =
            parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.sizes.as_slice())).collect();
        let (mut found, mut used, mut problems) = (Vec::new(), HashSet::new(), Vec::new());
        for parameter in parameters {
            let Some(place) = self.place(parameter, &sizes) else {
                problems.push(format!("tensor `{}` is missing", parameter.name));
                continue;
            };
            let first = used.insert(place.name.clone());
            let Some(entry) = self.tensors.get(&place.name) else { continue };
            let dtype = entry.view.dtype();
            // A fused matrix has the faults of its parts: they are told once.
            if entry.view.shape() != place.shape {
                if first {
                    problems.push(format!(
                        "tensor `{}` has shape {:?}, the configuration says {:?}",
                        place.name,
                        entry.view.shape(),
                        place.shape
                    ));
                }
            } else if !readable(dtype) {
                if first {
                    problems.push(format!("tensor `{}` is {dtype:?}; f32, f16 and bf16 can be read", place.name));
                }
            } else {
                let row = parameter.sizes[1..].iter().product::<usize>() * dtype.bitsize() / 8;
                let data = &entry.view.data()[place.first_row * row..][..parameter.sizes[0] * row];
                found.push(Source { dtype, data });
            }
        }
        let mut extra: Vec<&String> =
            self.tensors.keys().filter(|name| !used.contains(*name) && !self.needless(model, name)).collect();
        extra.sort();
        problems.extend(extra.iter().map(|name| format!("tensor `{name}` is not one of the model's")));
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    /// The tensor that holds a weight: under its own name, under NX-AI's, or as rows of a fused matrix.
    fn place(&self, parameter: &Parameter, sizes: &HashMap<&str, &[usize]>) -> Option<Place> {
        let own = |name: &str| {
            let place = Place { name: name.to_owned(), shape: parameter.sizes.clone(), first_row: 0 };
            self.tensors.contains_key(name).then_some(place)
        };
        if let Some(place) = own(&parameter.name) {
            return Some(place);
        }
        if parameter.name == EMBEDDING.0 {
            return own(EMBEDDING.1);
        }
        FUSED.iter().find_map(|(fused, parts)| {
            let part = parts
                .iter()
                .position(|part| parameter.name.strip_suffix(part).is_some_and(|prefix| prefix.ends_with('.')))?;
            let prefix = parameter.name.strip_suffix(parts[part])?;
            let name = format!("{prefix}{fused}");
            self.tensors.contains_key(&name).then_some(())?;
            let rows: Option<Vec<usize>> =
                parts.iter().map(|part| sizes.get(format!("{prefix}{part}").as_str())?.first().copied()).collect();
            let rows = rows?;
            let mut shape = parameter.sizes.clone();
            shape[0] = rows.iter().sum();
            Some(Place { name, shape, first_row: rows[..part].iter().sum() })
        })
    }

    /// Tensors that some programs store and that say nothing new: rotary frequencies, and a tied head that is the embedding.
    fn needless(&self, model: &ModelConfiguration, name: &str) -> bool {
        if name.ends_with(".self_attn.rotary_emb.inv_freq") {
            return true;
        }
        let embedding =
            ["model.embed_tokens.weight", EMBEDDING.0, EMBEDDING.1].iter().find_map(|name| self.tensors.get(*name));
        match (self.tensors.get(name), embedding) {
            (Some(head), Some(embedding)) if model.tie_word_embeddings && name == "lm_head.weight" => {
                head.view.dtype() == embedding.view.dtype() && head.view.data() == embedding.view.data()
            }
            _ => false,
        }
    }
}

/// A tensor's name, the shape that it must have, and the row where a weight begins in it.
struct Place {
    name: String,
    shape: Vec<usize>,
    first_row: usize,
}

//! The embedding's rows, and the position that moves on.

use super::{copied, on_the_cpu, wrong_inputs};
use crate::DType;
use crate::check::{Case, Draw};
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::Result;
use crate::operation::Forward;
use crate::ops::decode::{PACK, embed};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "decode_embed";

/// Inputs: table (f16), tokens, position before.
#[derive(Debug, Clone, Copy)]
struct Step;

impl Forward for Step {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [table, tokens, position] = inputs else { return Err(wrong_inputs(NAME, inputs.len())) };
        let width = table.shape.sizes().last().copied().unwrap_or(0);
        Ok(vec![Spec::new(&[tokens.shape.elements(), width], DType::F32)?, *position])
    }

    fn forward_cpu(&self, _: &[&Tensor]) -> Result<Vec<Tensor>> {
        on_the_cpu(NAME)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let &[table, tokens, position] = inputs else { return Err(wrong_inputs(NAME, inputs.len())) };
        let width = table.sizes().last().copied().unwrap_or(0);
        let mut x = Tensor::on_gpu(gpu, NAME, &[tokens.elements(), width], DType::F32)?;
        let mut position = copied(gpu, position)?;
        embed(table, tokens, &mut x, &mut position)?;
        Ok(vec![x, position])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let [table, tokens, position] = inputs else { return Vec::new() };
        let width = table.last();
        let row = |&token: &f64| table.data[token as usize * width..][..width].to_vec();
        let x: Vec<f64> = tokens.data.iter().flat_map(row).collect();
        let x = Defined::elementwise(Array::new(&[tokens.data.len(), width], x));
        vec![x, Defined::elementwise(Array::new(&[1], vec![position.data[0] + 1.0]))]
    }
}

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let width = PACK * draw.size(16, draw.elements / PACK);
    let vocabulary = draw.size(64, draw.elements / width);
    let batch = draw.size(8, draw.elements / width);
    let table = draw.normals(&[vocabulary, width], 0.1, 1.0).half();
    let tokens = draw.indices(&[batch], vocabulary);
    let position = draw.indices(&[1], 70_000);
    Case::forward_only(Step, vec![table, tokens, position])
}

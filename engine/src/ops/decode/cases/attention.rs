//! Attention of one position: the rotation with the cache's next row, and the sums over the cache. Grouped heads, head sizes
//! around the loads' classes, caches that are cut into parts of 64, 128 and 256 keys.

use super::{copied, on_the_cpu, wrong_inputs};
use crate::DType;
use crate::check::{Case, Draw, Input};
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::ops::attention::{Attention as Whole, AttentionOptions};
use crate::ops::decode::{Attention, PACK, parts_for};
use crate::ops::rotary::{Rotary, RotaryTables};
use crate::tensor::{Spec, Tensor};

const ROTATE: &str = "decode_rotate";
const ATTENTION: &str = "decode_attention";

/// Columns `first..` of a projection [batch, width] as [batch, 1, heads, head_dim].
fn columns(projection: &Array, first: usize, [heads, head_dim]: [usize; 2]) -> Array {
    let rows = projection.data.chunks(projection.last());
    let data: Vec<f64> = rows.flat_map(|row| row[first..][..heads * head_dim].to_vec()).collect();
    Array::new(&[projection.sizes[0], 1, heads, head_dim], data)
}

/// Inputs: projection, keys and values of the cache (f16), position. Outputs: the first three as they are afterwards.
#[derive(Debug, Clone)]
struct Rotation {
    sizes: Attention,
    tables: RotaryTables,
}

impl Forward for Rotation {
    fn name(&self) -> &'static str {
        ROTATE
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [projection, key, value, _] = inputs else { return Err(wrong_inputs(ROTATE, inputs.len())) };
        Ok(vec![*projection, *key, *value])
    }

    fn forward_cpu(&self, _: &[&Tensor]) -> Result<Vec<Tensor>> {
        on_the_cpu(ROTATE)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let &[projection, key, value, position] = inputs else { return Err(wrong_inputs(ROTATE, inputs.len())) };
        let (mut projection, mut key, mut value) = (copied(gpu, projection)?, copied(gpu, key)?, copied(gpu, value)?);
        self.sizes.rotate(&mut projection, &self.tables, position, &mut key, &mut value)?;
        Ok(vec![projection, key, value])
    }

    /// Queries are turned where they are; turned keys, and values, are the row of the position; all else stays.
    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let [projection, key, value, position] = inputs else { return Vec::new() };
        let Attention { heads, kv_heads, head_dim } = self.sizes;
        let position = position.data[0] as usize;
        let rotary = Rotary { tables: self.tables.clone(), first_position: position };
        let turned = |first, heads| rotary.definition(&[columns(projection, first, [heads, head_dim])]).remove(0);
        let queries = turned(0, heads);
        let keys = turned(heads * head_dim, kv_heads);
        let values = Defined::elementwise(columns(projection, (heads + kv_heads) * head_dim, [kv_heads, head_dim]));
        let into = |whole: &Array, part: Defined, place: &dyn Fn(usize) -> usize, width: usize| {
            let mut all = Defined { magnitude: vec![0.0; whole.data.len()], value: whole.clone(), terms: part.terms };
            for text in 0..projection.sizes[0] {
                let (from, to) = (text * width..(text + 1) * width, place(text)..place(text) + width);
                all.value.data[to.clone()].copy_from_slice(&part.value.data[from.clone()]);
                all.magnitude[to].copy_from_slice(&part.magnitude[from]);
            }
            all
        };
        let (row, capacity) = (kv_heads * head_dim, key.sizes[1]);
        let in_cache = |text: usize| (text * capacity + position) * row;
        vec![
            into(projection, queries, &|text| text * self.sizes.width(), heads * head_dim),
            into(key, keys, &in_cache, row),
            into(value, values, &in_cache, row),
        ]
    }
}

pub(crate) fn draw_rotate(draw: &mut Draw) -> Case {
    let sizes = sizes(draw);
    let batch = draw.number(1..=3);
    let capacity = draw.size(16, draw.elements / (batch * sizes.kv_heads * sizes.head_dim));
    let cache = [batch, capacity, sizes.kv_heads, sizes.head_dim];
    let theta = draw.choose(&[1e4, 5e5]);
    let tables = RotaryTables::new(theta, sizes.head_dim, 0, capacity);
    let tables = tables.unwrap_or_else(|error| unreachable!("the sizes drawn are allowed: {error}"));
    let inputs = vec![
        draw.normals(&[batch, sizes.width()], 0.0, 1.0),
        draw.normals(&cache, 0.0, 1.0).half(),
        draw.normals(&cache, 0.0, 1.0).half(),
        draw.indices(&[1], capacity),
    ];
    Case::forward_only(Rotation { sizes, tables }, inputs)
}

/// Inputs: projection, of which the queries are read, keys and values of the cache (f16), position.
#[derive(Debug, Clone, Copy)]
struct Sums {
    sizes: Attention,
    /// The position, which the host knows too, and one more.
    keys: usize,
}

impl Forward for Sums {
    fn name(&self) -> &'static str {
        ATTENTION
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [projection, _, _, _] = inputs else { return Err(wrong_inputs(ATTENTION, inputs.len())) };
        let batch = projection.shape.sizes().first().copied().unwrap_or(0);
        Ok(vec![Spec::new(&[batch, self.sizes.heads * self.sizes.head_dim], DType::F32)?])
    }

    fn forward_cpu(&self, _: &[&Tensor]) -> Result<Vec<Tensor>> {
        on_the_cpu(ATTENTION)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let &[projection, key, value, position] = inputs else { return Err(wrong_inputs(ATTENTION, inputs.len())) };
        let Attention { heads, head_dim, .. } = self.sizes;
        let &[batch, capacity, ..] = key.sizes() else {
            return Err(Error::shape(ATTENTION, format!("the cache must be of four dimensions, got {key:?}")));
        };
        let mut parts = Tensor::on_gpu(gpu, ATTENTION, &[batch, heads, parts_for(capacity), head_dim + 2], DType::F32)?;
        let mut output = Tensor::on_gpu(gpu, ATTENTION, &[batch, heads * head_dim], DType::F32)?;
        self.sizes.run(projection, (key, value), (position, self.keys), &mut parts, &mut output)?;
        Ok(vec![output])
    }

    /// That of attention with one query, over the keys that are there.
    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let [projection, key, value, _] = inputs else { return Vec::new() };
        let Attention { heads, head_dim, .. } = self.sizes;
        let query = columns(projection, 0, [heads, head_dim]);
        let options = AttentionOptions { key_length: Some(self.keys) };
        let whole = Whole { options, documents: false };
        let mut defined = whole.definition(&[query, key.clone(), value.clone()]);
        defined.iter_mut().for_each(|output| output.value.sizes = vec![projection.sizes[0], heads * head_dim]);
        defined
    }
}

pub(crate) fn draw_attention(draw: &mut Draw) -> Case {
    let sizes = sizes(draw);
    let batch = draw.number(1..=2);
    let row = batch * sizes.kv_heads * sizes.head_dim;
    // A few long caches, cut into parts of 128 keys from 2049 on and of 256 from 4097 on.
    let most = (4 * draw.elements / row).max(1);
    let keys = if draw.number(0..=2) == 0 { draw.size(1400, most) } else { draw.size(64, most) };
    let capacity = keys + if draw.coin() { 0 } else { draw.number(1..=70) };
    let deviation = draw.choose(&[0.5, 1.0, 3.0]);
    let projection = draw.normals(&[batch, sizes.width()], 0.0, deviation);
    let cache = [batch, capacity, sizes.kv_heads, sizes.head_dim];
    let mut key = draw.normals(&cache, 0.0, deviation);
    let mut value = draw.normals(&cache, 0.0, 1.0);
    // What comes after the position must not be read: it would outweigh everything.
    let beyond = keys * sizes.kv_heads * sizes.head_dim;
    for input in [&mut key, &mut value] {
        let texts = input.array.data.chunks_mut(capacity * sizes.kv_heads * sizes.head_dim);
        texts.for_each(|text| text[beyond..].fill(3e4));
    }
    let inputs = vec![projection, key.half(), value.half(), Input::index(&[1], &[keys - 1])];
    Case::forward_only(Sums { sizes, keys }, inputs)
}

fn sizes(draw: &mut Draw) -> Attention {
    let head_dim = draw.choose(&[1, 2, 4, 7, 8, 9, 10, 16, 16, 31, 32]) * PACK;
    let head_dim = head_dim.min((draw.elements / 16 / PACK).max(1) * PACK);
    let kv_heads = draw.number(1..=2);
    Attention { heads: kv_heads * draw.number(1..=3), kv_heads, head_dim }
}

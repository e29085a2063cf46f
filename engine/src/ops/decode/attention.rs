//! Attention of one position: the rotary embedding, the cache's next row, and the sums over the cache.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::decode as shaders;

use super::{NAME, PACK, expect, gpu_of};
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::ops::attention::MOST_HEAD_DIM;
use crate::ops::rotary::RotaryTables;
use crate::tensor::Tensor;

/// Parts that a short cache is cut into at most, in favour of more workgroups; a long one has as many as it needs.
const SOME_PARTS: usize = 32;
/// Keys a part, from few to many.
const PART_KEYS: [usize; 3] = [64, 128, 256];

/// Room for the parts of a cache of `capacity` positions.
pub fn parts_for(capacity: usize) -> usize {
    capacity.div_ceil(PART_KEYS[2]).max(SOME_PARTS)
}

/// The sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, a divisor.
    pub kv_heads: usize,
    /// Size of a head: a multiple of [`PACK`].
    pub head_dim: usize,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    parts: u32,
    most_parts: u32,
    batch_heads: u32,
    heads: u32,
    group: u32,
    kv_heads: u32,
    head_dim: u32,
    capacity: u32,
    width: u32,
    scale: f32,
}

impl Attention {
    /// Columns of a projection: queries, keys, values.
    pub fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    fn check(&self, projection: &Tensor, key: &Tensor, value: &Tensor, position: &Tensor) -> Result<[usize; 2]> {
        let &Self { heads, kv_heads, head_dim } = self;
        if head_dim == 0 || !head_dim.is_multiple_of(PACK) || head_dim > MOST_HEAD_DIM {
            let message = format!("head_dim must be a multiple of {PACK} up to {MOST_HEAD_DIM}, it is {head_dim}");
            return Err(Error::shape(NAME, message));
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(Error::shape(NAME, format!("{kv_heads} key-value heads do not divide {heads} heads")));
        }
        let &[batch, capacity, ..] = key.sizes() else {
            return Err(Error::shape(
                NAME,
                format!("the cache must be [batch, capacity, heads, head_dim], got {key:?}"),
            ));
        };
        expect("the projection", projection, DType::F32, batch * self.width())?;
        expect("keys", key, DType::F16, batch * capacity * kv_heads * head_dim)?;
        expect("values", value, DType::F16, batch * capacity * kv_heads * head_dim)?;
        expect("the position", position, DType::U32, 1)?;
        Ok([batch, capacity])
    }

    /// Turns the queries and keys of a projection [batch, width] by the angles of the position, and puts keys and values into
    /// the cache [batch, capacity, kv_heads, head_dim] (f16) there. The position must be below the capacity, and the tables
    /// must begin at 0 and reach it: the kernel reads nothing beyond either.
    ///
    /// # Errors
    /// Tensors of other types or sizes, on the CPU or on several devices, or shared ones to write to.
    pub fn rotate(
        &self,
        projection: &mut Tensor,
        tables: &RotaryTables,
        position: &Tensor,
        key: &mut Tensor,
        value: &mut Tensor,
    ) -> Result<()> {
        let [batch, capacity] = self.check(projection, key, value, position)?;
        if tables.head_dim() != self.head_dim || tables.positions() != (0..capacity) {
            let message = format!("the tables must be for positions 0 to {capacity}, they are {tables:?}");
            return Err(Error::shape(NAME, message));
        }
        for written in [&mut *projection, &mut *key, &mut *value] {
            written.exclusive(NAME)?;
        }
        let gpu = gpu_of(projection)?;
        let count = projection.elements() / 4;
        let sizes = [count, self.heads, self.kv_heads, self.head_dim, capacity, 0, 0, 0].map(|size| size as u32);
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel: &shaders::ROTATE,
            element: DType::F32,
            constants: &[],
            parameters: bytemuck::cast_slice(&sizes),
            buffers: &[projection, &tables.on_gpu(&gpu)?, position, key, value],
            workgroups: Workgroups::Linear(count.div_ceil(64)),
            cost: Cost { flops: 6.0 * (batch * self.width()) as f64, bytes: 8.0 * (batch * self.width()) as f64 },
        })
    }

    /// The attention of turned queries over the first `keys` rows of the cache, the position being the last of them, into
    /// output [batch, heads · head_dim]. `parts` [batch, heads, [`parts_for`] the capacity, head_dim + 2] is room to work in.
    ///
    /// # Errors
    /// As [`Attention::rotate`]; more keys than the capacity.
    pub fn run(
        &self,
        projection: &Tensor,
        (key, value): (&Tensor, &Tensor),
        (position, keys): (&Tensor, usize),
        parts: &mut Tensor,
        output: &mut Tensor,
    ) -> Result<()> {
        let [batch, capacity] = self.check(projection, key, value, position)?;
        let &Self { heads, kv_heads, head_dim } = self;
        let most_parts = parts_for(capacity);
        expect("the parts", parts, DType::F32, batch * heads * most_parts * (head_dim + 2))?;
        expect("the output", output, DType::F32, batch * heads * head_dim)?;
        if keys == 0 || keys > capacity {
            return Err(Error::shape(NAME, format!("{keys} keys of a cache of {capacity}")));
        }
        parts.exclusive(NAME)?;
        output.exclusive(NAME)?;
        let gpu = gpu_of(projection)?;
        let few = |part: &&usize| keys.div_ceil(**part) <= SOME_PARTS;
        let part_keys = *PART_KEYS.iter().find(few).unwrap_or(&PART_KEYS[2]);
        let count = keys.div_ceil(part_keys);
        let parameters = Parameters {
            parts: count as u32,
            most_parts: most_parts as u32,
            batch_heads: (batch * heads) as u32,
            heads: heads as u32,
            group: (heads / kv_heads) as u32,
            kv_heads: kv_heads as u32,
            head_dim: head_dim as u32,
            capacity: capacity as u32,
            width: self.width() as u32,
            scale: (1.0 / (head_dim as f64).sqrt()) as f32,
        };
        let read = (batch * keys * kv_heads * head_dim) as f64;
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel: &shaders::ATTENTION_PART,
            element: DType::F32,
            constants: &[("SPAN", 256), ("KEYS", part_keys as u32), ("LOADS", head_dim.div_ceil(64) as u32)],
            parameters: bytes_of(&parameters),
            buffers: &[projection, key, value, position, parts],
            workgroups: Workgroups::Linear(batch * heads * count),
            cost: Cost { flops: 4.0 * read * (heads / kv_heads) as f64, bytes: 4.0 * read },
        })?;
        let across = head_dim.next_power_of_two();
        let merge = [count, most_parts, batch * heads, head_dim, across, 0, 0, 0].map(|size| size as u32);
        let elements = (batch * heads * count * head_dim) as f64;
        gpu.dispatch(&Dispatch {
            operation: NAME,
            kernel: &shaders::ATTENTION_MERGE,
            element: DType::F32,
            constants: &[("SPAN", 256)],
            parameters: bytemuck::cast_slice(&merge),
            buffers: &[parts, output],
            workgroups: Workgroups::Linear(batch * heads),
            cost: Cost { flops: 2.0 * elements, bytes: 4.0 * elements },
        })
    }
}

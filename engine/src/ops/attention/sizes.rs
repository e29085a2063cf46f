//! The sizes of an attention, checked.

use super::{Attention, refused};
use crate::DType;
use crate::error::{Error, Result};
use crate::tensor::Spec;

/// The largest head_dim that the kernels have tiles for.
pub const MOST_HEAD_DIM: usize = 256;

/// The most elements a tensor may have on a GPU.
const MOST_ELEMENTS: u128 = 1 << 31;
/// The most parts that the keys of a single step are cut into: enough to fill a GPU, few enough to join quickly.
const MOST_PARTS: usize = 64;
/// Keys that the kernel of a single step takes at once.
const CHUNK: usize = 64;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The type of query, key, value and output.
    pub element: DType,
    pub batch: usize,
    pub queries: usize,
    /// Keys in use.
    pub keys: usize,
    /// Rows of the key and value tensors.
    pub capacity: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Whether each query has a first key of its own.
    pub documents: bool,
}

impl Sizes {
    pub(super) fn new(operation: &Attention, inputs: &[Spec]) -> Result<Self> {
        let (query, key, value, first_key) = match (inputs, operation.documents) {
            ([query, key, value], false) => (query, key, value, None),
            ([query, key, value, first_key], true) => (query, key, value, Some(first_key)),
            (_, documents) => {
                let names = if documents { "query, key, value and first_key" } else { "query, key and value" };
                return Err(refused(format!("takes {names}, got {} inputs", inputs.len())));
            }
        };
        let shapes = || format!("query {:?}, key {:?}, value {:?}", query.shape, key.shape, value.shape);
        let dtype = query.dtype;
        if !matches!(dtype, DType::F32 | DType::F64 | DType::F16) || key.dtype != dtype || value.dtype != dtype {
            return Err(Error::dtype(
                "attention",
                format!("takes three f32, three f64 or three f16, got {dtype}, {} and {}", key.dtype, value.dtype),
            ));
        }
        let (&[batch, queries, heads, head_dim], &[key_batch, capacity, kv_heads, key_dim]) =
            (query.shape.sizes(), key.shape.sizes())
        else {
            return Err(refused(format!("takes [batch, sequence, heads, head_dim] thrice, got {}", shapes())));
        };
        if key.shape != value.shape || key_batch != batch || key_dim != head_dim {
            return Err(refused(format!("batch and head_dim must agree, key and value be alike: {}", shapes())));
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(refused(format!("query heads must be a multiple of key heads: {}", shapes())));
        }
        if !(1..=MOST_HEAD_DIM).contains(&head_dim) {
            let nearest = head_dim.clamp(1, MOST_HEAD_DIM);
            return Err(refused(format!(
                "head_dim is {head_dim}; it must be 1 to {MOST_HEAD_DIM}, and the nearest that works is {nearest}: {}",
                shapes()
            )));
        }
        let keys = operation.options.key_length.unwrap_or(capacity);
        if keys > capacity || keys < queries {
            return Err(refused(format!(
                "{keys} keys are used: they must be among the rows of key, and no fewer than the queries: {}",
                shapes()
            )));
        }
        if let Some(first_key) = first_key {
            if first_key.dtype != DType::U32 {
                let message = format!("first_key must be u32, it is {}", first_key.dtype);
                return Err(Error::dtype("attention", message));
            }
            if first_key.shape.sizes() != [batch, queries] {
                let message = format!("first_key must be [batch, queries], it is {:?}: {}", first_key.shape, shapes());
                return Err(refused(message));
            }
        }
        let documents = operation.documents;
        Ok(Self { element: dtype, batch, queries, keys, capacity, heads, kv_heads, head_dim, documents })
    }

    /// Places in tensors are 32-bit numbers in the GPU's kernels, with room to compute beyond the last.
    ///
    /// # Errors
    /// A tensor of more than 2^31 elements.
    pub(super) fn expect_addressable(&self) -> Result<()> {
        let &Self { batch, queries, capacity, heads, kv_heads, head_dim, .. } = self;
        let query = batch * queries * heads * head_dim;
        let key = batch * capacity * kv_heads * head_dim;
        let partial = if queries == 1 { self.partial().iter().map(|&size| size as u128).product() } else { 0 };
        let most = partial.max(query as u128).max(key as u128);
        if most > MOST_ELEMENTS {
            return Err(Error::limit(
                "attention",
                format!(
                    "query [{batch}, {queries}, {heads}, {head_dim}] over key [{batch}, {capacity}, {kv_heads}, {head_dim}] \
                     needs a tensor of {most} elements, more than the {MOST_ELEMENTS} that the kernels address; cut the batch"
                ),
            ));
        }
        Ok(())
    }

    /// The type of the normalizers: that of the operands but for f16, whose range is too small.
    pub(super) fn computed(&self) -> DType {
        if self.element == DType::F16 { DType::F32 } else { self.element }
    }

    /// How many keys a part of a single step has: a multiple of 64.
    pub(super) fn part_keys(&self) -> usize {
        self.keys.div_ceil(MOST_PARTS).next_multiple_of(CHUNK)
    }

    /// The sizes of the partial sums of a single step: [batch, heads, parts, head_dim + 2].
    pub(super) fn partial(&self) -> [usize; 4] {
        [self.batch, self.heads, self.keys.div_ceil(self.part_keys().max(1)), self.head_dim + 2]
    }

    /// How many keys the first query sees besides its own.
    pub(super) fn offset(&self) -> usize {
        self.keys - self.queries
    }

    /// How many query heads read one kv head.
    pub(super) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// 1 / √D.
    pub(super) fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// How many pairs of a query row and a key it sees there are, over batch and heads.
    pub(super) fn pairs(&self) -> f64 {
        let (queries, offset) = (self.queries as f64, self.offset() as f64);
        (self.batch * self.heads) as f64 * queries * (offset + (queries + 1.0) / 2.0)
    }
}

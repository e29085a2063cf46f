//! The sizes of an attention, checked.

use super::{AttentionOptions, refused};
use crate::DType;
use crate::error::{Error, Result};
use crate::tensor::Spec;

/// The largest head_dim that the kernels have tiles for.
pub(super) const MOST_HEAD_DIM: usize = 256;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub queries: usize,
    /// Keys in use.
    pub keys: usize,
    /// Rows of the key and value tensors.
    pub capacity: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl Sizes {
    pub(super) fn new(options: AttentionOptions, inputs: &[Spec]) -> Result<Self> {
        let [query, key, value] = inputs else {
            return Err(refused(format!("takes query, key and value, got {} inputs", inputs.len())));
        };
        let shapes = || format!("query {:?}, key {:?}, value {:?}", query.shape, key.shape, value.shape);
        let dtype = query.dtype;
        if !matches!(dtype, DType::F32 | DType::F64) || key.dtype != dtype || value.dtype != dtype {
            return Err(Error::dtype(
                "attention",
                format!("takes three f32 or three f64, got {dtype}, {} and {}", key.dtype, value.dtype),
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
            return Err(refused(format!("head_dim must be 1 to {MOST_HEAD_DIM}: {}", shapes())));
        }
        let keys = options.key_length.unwrap_or(capacity);
        if keys > capacity || keys < queries {
            return Err(refused(format!(
                "{keys} keys are used: they must be among the rows of key, and no fewer than the queries: {}",
                shapes()
            )));
        }
        Ok(Self { batch, queries, keys, capacity, heads, kv_heads, head_dim })
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

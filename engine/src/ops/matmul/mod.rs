//! Matrix products.
//!
//! C = op(A) · op(B), where op transposes the last two dimensions if asked to; nothing is copied for that. A may have
//! leading dimensions. B is one matrix for all of them (a linear layer's weight) or has the same leading dimensions.
//!
//! With C = A·B: dA = dC·Bᵀ and dB = Aᵀ·dC; transposed operands follow from (X·Y)ᵀ = Yᵀ·Xᵀ.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;

pub(crate) use gpu::{Operand, Output, product};

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// A matrix product; which operands are stored transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatMul {
    /// A is stored as [.., depth, rows].
    pub transpose_left: bool,
    /// B is stored as [.., columns, depth].
    pub transpose_right: bool,
}

/// left [.., m, k] · right [k, n] or [.., k, n] → [.., m, n].
///
/// # Errors
/// Sizes that do not fit; types other than two equal float types.
pub fn matmul(left: &Var, right: &Var) -> Result<Var> {
    apply_one(MatMul::default(), &[left, right])
}

/// A linear layer without bias: x [.., k] · weightᵀ with weight [n, k] → [.., n].
///
/// # Errors
/// As [`matmul`].
pub fn linear(x: &Var, weight: &Var) -> Result<Var> {
    apply_one(MatMul { transpose_left: false, transpose_right: true }, &[x, weight])
}

/// One of a product's two operands: a tensor, and whether it is read transposed.
#[derive(Clone, Copy)]
struct Side<'a> {
    tensor: &'a Tensor,
    transposed: bool,
}

/// The sizes of a batch of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    count: usize,
    rows: usize,
    columns: usize,
    depth: usize,
    /// The right operand is one matrix for the whole batch.
    shared_right: bool,
}

impl MatMul {
    fn sizes(self, left: &Spec, right: &Spec) -> Result<Batch> {
        let (a, b) = (left.shape.sizes(), right.shape.sizes());
        let error = |what: &str| {
            let side =
                |shape: &[usize], transposed: bool| format!("{shape:?}{}", if transposed { " transposed" } else { "" });
            Err(Error::shape(
                "matmul",
                format!("{} · {}: {what}", side(a, self.transpose_left), side(b, self.transpose_right)),
            ))
        };
        if a.is_empty() || b.len() < 2 || (a.len() < 2 && self.transpose_left) {
            return error("each operand needs at least two dimensions");
        }
        let last_two = |shape: &[usize], transposed: bool| {
            let columns = shape[shape.len() - 1];
            let rows = if shape.len() > 1 { shape[shape.len() - 2] } else { 1 };
            if transposed { (columns, rows) } else { (rows, columns) }
        };
        let ((rows, depth), (right_depth, columns)) =
            (last_two(a, self.transpose_left), last_two(b, self.transpose_right));
        if depth != right_depth {
            return error(&format!("the inner sizes {depth} and {right_depth} differ"));
        }
        let leading = &a[..a.len().saturating_sub(2)];
        let count: usize = leading.iter().product();
        if b.len() == 2 {
            if self.transpose_left && count != 1 {
                return error("a transposed left operand with leading dimensions needs a right one with the same");
            }
            // One right matrix for all: the leading dimensions are just more rows.
            return Ok(Batch { count: 1, rows: count * rows, columns, depth, shared_right: true });
        }
        if &b[..b.len() - 2] != leading {
            return error("the leading dimensions differ");
        }
        Ok(Batch { count, rows, columns, depth, shared_right: false })
    }
}

impl Forward for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [left, right] = inputs else {
            return Err(Error::shape("matmul", format!("takes two inputs, got {}", inputs.len())));
        };
        if left.dtype != right.dtype || !matches!(left.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(
                "matmul",
                format!("takes two f32 or two f64, got {} and {}", left.dtype, right.dtype),
            ));
        }
        let batch = self.sizes(left, right)?;
        let mut sizes = left.shape.sizes().to_vec();
        let rank = sizes.len();
        if rank >= 2 && self.transpose_left {
            sizes[rank - 2] = sizes[rank - 1];
        }
        sizes[rank - 1] = batch.columns;
        Ok(vec![Spec::new(&sizes, left.dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward(inputs)
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward(inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0], &inputs[1])
    }
}

impl Operation for MatMul {
    fn saves(&self) -> Saves {
        Saves { inputs: &[0, 1], outputs: &[] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }
}

impl MatMul {
    fn forward(self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (left, right) = (inputs[0], inputs[1]);
        let batch = self.sizes(&left.spec(), &right.spec())?;
        let output = self.outputs(&[left.spec(), right.spec()])?[0];
        let left = Side { tensor: left, transposed: self.transpose_left };
        let right = Side { tensor: right, transposed: self.transpose_right };
        Ok(vec![multiply(batch, left, right, output)?])
    }

    fn backward(self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let (left, right, d_output) = (context.input(0)?, context.input(1)?, context.d_output(0)?);
        let batch = self.sizes(&left.spec(), &right.spec())?;
        let Batch { rows, columns, depth, .. } = batch;
        let side = |tensor, transposed| Side { tensor, transposed };
        let d_left = |()| {
            if self.transpose_left {
                // Aᵀ is the stored matrix: dAᵀ = B·dCᵀ
                let sizes = Batch { rows: depth, columns: rows, depth: columns, ..batch };
                multiply(sizes, side(right, self.transpose_right), side(d_output, true), left.spec())
            } else {
                let sizes = Batch { rows, columns: depth, depth: columns, ..batch };
                multiply(sizes, side(d_output, false), side(right, !self.transpose_right), left.spec())
            }
        };
        let d_right = |()| {
            if self.transpose_right {
                // Bᵀ is the stored matrix: dBᵀ = dCᵀ·A
                let sizes = Batch { rows: columns, columns: depth, depth: rows, ..batch };
                multiply(sizes, side(d_output, true), side(left, self.transpose_left), right.spec())
            } else {
                let sizes = Batch { rows: depth, columns, depth: rows, ..batch };
                multiply(sizes, side(left, !self.transpose_left), side(d_output, false), right.spec())
            }
        };
        Ok(vec![context.needs[0].then(|| d_left(())).transpose()?, context.needs[1].then(|| d_right(())).transpose()?])
    }
}

/// A batch of products into a new tensor of shape `output`.
fn multiply(batch: Batch, left: Side, right: Side, output: Spec) -> Result<Tensor> {
    match left.tensor.device() {
        Device::Cpu(device) => cpu::multiply(&device, batch, left, right, output),
        Device::Gpu(device) => gpu::multiply(&device, batch, left, right, output),
    }
}

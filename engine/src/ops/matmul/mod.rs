//! Matrix products.
//!
//! C = op(A) · op(B) + bias, where op transposes the last two dimensions if asked to; nothing is copied for that. All other
//! dimensions lead: those of A and B are aligned at the last and broadcast, so B may be one matrix for a whole batch (a
//! linear layer's weight), A may be, or both may have their own. A vector on the left is one row, on the right one column,
//! and C lacks that dimension. The bias [n] is added to every row.
//!
//! With C = A·B: dA = dC·Bᵀ and dB = Aᵀ·dC; transposed operands follow from (X·Y)ᵀ = Yᵀ·Xᵀ. The gradient of an operand that
//! was repeated along a leading dimension is the sum along it, in order and inside the product, without products stored in
//! between; the bias's is the sum of dC's rows. Instead of a bias a residual of C's own shape may be added, whose gradient is
//! dC.
//!
//! In mixed precision (on a GPU) either operand may be f16, and so may C; sums are in f32, and a gradient has its operand's
//! type. Where the adapter has matrix units, products with f16 among their types run on them, with operands rounded to f16;
//! elsewhere f16 is only how they are stored.
//!
//! A sum of no terms is 0: with a depth of 0, C is 0, or the bias.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
mod sizes;
#[cfg(test)]
mod tests;

pub use gpu::matmul_in_tiles;
pub(crate) use gpu::{Operand, Output, product};

use sizes::Batch;

use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Precision, Shape};

/// A matrix product, of two inputs or, with a bias or a residual, three; which operands are stored transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatMul {
    /// A is stored as [.., depth, rows].
    pub transpose_left: bool,
    /// B is stored as [.., columns, depth].
    pub transpose_right: bool,
    /// The type of the result. Half is for f16 operands, whose sums are in f32 nonetheless.
    pub output: Precision,
}

impl MatMul {
    /// x · weightᵀ, as a linear layer; with a third input [`linear_bias`] or [`linear_add`].
    pub const LINEAR: Self = Self { transpose_left: false, transpose_right: true, output: Precision::Full };
}

/// left [.., m, k] · right [.., k, n] → [.., m, n], leading dimensions broadcast; a vector [k] on the left gives [.., n], one
/// on the right [.., m].
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
    apply_one(MatMul::LINEAR, &[x, weight])
}

/// A linear layer: x [.., k] · weightᵀ + bias with weight [n, k] and bias [n] → [.., n].
///
/// # Errors
/// As [`matmul`].
pub fn linear_bias(x: &Var, weight: &Var, bias: &Var) -> Result<Var> {
    apply_one(MatMul::LINEAR, &[x, weight, bias])
}

/// [`linear`] with a result of this precision: in mixed precision x is f16, the weight f32, and the result f16 where it is
/// an operand again.
///
/// # Errors
/// As [`matmul`].
pub fn linear_in(x: &Var, weight: &Var, output: Precision) -> Result<Var> {
    apply_one(MatMul { output, ..MatMul::LINEAR }, &[x, weight])
}

/// residual + x · weightᵀ in one pass, with the residual [.., n] and the result in f32.
///
/// # Errors
/// As [`matmul`].
pub fn linear_add(x: &Var, weight: &Var, residual: &Var) -> Result<Var> {
    apply_one(MatMul::LINEAR, &[x, weight, residual])
}

/// A linear layer with some rows of a weight [n, k] on a GPU, without a gradient: x [.., k] · weight[rows]ᵀ, plus a bias
/// [rows] if there is one, → [.., rows]. For weights that read the same vector and stand in one matrix.
///
/// # Errors
/// As [`matmul`]; rows that the weight does not have; tensors on the CPU.
pub fn linear_rows(
    x: &Tensor,
    weight: &Tensor,
    rows: std::ops::Range<usize>,
    bias: Option<&Tensor>,
    output: Precision,
) -> Result<Tensor> {
    let Device::Gpu(gpu) = x.device() else {
        return Err(Error::device("matmul", "rows of a weight are multiplied on a GPU; on the CPU use `linear`"));
    };
    let (&[all, depth], Some((&last, leading))) = (weight.sizes(), x.sizes().split_last()) else {
        return Err(Error::shape("matmul", format!("{x:?} · rows of {weight:?} cannot be")));
    };
    let count = rows.len();
    if last != depth || rows.end > all || bias.is_some_and(|bias| bias.sizes() != [count]) {
        return Err(Error::shape("matmul", format!("{x:?} · rows {rows:?} of {weight:?} + {bias:?} cannot be")));
    }
    let sizes: Vec<usize> = leading.iter().copied().chain([count]).collect();
    let spec = Spec::new(&sizes, output.of(DType::F32))?;
    gpu::rows_of_weight(&gpu, x, (weight, rows.start * depth), bias, [leading.iter().product(), count, depth], spec)
}

/// What is added to a product.
#[derive(Clone, Copy)]
enum Addend<'a> {
    /// [columns], to every row.
    Bias(&'a Tensor),
    /// Of the product's own shape.
    Residual(&'a Tensor),
}

impl<'a> Addend<'a> {
    /// A third input whose shape is the product's, and not that of one row, is a residual.
    fn of(third: &'a Tensor, output: &Shape) -> Self {
        if is_residual(third.shape(), output) { Self::Residual(third) } else { Self::Bias(third) }
    }
}

fn is_residual(third: &Shape, output: &Shape) -> bool {
    third.sizes().len() > 1 && third.sizes() == output.sizes()
}

/// One of a product's two operands: a tensor, and whether it is read transposed.
#[derive(Clone, Copy)]
struct Side<'a> {
    tensor: &'a Tensor,
    transposed: bool,
}

impl Forward for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let ([left, right] | [left, right, _]) = inputs else {
            return Err(Error::shape("matmul", format!("takes two inputs and perhaps a bias, got {}", inputs.len())));
        };
        let float = |dtype| matches!(dtype, DType::F32 | DType::F16);
        let wide = inputs.iter().all(|input| input.dtype == DType::F64);
        let mixed =
            float(left.dtype) && float(right.dtype) && inputs.iter().skip(2).all(|third| third.dtype == DType::F32);
        if !wide && !mixed {
            let got: Vec<&str> = inputs.iter().map(|input| input.dtype.name()).collect();
            let takes = "takes f64 alone, or f32 and f16 with what is added in f32";
            return Err(Error::dtype("matmul", format!("{takes}, got {}", got.join(", "))));
        }
        let dtype = self.output.of(if wide { DType::F64 } else { DType::F32 });
        let (batch, shape) = sizes::of(*self, &left.shape, &right.shape)?;
        if let Some(third) = inputs.get(2)
            && third.shape.sizes() != [batch.columns]
            && !is_residual(&third.shape, &shape)
        {
            let message = format!(
                "{:?} · {:?} is {shape:?}, {:?} cannot be added: it must be a bias [{}] or a residual of the product's shape",
                left.shape, right.shape, third.shape, batch.columns
            );
            return Err(Error::shape("matmul", message));
        }
        if inputs.len() == 3 && self.output == Precision::Half {
            return Err(Error::dtype("matmul", "a product with a bias or a residual is f32; take Precision::Full"));
        }
        Ok(vec![Spec { shape, dtype }])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward(inputs)
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward(inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0], &inputs[1], inputs.get(2))
    }
}

impl Operation for MatMul {
    fn saves(&self) -> Saves {
        Saves { inputs: &[0, 1], outputs: &[] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context, &mut [])
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context, &mut [])
    }

    fn backward_gpu_onto(
        &self,
        _: &Gpu,
        context: &Context,
        sums: &mut [Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        self.backward(context, sums)
    }
}

/// The tensors' places for [`Batch::with_roles`].
const LEFT: usize = 0;
const RIGHT: usize = 1;
const OUTPUT: usize = 2;

impl MatMul {
    fn forward(self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (left, right) = (inputs[0], inputs[1]);
        let (batch, shape) = sizes::of(self, left.shape(), right.shape())?;
        let computed = if left.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let on_gpu = matches!(left.device(), Device::Gpu(_));
        let output = Spec { shape, dtype: if on_gpu { self.output.of(computed) } else { computed } };
        let addend = inputs.get(2).map(|third| Addend::of(third, &shape));
        let left = Side { tensor: left, transposed: self.transpose_left };
        let right = Side { tensor: right, transposed: self.transpose_right };
        Ok(vec![multiply(batch, left, right, addend, output, None)?])
    }

    /// The gradients; those of the operands are added to their sums where there are any.
    fn backward(self, context: &Context, sums: &mut [Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let (left, right, d_output) = (context.input(0)?, context.input(1)?, context.d_output(0)?);
        let (batch, _) = sizes::of(self, left.shape(), right.shape())?;
        let Batch { rows, columns, depth, .. } = batch;
        let side = |tensor, transposed| Side { tensor, transposed };
        let d_left = |onto| {
            if self.transpose_left {
                // Aᵀ is the stored matrix: dAᵀ = B·dCᵀ
                let batch = batch.with_roles([depth, rows, columns], [RIGHT, OUTPUT, LEFT]);
                multiply(batch, side(right, self.transpose_right), side(d_output, true), None, left.spec(), onto)
            } else {
                let batch = batch.with_roles([rows, depth, columns], [OUTPUT, RIGHT, LEFT]);
                multiply(batch, side(d_output, false), side(right, !self.transpose_right), None, left.spec(), onto)
            }
        };
        let d_right = |onto| {
            if self.transpose_right {
                // Bᵀ is the stored matrix: dBᵀ = dCᵀ·A
                let batch = batch.with_roles([columns, depth, rows], [OUTPUT, LEFT, RIGHT]);
                multiply(batch, side(d_output, true), side(left, self.transpose_left), None, right.spec(), onto)
            } else {
                let batch = batch.with_roles([depth, columns, rows], [LEFT, OUTPUT, RIGHT]);
                multiply(batch, side(left, !self.transpose_left), side(d_output, false), None, right.spec(), onto)
            }
        };
        let mut sum = |place: usize| sums.get_mut(place).and_then(Option::take);
        let mut gradients = vec![
            context.needs[0].then(|| d_left(sum(0))).transpose()?,
            context.needs[1].then(|| d_right(sum(1))).transpose()?,
        ];
        if let Some(third) = context.input_specs.get(2) {
            let d_third = |()| match is_residual(&third.shape, d_output.shape()) {
                true => Ok(d_output.clone()),
                false => sum_of_rows(d_output, *third),
            };
            gradients.push(context.needs[2].then(|| d_third(())).transpose()?);
        }
        Ok(gradients)
    }
}

/// A batch of products into a new tensor of shape `output`; on a GPU, with `onto`, added to that tensor in place.
fn multiply(
    batch: Batch,
    left: Side,
    right: Side,
    addend: Option<Addend>,
    output: Spec,
    onto: Option<Tensor>,
) -> Result<Tensor> {
    match left.tensor.device() {
        Device::Cpu(device) => cpu::multiply(&device, batch, left, right, addend, output),
        Device::Gpu(device) => gpu::multiply(&device, batch, left, right, addend, output, onto),
    }
}

/// The sum of all rows of x [.., n], of shape `output` [n].
fn sum_of_rows(x: &Tensor, output: Spec) -> Result<Tensor> {
    match x.device() {
        Device::Cpu(device) => cpu::sum_of_rows(&device, x, output),
        Device::Gpu(device) => gpu::sum_of_rows(&device, x, output),
    }
}

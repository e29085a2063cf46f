//! One position of the mLSTM layer between its projections: gates, state, denominator, norm and output gate.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::{Kernel, decode as shaders};

use super::{NAME, expect, gpu_of};
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The sizes and numbers of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mlstm {
    /// Heads.
    pub heads: usize,
    /// Size of a head's query and key.
    pub qk_dim: usize,
    /// Size of a head's value: a multiple of 4.
    pub v_dim: usize,
    /// Soft cap of the gates' pre-activations.
    pub gate_cap: f64,
    /// ε of the cell's denominator.
    pub cell_epsilon: f64,
    /// ε of the norm of each head.
    pub norm_epsilon: f64,
}

/// What a layer remembers, changed in place.
#[derive(Debug)]
pub struct Recurrence<'a> {
    /// C [batch, heads, qk_dim, v_dim]
    pub memory: &'a mut Tensor,
    /// n [batch, heads, qk_dim]
    pub normalizer: &'a mut Tensor,
    /// m [batch, heads]
    pub stabilizer: &'a mut Tensor,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    cells: u32,
    heads: u32,
    qk_dim: u32,
    v_dim: u32,
    width: u32,
    cap: f32,
    scale: f32,
    cell_epsilon: f32,
    norm_epsilon: f32,
}

impl Mlstm {
    /// Columns of a projection: query, key, value, output gate, input gate, forget gate.
    pub fn width(&self) -> usize {
        self.heads * (2 * self.qk_dim + 2 * self.v_dim + 2)
    }

    /// σ(o) ⊙ LayerNorm(h) of one position, into y [batch, heads · v_dim]: projection [batch, width] holds query, key, value
    /// and the pre-activations of output, input and forget gate, the last two before their bias [2, heads] and soft cap;
    /// norm [heads · v_dim]. `numerator`, of y's shape, is room to work in.
    ///
    /// # Errors
    /// Tensors of other types or sizes, on the CPU or on several devices, or shared ones to write to.
    pub fn run(
        &self,
        projection: &Tensor,
        (bias, norm): (&Tensor, &Tensor),
        state: Recurrence,
        numerator: &mut Tensor,
        y: &mut Tensor,
    ) -> Result<()> {
        let gpu = gpu_of(projection)?;
        let &Self { heads, qk_dim, v_dim, .. } = self;
        let Recurrence { memory, normalizer, stabilizer } = state;
        if !v_dim.is_multiple_of(4) {
            return Err(Error::shape(NAME, format!("v_dim must be a multiple of 4, it is {v_dim}")));
        }
        let cells = stabilizer.elements();
        expect("the projection", projection, DType::F32, cells / heads.max(1) * self.width())?;
        expect("the gates' bias", bias, DType::F32, 2 * heads)?;
        expect("the norm's weight", norm, DType::F32, heads * v_dim)?;
        expect("the memory", memory, DType::F32, cells * qk_dim * v_dim)?;
        expect("the normalizer", normalizer, DType::F32, cells * qk_dim)?;
        expect("the numerators", numerator, DType::F32, cells * v_dim)?;
        expect("the result", y, DType::F32, cells * v_dim)?;
        for written in [&mut *memory, &mut *normalizer, &mut *stabilizer, &mut *numerator, &mut *y] {
            written.exclusive(NAME)?;
        }
        let parameters = Parameters {
            cells: cells as u32,
            heads: heads as u32,
            qk_dim: qk_dim as u32,
            v_dim: v_dim as u32,
            width: self.width() as u32,
            cap: self.gate_cap as f32,
            scale: (1.0 / (qk_dim as f64).sqrt()) as f32,
            cell_epsilon: self.cell_epsilon as f32,
            norm_epsilon: self.norm_epsilon as f32,
        };
        let dispatch = |kernel: &'static Kernel, spans: bool, buffers: &[&Tensor], workgroups: usize, cost: Cost| {
            gpu.dispatch(&Dispatch {
                operation: NAME,
                kernel,
                element: DType::F32,
                constants: if spans { &[("SPAN", 256)] } else { &[] },
                parameters: bytes_of(&parameters),
                buffers,
                workgroups: Workgroups::Linear(workgroups),
                cost,
            })
        };
        let state_size = (cells * qk_dim * v_dim) as f64;
        dispatch(
            &shaders::MLSTM_MEMORY,
            false,
            &[projection, bias, stabilizer, memory, numerator],
            cells * (v_dim / 4).div_ceil(8),
            Cost { flops: 5.0 * state_size, bytes: 8.0 * state_size },
        )?;
        let rows = (cells * (qk_dim + v_dim)) as f64;
        dispatch(
            &shaders::MLSTM_OUTPUT,
            true,
            &[projection, bias, stabilizer, normalizer, numerator, norm, y],
            cells,
            Cost { flops: 20.0 * rows, bytes: 16.0 * rows },
        )
    }
}

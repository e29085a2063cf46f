//! An operation of your own: the squared ReLU, y = max(x, 0)² (So et al. 2021, "Primer"), with its definition, its CPU code,
//! its kernels and its gradient, checked by one call.
//!
//! `cargo run --release -p gradus-engine --example custom_activation`
//!
//! First a mistake is planted in the kernel of the gradient, and the check names it; then the operation is right, passes,
//! and a few steps of gradient descent use it.

use gradus_engine::check::{self, Case, Draw};
use gradus_engine::definition::{Array, Defined};
use gradus_engine::device::gpu::{Cost, Dispatch, Workgroups};
use gradus_engine::device::{Cpu, Gpu};
use gradus_engine::operation::{Context, Forward, Operation, Saves};
use gradus_engine::shaders::{Access, File, INDEX, Kernel};
use gradus_engine::tape::apply_one;
use gradus_engine::{DType, Device, Element, Error, Result, Spec, Tape, Tensor, Var};

const FORWARD_FILE: File = File { path: "forward.wgsl", text: include_str!("forward.wgsl") };
const BACKWARD_FILE: File = File { path: "backward.wgsl", text: include_str!("backward.wgsl") };
const RIGHT: File = File { path: "gradient_right.wgsl", text: include_str!("gradient_right.wgsl") };
const MISTAKEN: File = File { path: "gradient_mistaken.wgsl", text: include_str!("gradient_mistaken.wgsl") };

/// With INDEX, which gives `flat_workgroup`, a kernel may run over more workgroups than a dimension of the device has.
static FORWARD: Kernel = Kernel {
    name: "squared_relu/forward",
    files: &[INDEX, FORWARD_FILE],
    bindings: &[Access::Read, Access::ReadWrite],
    variants: &[&[]],
};
/// The gradient, right and mistaken.
static BACKWARD: [Kernel; 2] = [
    Kernel {
        name: "squared_relu/backward",
        files: &[INDEX, RIGHT, BACKWARD_FILE],
        bindings: &[Access::Read, Access::Read, Access::ReadWrite],
        variants: &[&[]],
    },
    Kernel {
        name: "squared_relu/backward_mistaken",
        files: &[INDEX, MISTAKEN, BACKWARD_FILE],
        bindings: &[Access::Read, Access::Read, Access::ReadWrite],
        variants: &[&[]],
    },
];

/// y = max(x, 0)², dx = 2 max(x, 0) dy.
#[derive(Debug, Clone, Copy)]
struct SquaredRelu {
    /// Take the kernel with the mistake.
    mistaken: bool,
}

const NAME: &str = "squared_relu";

/// of(a, b) element by element on the CPU.
fn map<T: Element + Copy>(cpu: &Cpu, a: &Tensor, b: &Tensor, of: impl Fn(T, T) -> T) -> Result<Tensor> {
    let (a_data, b_data) = (a.cpu::<T>(NAME)?, b.cpu::<T>(NAME)?);
    Tensor::on_cpu(cpu, a.sizes(), |out: &mut [T]| {
        for ((out, &a), &b) in out.iter_mut().zip(a_data).zip(b_data) {
            *out = of(a, b);
        }
    })
}

fn dispatch(gpu: &Gpu, kernel: &'static Kernel, buffers: &[&Tensor]) -> Result<()> {
    let count = buffers[0].elements();
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel,
        element: DType::F32,
        constants: &[],
        parameters: &(count as u32).to_le_bytes(),
        buffers,
        workgroups: Workgroups::Linear(count.div_ceil(256)),
        cost: Cost { flops: 2.0 * count as f64, bytes: 4.0 * (buffers.len() * count) as f64 },
    })
}

impl Forward for SquaredRelu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        match inputs {
            [x] if matches!(x.dtype, DType::F32 | DType::F64) => Ok(vec![*x]),
            [x] => Err(Error::dtype(NAME, format!("takes f32 or f64, got {}", x.dtype))),
            _ => Err(Error::shape(NAME, format!("takes one input, got {}", inputs.len()))),
        }
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let Device::Cpu(cpu) = inputs[0].device() else { return Err(Error::device(NAME, "expected a CPU tensor")) };
        let x = inputs[0];
        Ok(vec![match x.dtype() {
            DType::F64 => map(&cpu, x, x, |x: f64, _| x.max(0.0) * x.max(0.0))?,
            _ => map(&cpu, x, x, |x: f32, _| x.max(0.0) * x.max(0.0))?,
        }])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let y = Tensor::on_gpu(gpu, NAME, inputs[0].sizes(), DType::F32)?;
        dispatch(gpu, &FORWARD, &[inputs[0], &y])?;
        Ok(vec![y])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let y = inputs[0].data.iter().map(|x| x.max(0.0).powi(2)).collect();
        vec![Defined::elementwise(Array::new(&inputs[0].sizes, y))]
    }
}

impl Operation for SquaredRelu {
    fn saves(&self) -> Saves {
        Saves { inputs: &[0], outputs: &[] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let (x, d_y) = (context.input(0)?, context.d_output(0)?);
        let Device::Cpu(cpu) = x.device() else { return Err(Error::device(NAME, "expected a CPU tensor")) };
        Ok(vec![Some(match x.dtype() {
            DType::F64 => map(&cpu, x, d_y, |x: f64, d_y| 2.0 * x.max(0.0) * d_y)?,
            _ => map(&cpu, x, d_y, |x: f32, d_y| 2.0 * x.max(0.0) * d_y)?,
        })])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let (x, d_y) = (context.input(0)?, context.d_output(0)?);
        let d_x = Tensor::on_gpu(gpu, NAME, x.sizes(), DType::F32)?;
        dispatch(gpu, &BACKWARD[usize::from(self.mistaken)], &[x, d_y, &d_x])?;
        Ok(vec![Some(d_x)])
    }
}

/// A random case: any number of rows and columns, values on both sides of 0.
fn case(mistaken: bool, draw: &mut Draw) -> Case {
    let columns = draw.size(256, draw.elements);
    let rows = draw.size(4, draw.elements / columns);
    Case::new(SquaredRelu { mistaken }, vec![draw.normals(&[rows, columns], 0.3, 1.0)])
}

fn main() -> Result<()> {
    let gpu = match check::gpu() {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("the kernels are not checked: {error}");
            None
        }
    };
    let cases = 24;
    if gpu.is_some() {
        match check::operation(|draw| case(true, draw), gpu.as_ref(), cases) {
            Err(error) => println!("with the planted mistake, as it should be:\n  {error}\n"),
            Ok(_) => {
                return Err(Error::Check { operation: NAME, message: "the planted mistake went unnoticed".into() });
            }
        }
    }
    println!("without it:");
    for verdict in check::operation(|draw| case(false, draw), gpu.as_ref(), cases)? {
        let measured = verdict.measured;
        println!(
            "  {} in {}: {} cases, forward {:.3} of its bound, backward {:.3}, finite differences {:.3}",
            verdict.name,
            verdict.dtype,
            verdict.cases,
            measured.forward.share,
            measured.backward.share,
            measured.finite_difference.share
        );
    }

    // It is now an operation like any other: solve squared_relu(w) = 2 by gradient descent on (y − 2)² with its own kernels.
    let device = gpu.unwrap_or_else(Device::cpu);
    let mut w = 0.5f32;
    for _ in 0..50 {
        let tape = Tape::new();
        let weight = tape.leaf(Tensor::new(&device, &[1], &[w])?);
        let y = apply_one(SquaredRelu { mistaken: false }, &[&weight])?;
        let d_y = 2.0 * (y.tensor().to_vec::<f32>()?[0] - 2.0);
        let mut gradients = tape.backward_from(vec![(y, Tensor::new(&device, &[1], &[d_y])?)])?;
        let gradient: Option<Var> = gradients.take(&weight).map(Var::constant);
        w -= 0.05 * gradient.map_or(Ok(vec![0.0]), |gradient| gradient.tensor().to_vec::<f32>())?[0];
    }
    println!("squared_relu(w) = 2 at w = {w:.4} (√2 = 1.4142), found by gradient descent on {}", device.name());
    Ok(())
}

//! Tensors: a shape, a type, a device and one buffer.

use std::sync::Arc;

use crate::device::cpu::Cpu;
use crate::device::cpu::memory::Block;
use crate::device::gpu::{GpuBuffer, Pending};
use crate::device::{Device, Gpu};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::Shape;

/// Shape and type: what an operation needs to know before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spec {
    /// The sizes.
    pub shape: Shape,
    /// The type of the elements.
    pub dtype: DType,
}

impl Spec {
    /// A spec of these sizes.
    ///
    /// # Errors
    /// Sizes that [`Shape::new`] refuses.
    pub fn new(sizes: &[usize], dtype: DType) -> Result<Self> {
        Ok(Self { shape: Shape::new(sizes)?, dtype })
    }

    /// Bytes of the whole tensor.
    pub fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.bytes()
    }
}

/// A contiguous row-major tensor. Cheap to clone: clones share the buffer.
#[derive(Clone)]
pub struct Tensor {
    spec: Spec,
    storage: Arc<Storage>,
}

enum Storage {
    Cpu(Block, Cpu),
    Gpu(GpuBuffer, Gpu),
}

impl Tensor {
    /// A tensor of these sizes on `device`, copied from `data`.
    ///
    /// # Errors
    /// `data` of another length than the sizes say; an allocation that the device refuses.
    pub fn new<T: Element>(device: &Device, sizes: &[usize], data: &[T]) -> Result<Self> {
        let spec = Spec::new(sizes, T::DTYPE)?;
        if data.len() != spec.shape.elements() {
            return Err(Error::shape("tensor", format!("{} elements were given for shape {sizes:?}", data.len())));
        }
        match device {
            Device::Cpu(cpu) => Self::on_cpu(cpu, sizes, |out: &mut [T]| out.copy_from_slice(data)),
            Device::Gpu(gpu) => {
                if T::DTYPE == DType::F64 {
                    return Err(Error::dtype("tensor", "f64 tensors are for the CPU: WGSL has no 64-bit floats"));
                }
                let buffer = gpu.upload("tensor", &spec, bytemuck::cast_slice(data))?;
                Ok(Self { spec, storage: Arc::new(Storage::Gpu(buffer, gpu.clone())) })
            }
        }
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn zeros(device: &Device, spec: Spec) -> Result<Self> {
        match (device, spec.dtype) {
            (Device::Gpu(gpu), dtype) if dtype != DType::F64 => {
                let buffer = gpu.allocate("zeros", &spec)?;
                gpu.zero(&buffer, &spec)?;
                Ok(Self { spec, storage: Arc::new(Storage::Gpu(buffer, gpu.clone())) })
            }
            (_, DType::F32) => Self::new(device, spec.shape.sizes(), &vec![0f32; spec.shape.elements()]),
            (_, DType::F64) => Self::new(device, spec.shape.sizes(), &vec![0f64; spec.shape.elements()]),
            (_, DType::F16) => Self::new(device, spec.shape.sizes(), &vec![half::f16::ZERO; spec.shape.elements()]),
            (_, DType::U32) => Self::new(device, spec.shape.sizes(), &vec![0u32; spec.shape.elements()]),
        }
    }

    /// A CPU tensor that `fill` writes. The slice holds old values: `fill` must write all of it.
    ///
    /// # Errors
    /// Sizes that [`Shape::new`] refuses.
    pub fn on_cpu<T: Element>(cpu: &Cpu, sizes: &[usize], fill: impl FnOnce(&mut [T])) -> Result<Self> {
        let spec = Spec::new(sizes, T::DTYPE)?;
        let count = spec.shape.elements();
        let mut block = cpu.pool.take::<T>(count);
        fill(block.as_mut_slice(count));
        Ok(Self { spec, storage: Arc::new(Storage::Cpu(block, cpu.clone())) })
    }

    /// A GPU tensor whose content is whatever was there: a kernel must write all of it.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    pub fn on_gpu(gpu: &Gpu, operation: &'static str, sizes: &[usize], dtype: DType) -> Result<Self> {
        let spec = Spec::new(sizes, dtype)?;
        let buffer = gpu.allocate(operation, &spec)?;
        Ok(Self { spec, storage: Arc::new(Storage::Gpu(buffer, gpu.clone())) })
    }

    /// A tensor over a buffer that is no pool's.
    pub(crate) fn borrowed(gpu: &Gpu, spec: Spec, buffer: GpuBuffer) -> Result<Self> {
        Ok(Self { spec, storage: Arc::new(Storage::Gpu(buffer, gpu.clone())) })
    }

    /// Shape and type.
    pub fn spec(&self) -> Spec {
        self.spec
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.spec.shape
    }

    /// The sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        self.spec.shape.sizes()
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.spec.shape.elements()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.spec.dtype
    }

    /// The device that holds the tensor.
    pub fn device(&self) -> Device {
        match &*self.storage {
            Storage::Cpu(_, cpu) => Device::Cpu(cpu.clone()),
            Storage::Gpu(_, gpu) => Device::Gpu(gpu.clone()),
        }
    }

    /// The same buffer seen with other sizes of the same product.
    ///
    /// # Errors
    /// Sizes with another product; the message names both shapes.
    pub fn reshaped(&self, sizes: &[usize]) -> Result<Self> {
        let spec = Spec::new(sizes, self.spec.dtype)?;
        if spec.shape.elements() != self.elements() {
            return Err(Error::shape("reshape", format!("{:?} cannot become {sizes:?}", self.spec.shape)));
        }
        Ok(Self { spec, storage: self.storage.clone() })
    }

    /// The elements of a CPU tensor.
    ///
    /// # Errors
    /// A GPU tensor, or another type than `T`.
    pub fn cpu<T: Element>(&self, operation: &'static str) -> Result<&[T]> {
        if self.spec.dtype == DType::F16 && T::DTYPE != DType::F16 && !self.device().is_gpu() {
            let message = format!(
                "{} was expected, got f16 {:?}: on the CPU f16 is storage only; cast it first, or compute on a GPU",
                T::DTYPE,
                self.spec.shape
            );
            return Err(Error::dtype(operation, message));
        }
        self.expect_type::<T>(operation)?;
        match &*self.storage {
            Storage::Cpu(block, _) => Ok(block.as_slice(self.elements())),
            Storage::Gpu(..) => Err(Error::device(operation, "a tensor is on the GPU, this runs on the CPU")),
        }
    }

    /// The elements of a CPU tensor to change in place. Only for a tensor that nobody else holds.
    ///
    /// # Errors
    /// A GPU tensor, another type than `T`, or a buffer that is shared with another tensor or a tape.
    pub fn cpu_mut<T: Element>(&mut self, operation: &'static str) -> Result<&mut [T]> {
        self.expect_type::<T>(operation)?;
        let count = self.elements();
        match Arc::get_mut(&mut self.storage) {
            Some(Storage::Cpu(block, _)) => Ok(block.as_mut_slice(count)),
            Some(Storage::Gpu(..)) => Err(Error::device(operation, "a tensor is on the GPU, this runs on the CPU")),
            None => Err(Error::Tape(format!(
                "{operation} would change a tensor of shape {:?} that is still in use elsewhere; drop the tape and other \
                 clones first",
                self.spec.shape
            ))),
        }
    }

    /// Whether nobody else holds the buffer.
    pub(crate) fn is_exclusive(&mut self) -> bool {
        Arc::get_mut(&mut self.storage).is_some()
    }

    /// Fails unless nobody else holds the buffer, so that a kernel may change it in place.
    ///
    /// # Errors
    /// A buffer that is shared with another tensor or a tape.
    pub fn exclusive(&mut self, operation: &'static str) -> Result<()> {
        match Arc::get_mut(&mut self.storage) {
            Some(_) => Ok(()),
            None => Err(Error::Tape(format!(
                "{operation} would change a tensor of shape {:?} that is still in use elsewhere; drop the tape and other \
                 clones first",
                self.spec.shape
            ))),
        }
    }

    fn expect_type<T: Element>(&self, operation: &'static str) -> Result<()> {
        if T::DTYPE == self.spec.dtype {
            return Ok(());
        }
        Err(Error::dtype(operation, format!("expected {}, got {} {:?}", T::DTYPE, self.spec.dtype, self.spec.shape)))
    }

    /// The buffer of a tensor on `gpu`.
    pub(crate) fn gpu_buffer(&self, operation: &'static str, gpu: &Gpu) -> Result<&GpuBuffer> {
        match &*self.storage {
            Storage::Gpu(buffer, owner) if owner == gpu => Ok(buffer),
            Storage::Gpu(_, owner) => {
                Err(Error::device(operation, format!("a tensor is on another device, {owner:?}, this runs on {gpu:?}")))
            }
            Storage::Cpu(..) => Err(Error::device(operation, format!("a tensor is on the CPU, this runs on {gpu:?}"))),
        }
    }

    /// The elements, waiting for the device if it is a GPU.
    ///
    /// # Errors
    /// Another type than `T`; a fault of the device.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.expect_type::<T>("to_vec")?;
        match &*self.storage {
            Storage::Cpu(block, _) => Ok(block.as_slice(self.elements()).to_vec()),
            Storage::Gpu(..) => self.read()?.wait(),
        }
    }

    /// Starts to read the elements back; the host may go on and fetch them later.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn read<T: Element>(&self) -> Result<Reading<T>> {
        self.expect_type::<T>("read")?;
        Ok(match &*self.storage {
            Storage::Cpu(block, _) => Reading::Ready(block.as_slice(self.elements()).to_vec()),
            Storage::Gpu(buffer, gpu) => Reading::Pending(gpu.read_buffer(buffer, self.spec.bytes() as u64)?),
        })
    }

    /// The elements as f64, whatever the type.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn to_f64(&self) -> Result<Vec<f64>> {
        Ok(match self.dtype() {
            DType::F32 => self.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
            DType::F64 => self.to_vec::<f64>()?,
            DType::F16 => self.to_vec::<half::f16>()?.into_iter().map(|x| x.to_f64()).collect(),
            DType::U32 => self.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        })
    }

    /// A copy on `device`; the tensor itself if it is there already.
    ///
    /// # Errors
    /// An allocation that the device refuses; a fault of the device.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        if self.device() == *device {
            return Ok(self.clone());
        }
        match self.dtype() {
            DType::F32 => Self::new(device, self.sizes(), &self.to_vec::<f32>()?),
            DType::F64 => Self::new(device, self.sizes(), &self.to_vec::<f64>()?),
            DType::F16 => Self::new(device, self.sizes(), &self.to_vec::<half::f16>()?),
            DType::U32 => Self::new(device, self.sizes(), &self.to_vec::<u32>()?),
        }
    }

    /// Replaces elements from `first` on with `data`. Only for a tensor that nobody else holds.
    ///
    /// # Errors
    /// Another type, more elements than there are, or a buffer that is shared.
    pub fn write<T: Element>(&mut self, first: usize, data: &[T]) -> Result<()> {
        self.expect_type::<T>("write")?;
        if first + data.len() > self.elements() {
            return Err(Error::shape(
                "write",
                format!("{} elements from {first} on do not fit into {:?}", data.len(), self.spec.shape),
            ));
        }
        self.exclusive("write")?;
        match Arc::get_mut(&mut self.storage) {
            Some(Storage::Cpu(block, _)) => block.as_mut_slice(first + data.len())[first..].copy_from_slice(data),
            Some(Storage::Gpu(buffer, gpu)) => {
                let start = first * size_of::<T>();
                if !start.is_multiple_of(4) || !size_of_val(data).is_multiple_of(4) {
                    return Err(Error::shape("write", "on a GPU, whole 32-bit words only"));
                }
                gpu.overwrite(buffer, start as u64, bytemuck::cast_slice(data))?;
            }
            None => {}
        }
        Ok(())
    }
}

/// Copies `count` elements of `source` from `source_first` on into `target` from `first` on, on the device. Only for a
/// target that nobody else holds.
///
/// # Errors
/// Other types or devices, ranges that reach beyond a tensor, or a target that is shared.
pub fn copy_range(target: &mut Tensor, first: usize, source: &Tensor, source_first: usize, count: usize) -> Result<()> {
    const NAME: &str = "copy_range";
    if source.dtype() != target.dtype() {
        return Err(Error::dtype(NAME, format!("{source:?} cannot be copied into {target:?}")));
    }
    if first + count > target.elements() || source_first + count > source.elements() {
        let message =
            format!("{count} elements of {source:?} from {source_first} on do not fit into {target:?} at {first}");
        return Err(Error::shape(NAME, message));
    }
    target.exclusive(NAME)?;
    let width = source.dtype().bytes();
    let (from, to, bytes) = (source_first * width, first * width, count * width);
    match (Arc::get_mut(&mut target.storage), &*source.storage) {
        (Some(Storage::Cpu(target, _)), Storage::Cpu(source, _)) => {
            target.bytes_mut()[to..to + bytes].copy_from_slice(&source.bytes()[from..from + bytes]);
            Ok(())
        }
        (Some(Storage::Gpu(target, gpu)), Storage::Gpu(source, other)) if gpu == other => {
            if [from, to, bytes].iter().any(|size| !size.is_multiple_of(4)) {
                return Err(Error::shape(NAME, "on a GPU, whole 32-bit words only"));
            }
            gpu.copy((&source.raw, from as u64), (&target.raw, to as u64), bytes as u64);
            Ok(())
        }
        _ => Err(Error::device(NAME, format!("{source:?} and {target:?} are on different devices"))),
    }
}

/// Elements on their way from the device.
pub enum Reading<T> {
    /// They were on the CPU.
    Ready(Vec<T>),
    /// The GPU will deliver them.
    Pending(Pending),
}

impl<T: Element> Reading<T> {
    /// Waits for the elements.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn wait(self) -> Result<Vec<T>> {
        match self {
            Self::Ready(data) => Ok(data),
            Self::Pending(pending) => Ok(bytemuck::pod_collect_to_vec(&pending.wait()?)),
        }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let device = match &*self.storage {
            Storage::Cpu(..) => "cpu",
            Storage::Gpu(..) => "gpu",
        };
        write!(formatter, "Tensor({} {:?} on {device})", self.spec.dtype, self.spec.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_buffer_is_not_changed() {
        let mut tensor = Tensor::new(&Device::cpu(), &[2], &[1f32, 2.0]).unwrap();
        let clone = tensor.clone();
        assert!(tensor.write(0, &[5f32]).unwrap_err().to_string().contains("still in use"));
        drop(clone);
        tensor.write(1, &[5f32]).unwrap();
        assert_eq!(tensor.to_vec::<f32>().unwrap(), [1.0, 5.0]);
        assert!(tensor.write(2, &[5f32]).is_err());
        assert!(tensor.to_vec::<u32>().unwrap_err().to_string().contains("expected u32, got f32 [2]"));
    }
}

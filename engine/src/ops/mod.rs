//! The operations, a folder each: `mod.rs` with the mathematics, the interface, the shape rule and the gradient,
//! `definition.rs` with the naive formula, `cpu.rs` and `gpu.rs` with the two implementations.

pub mod arithmetic;
pub mod attention;
pub mod cast;
pub mod cross_entropy;
pub mod decode;
pub mod dropout;
pub mod embedding;
pub mod gather;
pub mod linear_cross_entropy;
pub mod matmul;
pub mod mlstm;
pub mod norm;
pub mod optimizer;
mod packs;
pub mod permute;
pub mod random;
pub mod reduction;
pub mod reshape;
pub mod rotary;
mod rows;
pub mod sampling;
pub mod slice;
pub mod softmax;
pub mod swiglu;
pub(crate) mod trial;
pub mod unary;

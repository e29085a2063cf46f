//! Language models on the gradus engine: the xLSTM with the block of xLSTM 7B, and the Llama-style Transformer.
//!
//! Read in this order: [`configuration`] (what a model is), [`parameters`] (its weights by name, and how they start),
//! [`xlstm`] and [`transformer`] (the whole forward pass, a file each), [`pass`] (its precision and what is kept of it),
//! [`documents`] (borders that nothing passes), [`model`] (loss and logits), [`generate`] (token by token), [`folder`] (Hugging
//! Face folders), [`hugging_face`] (their configuration), [`tokenizer`] (text to tokens and back).

pub mod configuration;
pub mod documents;
mod error;
pub mod folder;
pub mod generate;
pub mod half;
pub mod hugging_face;
pub mod model;
pub mod parameters;
pub mod pass;
pub mod state;
pub mod tokenizer;
pub mod transformer;
pub mod xlstm;

pub use documents::Documents;
pub use error::{Error, Result};
pub use half::HalfModel;
pub use model::Model;
pub use pass::Pass;
pub use state::State;

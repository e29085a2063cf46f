//! The table of operations: what is checked of each follows from its row.

use super::{Case, Draw};
use crate::ops::arithmetic::{Arithmetic, cases as arithmetic};
use crate::ops::matmul::cases as matmul;
use crate::ops::mlstm::cases as mlstm;

/// One row: an operation and how its cases are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The operation's name.
    pub name: &'static str,
    /// Draws a case.
    pub draw: fn(&mut Draw) -> Case,
}

/// Every operation.
pub const TABLE: &[Row] = &[
    Row { name: "add", draw: |draw| arithmetic::draw(Arithmetic::Add, draw) },
    Row { name: "subtract", draw: |draw| arithmetic::draw(Arithmetic::Subtract, draw) },
    Row { name: "multiply", draw: |draw| arithmetic::draw(Arithmetic::Multiply, draw) },
    Row { name: "divide", draw: |draw| arithmetic::draw(Arithmetic::Divide, draw) },
    Row { name: "matmul", draw: matmul::draw },
    Row { name: "mlstm", draw: mlstm::draw },
];

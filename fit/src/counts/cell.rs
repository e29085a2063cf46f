//! The mLSTM cell of one layer over a whole sequence, in its three forms.

use super::{HALF, SINGLE};

/// How the cell is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CellForm {
    /// Chunks of this many tokens.
    Chunkwise(u64),
    /// Token by token.
    Recurrent,
    /// All at once, quadratic in the length.
    Parallel,
}

/// FLOPs of one layer's cell: `heads` of `d_query`, `d_value` over `length` tokens. `causal` is the part
/// of a masked square that is computed.
pub fn cell_flops(form: CellForm, length: f64, heads: f64, d_query: f64, d_value: f64, causal: f64) -> f64 {
    let (t, q, v) = (length, d_query, d_value);
    match form {
        CellForm::Chunkwise(chunk) => {
            let l = chunk as f64;
            let inside = causal * (l * l * (8.0 + 2.0 * q + 2.0 * v) + 2.0 * l);
            let states = (4.0 * l + 2.0) * q * v + 6.0 * l * q + 2.0 * q + 2.0 * l * v;
            heads * (t / l) * (l * (l + 1.0) + 12.0 * l + 5.0 + states + inside)
        }
        CellForm::Recurrent => heads * t * (6.0 * q * v + 7.0 * q + v + 12.0),
        CellForm::Parallel => {
            let square = t * t;
            let masked = causal * (2.0 * square * q + 6.0 * square + 2.0 * t + 2.0 * square * v);
            heads * (t * (t + 1.0) / 2.0 + 2.0 * t + 6.0 * square + masked)
        }
    }
}

/// Bytes moved by one layer's cell for one sequence; none is defined for the parallel form.
pub fn cell_bytes(form: CellForm, length: f64, heads: f64, d_query: f64, d_value: f64) -> Option<f64> {
    let (t, q, v) = (length, d_query, d_value);
    let state = 2.0 * (q * v + q + 1.0) * SINGLE;
    match form {
        CellForm::Chunkwise(chunk) => {
            let l = chunk as f64;
            let per_chunk = l * (3.0 * q + 3.0 * v) * HALF + 4.0 * l * HALF + state + 2.0 * l * SINGLE;
            Some(heads * (t / l) * per_chunk)
        }
        CellForm::Recurrent => Some(heads * t * ((2.0 * q + 2.0 * v + 2.0) * HALF + state)),
        CellForm::Parallel => None,
    }
}

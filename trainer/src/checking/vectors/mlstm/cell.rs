//! The inputs of one mLSTM file in the engine's layout, and which cell the file asks for.

use gradus_engine::definition::Array;
use gradus_engine::ops::mlstm::{InputGate, Mlstm, Options};

use super::super::attention::{four_dimensional, query_factor, scaled, swapped};
use super::super::file::Vectors;
use crate::error::Result;

/// What a file gives the cell.
pub struct Cell {
    pub batch: usize,
    pub heads: usize,
    pub sequence: usize,
    pub qk_dim: usize,
    pub v_dim: usize,
    /// ε.
    pub epsilon: f64,
    /// The size of the chunks at whose borders the file has states.
    pub chunk_size: Option<usize>,
    /// Where the file's scale is not 1/√dqk, the query is multiplied by this, and so is its gradient.
    pub query_factor: f64,
    /// query, key, value, input gate, forget gate as [batch, sequence, heads, ..].
    pub inputs: [Array; 5],
    /// C, n, m.
    pub initial: Option<[Array; 3]>,
    /// Upstream gradients of h, C, n, m.
    d_outputs: [Option<Array>; 4],
}

impl Cell {
    /// # Errors
    /// Tensors or parameters that are missing or do not fit each other.
    pub fn new(vectors: &Vectors) -> Result<Self> {
        let (query, [batch, heads, sequence, qk_dim]) = four_dimensional(vectors, "q")?;
        let (value, [.., v_dim]) = four_dimensional(vectors, "v")?;
        let value_sizes = [batch, heads, sequence, v_dim];
        let query_factor = query_factor(vectors, "qk_scale", qk_dim)?;
        let inputs = [
            swapped(&scaled(query, query_factor)),
            swapped(&vectors.shaped("k", &query.sizes)?),
            swapped(&vectors.shaped("v", &value_sizes)?),
            swapped(&vectors.shaped("i", &value_sizes[..3])?),
            swapped(&vectors.shaped("f", &value_sizes[..3])?),
        ];
        debug_assert_eq!(value.sizes, value_sizes);
        let state: [&[usize]; 3] = [&[batch, heads, qk_dim, v_dim], &[batch, heads, qk_dim], &[batch, heads]];
        let [c, n, m] = state;
        Ok(Self {
            batch,
            heads,
            sequence,
            qk_dim,
            v_dim,
            epsilon: vectors.number("eps")?,
            chunk_size: vectors.optional_count("chunk_size")?,
            query_factor,
            inputs,
            initial: initial(vectors, state, sequence)?,
            d_outputs: [
                vectors.optional_shaped("dh", &value_sizes)?.map(|array| swapped(&array)),
                vectors.optional_shaped("dc_last", c)?,
                vectors.optional_shaped("dn_last", n)?,
                vectors.optional_shaped("dm_last", m)?,
            ],
        })
    }

    /// Upstream gradients of h, C, n, m. A cell that does not divide by the denominator has no n to speak of.
    pub fn upstream(&self, variant: Variant) -> [Option<&Array>; 4] {
        let [h, c, n, m] = self.d_outputs.each_ref().map(Option::as_ref);
        [h, c, n.filter(|_| variant.normalizes()), m.filter(|_| variant.has_stabilizer())]
    }

    /// The sizes of C, n, m.
    pub fn state_sizes(&self) -> [Vec<usize>; 3] {
        let (batch, heads) = (self.batch, self.heads);
        [vec![batch, heads, self.qk_dim, self.v_dim], vec![batch, heads, self.qk_dim], vec![batch, heads]]
    }
}

/// The initial state: c0, n0, m0, of which those that are missing are 0, or the first of the states after every step.
fn initial(vectors: &Vectors, sizes: [&[usize]; 3], sequence: usize) -> Result<Option<[Array; 3]>> {
    let first = |name: &str, sizes: &[usize]| -> Result<Option<Array>> {
        let all = [&sizes[..2], &[sequence + 1], &sizes[2..]].concat();
        let width: usize = sizes[2..].iter().product();
        let take = |all: Array| {
            let rows = all.data.chunks((sequence + 1) * width.max(1));
            Array { sizes: sizes.to_vec(), data: rows.flat_map(|row| row[..width].to_vec()).collect() }
        };
        Ok(vectors.optional_shaped(name, &all)?.map(take))
    };
    let mut found = [None, None, None];
    for (state, (name, sizes)) in found.iter_mut().zip(["c", "n", "m"].iter().zip(sizes)) {
        *state = match vectors.optional_shaped(&format!("{name}0"), sizes)? {
            Some(array) => Some(array),
            None => first(&format!("{name}_all"), sizes)?,
        };
    }
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let zeros = |sizes: &[usize]| Array { sizes: sizes.to_vec(), data: vec![0.0; sizes.iter().product()] };
    let [c, n, m] = found;
    let [c_sizes, n_sizes, m_sizes] = sizes;
    Ok(Some([
        c.unwrap_or_else(|| zeros(c_sizes)),
        n.unwrap_or_else(|| zeros(n_sizes)),
        m.unwrap_or_else(|| zeros(m_sizes)),
    ]))
}

/// One of the cells that a file has results of.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What stands behind the names of its results.
    suffix: &'static str,
    input_gate: InputGate,
}

impl Variant {
    /// # Errors
    /// A gate that nobody knows.
    pub fn of_file(vectors: &Vectors) -> Result<Vec<Self>> {
        match vectors.word("variant").as_deref() {
            None | Some("exp") => Ok(vec![Self { suffix: "", input_gate: InputGate::Exponential }]),
            Some("sig") => {
                // Results of num itself stand beside those of num / (max(|den|, 1) + ε), or alone.
                let sigmoid = |suffix, normalize| Self { suffix, input_gate: InputGate::Sigmoid { normalize } };
                let mut all = vec![sigmoid("", vectors.optional_flag("normalize")?.unwrap_or(true))];
                if vectors.has("h_raw") {
                    all.push(sigmoid("_raw", false));
                }
                Ok(all)
            }
            Some(other) => Err(vectors.problem(format!("parameter `variant` should be exp or sig, it is `{other}`"))),
        }
    }

    /// A result's name in the file.
    pub fn name(self, result: &str) -> String {
        format!("{result}{}", self.suffix)
    }

    /// The names of C, n, m at some place.
    pub fn states(self, place: &str) -> [String; 3] {
        ["c", "n", "m"].map(|state| self.name(&format!("{state}_{place}")))
    }

    /// Whether there is an m.
    pub fn has_stabilizer(self) -> bool {
        self.input_gate == InputGate::Exponential
    }

    /// Whether h is divided by the denominator.
    pub fn normalizes(self) -> bool {
        self.input_gate != InputGate::Sigmoid { normalize: false }
    }

    /// The operation on whole sequences.
    pub fn operation(self, cell: &Cell, chunk_size: usize) -> Mlstm {
        Mlstm { chunk_size, epsilon: cell.epsilon, input_gate: self.input_gate, final_state: true }
    }

    /// The options of the functions that take a state.
    pub fn options(self, cell: &Cell, chunk_size: usize) -> Options {
        Options { chunk_size, epsilon: cell.epsilon, input_gate: self.input_gate }
    }
}

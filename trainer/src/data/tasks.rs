//! Synthetic tasks whose answers are known, made as they are needed: a row is a function of the seed and its position.
//!
//! | task | a row | what counts |
//! |---|---|---|
//! | recall | pairs of a key and its value, then keys of these in any order, each with its value | values of the second half |
//! | copy | random symbols, a separator, the same symbols | the symbols behind the separator |
//! | parity | random bits | at each bit: is the number of ones so far odd? |
//! | modular | n₁ ∘ n₂ ∘ n₃ …, n below 5, ∘ one of + − × | at each n: the value so far mod 5, from left to right |
//!
//! Recall is multi-query associative recall (Arora et al., "Zoology", arXiv 2312.04927); the others are among the tasks of
//! Delétang et al., "Neural Networks and the Chomsky Hierarchy", arXiv 2207.02098, parity and modular with an answer at every
//! place.

use std::fmt;

use clap::ValueEnum;
use gradus_engine::ops::linear_cross_entropy::IGNORED;
use serde::{Deserialize, Serialize};

use super::windows::{Batch, mix};

/// Keys, and as many values, of recall.
const KEYS: u64 = 64;
/// The most pairs of a row of recall.
const MOST_PAIRS: usize = 32;
/// Symbols of copy.
const SYMBOLS: u64 = 16;
/// The numbers of modular arithmetic are below this.
const MODULUS: u64 = 5;
/// Rows of evaluations are drawn with another seed than those to train on.
const EVALUATION: u64 = 0x65_76_61_6c;

/// Which task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Multi-query associative recall.
    Recall,
    /// The same symbols again.
    Copy,
    /// Parity of the bits so far.
    Parity,
    /// Sums, differences and products mod 5, from left to right.
    Modular,
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Recall => "recall",
            Self::Copy => "copy",
            Self::Parity => "parity",
            Self::Modular => "modular",
        })
    }
}

impl Task {
    /// Number of different tokens.
    pub fn vocabulary(self) -> usize {
        let tokens = match self {
            Self::Recall => 2 * KEYS,
            Self::Copy => SYMBOLS + 1,
            Self::Parity => 2,
            Self::Modular => MODULUS + OPERATIONS.len() as u64,
        };
        tokens as usize
    }

    /// The shortest rows that hold a question and its answer.
    pub fn least_context(self) -> usize {
        match self {
            Self::Recall => 4,
            Self::Copy => 2,
            Self::Parity | Self::Modular => 1,
        }
    }

    /// The share of answers that are right by guessing.
    pub fn chance(self) -> f64 {
        match self {
            Self::Recall => 1.0 / KEYS as f64,
            Self::Copy => 1.0 / SYMBOLS as f64,
            Self::Parity => 0.5,
            Self::Modular => 1.0 / MODULUS as f64,
        }
    }

    /// The inputs and targets of one row.
    fn row(self, context: usize, mut draw: Draw) -> (Vec<u32>, Vec<u32>) {
        match self {
            Self::Recall => recall(context, &mut draw),
            Self::Copy => {
                // Of an odd context the last symbol is not asked for.
                let count = context.div_ceil(2);
                let symbols: Vec<u32> = (0..count).map(|_| draw.below(SYMBOLS)).collect();
                let sequence = [&symbols[..], &[SYMBOLS as u32], &symbols[..]].concat();
                let targets = (0..context).map(|at| if at < count { IGNORED } else { sequence[at + 1] });
                (sequence[..context].to_vec(), targets.collect())
            }
            Self::Parity => {
                let mut odd = 0;
                let pair = |_| {
                    let bit = draw.below(2);
                    odd ^= bit;
                    (bit, odd)
                };
                (0..context).map(pair).unzip()
            }
            Self::Modular => {
                let (mut value, mut operation) = (0, 0);
                let pair = |at: usize| {
                    if at % 2 == 1 {
                        operation = draw.below(OPERATIONS.len() as u64) as usize;
                        return (MODULUS as u32 + operation as u32, IGNORED);
                    }
                    let number = draw.below(MODULUS);
                    // The first number adds to 0.
                    value = OPERATIONS[operation](value, u64::from(number)) % MODULUS;
                    (number, value as u32)
                };
                (0..context).map(pair).unzip()
            }
        }
    }
}

/// +, −, × on numbers below [`MODULUS`], up to multiples of it.
const OPERATIONS: [fn(u64, u64) -> u64; 3] = [|a, b| a + b, |a, b| a + MODULUS - b, |a, b| a * b];

/// Keys are the tokens below [`KEYS`], values those above. The sequence goes on from key to value to key; at a key's place
/// the next token is its value.
fn recall(context: usize, draw: &mut Draw) -> (Vec<u32>, Vec<u32>) {
    let pairs = (context / 4).clamp(1, MOST_PAIRS);
    let mut keys: Vec<u32> = (0..KEYS as u32).collect();
    let mut sequence = Vec::with_capacity(context + 2);
    let mut values = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        let other = pair + draw.below(KEYS - pair as u64) as usize;
        keys.swap(pair, other);
        values.push(KEYS as u32 + draw.below(KEYS));
        sequence.extend([keys[pair], values[pair]]);
    }
    while sequence.len() <= context {
        let pair = draw.below(pairs as u64) as usize;
        sequence.extend([keys[pair], values[pair]]);
    }
    let counts = |at: usize| at >= 2 * pairs && at.is_multiple_of(2);
    let targets = (0..context).map(|at| if counts(at) { sequence[at + 1] } else { IGNORED }).collect();
    (sequence[..context].to_vec(), targets)
}

/// Numbers from a counter.
struct Draw {
    key: u64,
    counter: u64,
}

impl Draw {
    fn new(seed: u64, position: u64) -> Self {
        Self { key: mix(mix(seed) ^ mix(position ^ 0x74_61_73_6b)), counter: 0 }
    }

    /// A number below `end`, which is small: no value is more than `end` / 2⁶⁴ likelier than another.
    fn below(&mut self, end: u64) -> u32 {
        self.counter += 1;
        (mix(self.key ^ mix(self.counter)) % end) as u32
    }
}

/// The endless sequence of rows of a task.
#[derive(Clone, Debug)]
pub struct Rows {
    task: Task,
    context: usize,
    seed: u64,
}

impl Rows {
    /// Rows of `context` tokens; `None` where that is too few for the task.
    pub fn new(task: Task, context: usize, seed: u64) -> Option<Self> {
        (context >= task.least_context()).then_some(Self { task, context, seed })
    }

    /// The same task with rows drawn apart from those of training; in a short context the same may come up.
    pub fn held_out(self) -> Self {
        Self { seed: mix(self.seed ^ EVALUATION), ..self }
    }

    /// The rows from a position on.
    pub fn batch(&self, position: u64, batch: usize) -> Batch {
        let context = self.context;
        let mut made = Batch { inputs: Vec::new(), targets: Vec::new(), first: None, batch, context };
        for position in position..position + batch as u64 {
            let (inputs, targets) = self.task.row(context, Draw::new(self.seed, position));
            made.inputs.extend(inputs);
            made.targets.extend(targets);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const ALL: [Task; 4] = [Task::Recall, Task::Copy, Task::Parity, Task::Modular];

    fn row(task: Task, context: usize, position: u64) -> (Vec<u32>, Vec<u32>) {
        let batch = Rows::new(task, context, 3).unwrap().batch(position, 1);
        (batch.inputs, batch.targets)
    }

    #[test]
    fn rows_are_of_their_position_alone_and_within_the_vocabulary() {
        for task in ALL {
            for context in [task.least_context(), 5, 16, 33, 200] {
                let rows = Rows::new(task, context, 3).unwrap();
                let large = rows.batch(10, 6);
                assert_eq!((large.inputs.len(), large.targets.len()), (6 * context, 6 * context));
                let small: Vec<u32> = (0..3).flat_map(|i| rows.batch(10 + 2 * i, 2).inputs).collect();
                assert_eq!(large.inputs, small, "{task}");
                let fits = |token: &u32| (*token as usize) < task.vocabulary();
                assert!(large.inputs.iter().all(fits), "{task}");
                assert!(large.targets.iter().all(|target| *target == IGNORED || fits(target)), "{task}");
                assert!(large.targets.chunks(context).all(|row| row.iter().any(fits)), "{task} {context}");
            }
            let rows = Rows::new(task, 40, 3).unwrap();
            for other in
                [rows.batch(1, 1), Rows::new(task, 40, 4).unwrap().batch(0, 1), rows.clone().held_out().batch(0, 1)]
            {
                assert_ne!(rows.batch(0, 1).inputs, other.inputs, "{task}");
            }
            assert!(Rows::new(task, task.least_context() - 1, 3).is_none());
        }
    }

    #[test]
    fn recall_asks_for_what_was_said() {
        for (context, pairs) in [(4, 1), (16, 4), (35, 8), (300, 32)] {
            for position in 0..20 {
                let (inputs, targets) = row(Task::Recall, context, position);
                let said: HashMap<u32, u32> = inputs[..2 * pairs].chunks(2).map(|pair| (pair[0], pair[1])).collect();
                assert_eq!(said.len(), pairs, "keys of a row differ");
                for (at, target) in targets.iter().enumerate() {
                    let counts = at >= 2 * pairs && at.is_multiple_of(2);
                    assert_eq!(*target, if counts { said[&inputs[at]] } else { IGNORED });
                }
            }
        }
    }

    #[test]
    fn copies_are_the_symbols_in_order() {
        for context in [2, 7, 16] {
            let (inputs, targets) = row(Task::Copy, context, 1);
            let symbols = context.div_ceil(2);
            assert_eq!(inputs[symbols..].first().copied().unwrap_or(16), 16, "a separator, unless nothing follows");
            let answers: Vec<u32> = targets.iter().copied().filter(|target| *target != IGNORED).collect();
            assert_eq!(answers, inputs[..context / 2], "{context}");
        }
    }

    #[test]
    fn parity_and_modular_arithmetic_are_right() {
        let (bits, odd) = row(Task::Parity, 60, 2);
        for at in 0..60 {
            assert_eq!(odd[at], bits[..=at].iter().sum::<u32>() % 2);
        }
        let (inputs, targets) = row(Task::Modular, 61, 2);
        let mut value = i64::from(inputs[0]);
        assert_eq!(targets[0], inputs[0]);
        for at in (2..61).step_by(2) {
            let number = i64::from(inputs[at]);
            value = match inputs[at - 1] - 5 {
                0 => value + number,
                1 => value - number,
                _ => value * number,
            }
            .rem_euclid(5);
            assert_eq!((targets[at - 1], i64::from(targets[at])), (IGNORED, value));
        }
        // All answers come about.
        for task in ALL {
            let (_, targets) = row(task, 4000, 0);
            let seen: std::collections::BTreeSet<u32> = targets.into_iter().filter(|t| *t != IGNORED).collect();
            assert!(seen.len() as f64 >= (1.0 / task.chance()).min(16.0), "{task}: {seen:?}");
        }
    }
}

//! The one error type of this crate.

use thiserror::Error;

/// What can go wrong before or after a fit; a fit that merely does not converge is no error but an
/// [`Outcome`](crate::Outcome).
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FitError {
    /// The number of starting values is not the number of parameters of the model.
    #[error("the model has {expected} parameters, but {given} starting values were given")]
    ParameterCount {
        /// Parameters of the model.
        expected: usize,
        /// Starting values given.
        given: usize,
    },
    /// Fewer points than free parameters: nothing is left to judge the fit by.
    #[error("{} cannot determine {}: add data or fix parameters", counted(*points, "point"), counted(*parameters, "parameter"))]
    TooFewPoints {
        /// Points with a weight above zero.
        points: usize,
        /// Free parameters.
        parameters: usize,
    },
    /// A bootstrap of so few points would only repeat them.
    #[error("a bootstrap needs at least {needed} points, there are {points}: use profile intervals")]
    TooFewForBootstrap {
        /// Points available.
        points: usize,
        /// The least number accepted.
        needed: usize,
    },
    /// A setting of a parameter makes no sense.
    #[error("parameter `{name}`: {problem}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A weight is negative or not finite.
    #[error("the weight of point {point} is {weight}: weights must be finite and not negative")]
    Weight {
        /// Point, counted from 0.
        point: usize,
        /// The weight given.
        weight: f64,
    },
    /// The model is not finite where the fit should start.
    #[error("the model is not finite at the start (point {}): start elsewhere or check the data", point + 1)]
    NonFiniteStart {
        /// First point with a value that is not finite, counted from 0.
        point: usize,
    },
    /// The data do not allow the fit that was asked for.
    #[error("{0}")]
    Data(String),
    /// A formula could not be read.
    #[error("formula, column {column}: {problem}")]
    Formula {
        /// Column, counted from 1.
        column: usize,
        /// What was expected.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {problem}")]
    File {
        /// The path as given.
        path: String,
        /// What the system or the parser said.
        problem: String,
    },
    /// A value in a table is not usable.
    #[error("{path}, row {row}, column `{column}`: {problem}")]
    Cell {
        /// The path as given.
        path: String,
        /// Line in the file, counted from 1, the header included.
        row: usize,
        /// Column name.
        column: String,
        /// What is wrong.
        problem: String,
    },
    /// A column that is needed is not there.
    #[error("{path} has no column `{column}`{hint}")]
    MissingColumn {
        /// The path as given.
        path: String,
        /// The column looked for.
        column: String,
        /// The nearest name, or the list of those present.
        hint: String,
    },
}

/// `1 point`, `3 points`.
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

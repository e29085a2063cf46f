//! Formulas given as text, such as `b1*(1-exp(-b2*x))`, evaluated over any [`Real`] and so differentiated
//! exactly.

use crate::FitError;
use crate::number::Real;
use crate::problem::Model;

/// Deepest stack a formula may need.
const DEPTH: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Exp,
    Ln,
    Log10,
    Log2,
    Sqrt,
    Sin,
    Cos,
    Tan,
    Atan,
    Tanh,
    Abs,
    Max,
    Min,
}

const FUNCTIONS: [(&str, Function); 15] = [
    ("exp", Function::Exp),
    ("ln", Function::Ln),
    ("log", Function::Ln),
    ("log10", Function::Log10),
    ("log2", Function::Log2),
    ("sqrt", Function::Sqrt),
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("tan", Function::Tan),
    ("atan", Function::Atan),
    ("arctan", Function::Atan),
    ("tanh", Function::Tanh),
    ("abs", Function::Abs),
    ("max", Function::Max),
    ("min", Function::Min),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Constant(f64),
    Parameter(usize),
    Column(usize),
    Add,
    Subtract,
    Multiply,
    Divide,
    Negate,
    Power,
    PowerInteger(i32),
    PowerConstant(f64),
    Call(Function),
}

/// A formula ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    steps: Vec<Step>,
    /// Names that are not parameters, in order of appearance: columns of the data.
    pub columns: Vec<String>,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    parameters: &'a [String],
    steps: Vec<Step>,
    columns: Vec<String>,
    nesting: usize,
}

impl Expression {
    /// Reads a formula whose parameters are named; every other name is a column.
    pub fn parse(text: &str, parameters: &[String]) -> Result<Self, FitError> {
        let mut parser =
            Parser { text: text.as_bytes(), at: 0, parameters, steps: Vec::new(), columns: Vec::new(), nesting: 0 };
        parser.sum()?;
        parser.blank();
        if parser.at < text.len() {
            return Err(parser.error("an operator or the end was expected here"));
        }
        let expression = Self { steps: parser.steps, columns: parser.columns };
        let unused = (0..parameters.len()).find(|&j| !expression.steps.contains(&Step::Parameter(j)));
        if let Some(j) = unused {
            let problem = "it does not occur in the formula".into();
            return Err(FitError::Parameter { name: parameters[j].clone(), problem });
        }
        expression.check_depth()?;
        Ok(expression)
    }

    fn check_depth(&self) -> Result<(), FitError> {
        let mut depth = 0usize;
        for step in &self.steps {
            match step {
                Step::Constant(_) | Step::Parameter(_) | Step::Column(_) => depth += 1,
                Step::Add | Step::Subtract | Step::Multiply | Step::Divide | Step::Power => depth -= 1,
                Step::Call(Function::Max | Function::Min) => depth -= 1,
                Step::Negate | Step::PowerInteger(_) | Step::PowerConstant(_) | Step::Call(_) => {}
            }
            if depth > DEPTH {
                return Err(FitError::Formula { column: 1, problem: "it is nested too deeply".into() });
            }
        }
        Ok(())
    }

    /// The value at given parameters and columns.
    pub fn evaluate<T: Real>(&self, parameters: &[T], columns: &[f64]) -> T {
        let mut stack = [T::constant(0.0); DEPTH];
        let mut top = 0;
        for step in &self.steps {
            match *step {
                Step::Constant(_) | Step::Parameter(_) | Step::Column(_) => {
                    stack[top] = match *step {
                        Step::Parameter(j) => parameters[j],
                        Step::Column(j) => T::constant(columns[j]),
                        Step::Constant(value) => T::constant(value),
                        _ => T::constant(f64::NAN),
                    };
                    top += 1;
                }
                Step::Add | Step::Subtract | Step::Multiply | Step::Divide | Step::Power => {
                    top -= 1;
                    let (a, b) = (stack[top - 1], stack[top]);
                    stack[top - 1] = match step {
                        Step::Add => a + b,
                        Step::Subtract => a - b,
                        Step::Multiply => a * b,
                        Step::Divide => a / b,
                        _ => a.pow(b),
                    };
                }
                Step::Negate => stack[top - 1] = -stack[top - 1],
                Step::PowerInteger(n) => stack[top - 1] = stack[top - 1].powi(n),
                Step::PowerConstant(p) => stack[top - 1] = stack[top - 1].powf(p),
                Step::Call(Function::Max | Function::Min) => {
                    top -= 1;
                    let (a, b) = (stack[top - 1], stack[top]);
                    let first = (a.value() >= b.value()) == (*step == Step::Call(Function::Max));
                    stack[top - 1] = if first { a } else { b };
                }
                Step::Call(function) => stack[top - 1] = call(function, stack[top - 1]),
            }
        }
        stack[0]
    }
}

fn call<T: Real>(function: Function, x: T) -> T {
    match function {
        Function::Exp => x.exp(),
        Function::Ln => x.ln(),
        Function::Log10 => x.ln() / std::f64::consts::LN_10,
        Function::Log2 => x.ln() / std::f64::consts::LN_2,
        Function::Sqrt => x.sqrt(),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Tan => x.sin() / x.cos(),
        Function::Atan => x.atan(),
        Function::Tanh => x.tanh(),
        Function::Abs | Function::Max | Function::Min => x.abs(),
    }
}

impl Parser<'_> {
    fn error(&self, problem: impl Into<String>) -> FitError {
        FitError::Formula { column: self.at + 1, problem: problem.into() }
    }

    fn blank(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.blank();
        let found = self.text[self.at..].starts_with(symbol.as_bytes());
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn sum(&mut self) -> Result<(), FitError> {
        self.nesting += 1;
        if self.nesting > 100 {
            return Err(self.error("it is nested too deeply"));
        }
        self.product()?;
        loop {
            let step = if self.take("+") {
                Step::Add
            } else if self.take("-") {
                Step::Subtract
            } else {
                self.nesting -= 1;
                return Ok(());
            };
            self.product()?;
            self.steps.push(step);
        }
    }

    fn product(&mut self) -> Result<(), FitError> {
        self.signed()?;
        loop {
            self.blank();
            let power = self.text[self.at..].starts_with(b"**");
            let step = if !power && self.take("*") {
                Step::Multiply
            } else if self.take("/") {
                Step::Divide
            } else {
                return Ok(());
            };
            self.signed()?;
            self.steps.push(step);
        }
    }

    /// A sign binds less than a power: −x² is −(x²).
    fn signed(&mut self) -> Result<(), FitError> {
        let mut negative = false;
        loop {
            if self.take("-") {
                negative = !negative;
            } else if !self.take("+") {
                break;
            }
        }
        self.power()?;
        if negative {
            match self.steps.last_mut() {
                Some(Step::Constant(value)) => *value = -*value,
                _ => self.steps.push(Step::Negate),
            }
        }
        Ok(())
    }

    fn power(&mut self) -> Result<(), FitError> {
        self.atom()?;
        if !(self.take("**") || self.take("^")) {
            return Ok(());
        }
        let before = self.steps.len();
        self.nesting += 1;
        if self.nesting > 100 {
            return Err(self.error("it is nested too deeply"));
        }
        self.signed()?;
        self.nesting -= 1;
        // A constant exponent has simpler derivatives, defined for negative bases too if it is whole.
        let step = match self.steps[before..] {
            [Step::Constant(value)] => {
                self.steps.pop();
                if value.fract() == 0.0 && value.abs() < 1e6 {
                    Step::PowerInteger(value as i32)
                } else {
                    Step::PowerConstant(value)
                }
            }
            _ => Step::Power,
        };
        self.steps.push(step);
        Ok(())
    }

    fn atom(&mut self) -> Result<(), FitError> {
        self.blank();
        for (open, close) in [("(", ")"), ("[", "]")] {
            if self.take(open) {
                self.sum()?;
                return if self.take(close) { Ok(()) } else { Err(self.error(format!("`{close}` is missing"))) };
            }
        }
        let start = self.at;
        match self.text.get(self.at) {
            Some(c) if c.is_ascii_digit() || *c == b'.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || *c == b'_' => {
                while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
                    self.at += 1;
                }
                let name = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
                self.name(&name)
            }
            Some(_) => Err(self.error("a number, a name or `(` was expected here")),
            None => Err(self.error("the formula ends too early")),
        }
    }

    fn number(&mut self) -> Result<(), FitError> {
        let start = self.at;
        let digits = |p: &mut Self| {
            while p.text.get(p.at).is_some_and(|c| c.is_ascii_digit() || *c == b'.') {
                p.at += 1;
            }
        };
        digits(self);
        if self.text.get(self.at).is_some_and(|c| matches!(c, b'e' | b'E')) {
            let mut ahead = self.at + 1;
            if self.text.get(ahead).is_some_and(|c| matches!(c, b'+' | b'-')) {
                ahead += 1;
            }
            if self.text.get(ahead).is_some_and(u8::is_ascii_digit) {
                self.at = ahead;
                digits(self);
            }
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        let value = text
            .parse()
            .map_err(|_| FitError::Formula { column: start + 1, problem: format!("`{text}` is not a number") })?;
        self.steps.push(Step::Constant(value));
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), FitError> {
        self.blank();
        if self.text.get(self.at).is_some_and(|c| matches!(c, b'(' | b'[')) {
            let Some(&(_, function)) = FUNCTIONS.iter().find(|f| f.0 == name) else {
                let known: Vec<&str> = FUNCTIONS.iter().map(|f| f.0).collect();
                return Err(self.error(format!("no function `{name}`; there are {}", known.join(", "))));
            };
            let close = if self.take("(") { ")" } else { "]" };
            if close == "]" {
                self.take("[");
            }
            self.sum()?;
            if matches!(function, Function::Max | Function::Min) {
                if !self.take(",") {
                    return Err(self.error(format!("`{name}` takes two values")));
                }
                self.sum()?;
            }
            if !self.take(close) {
                return Err(self.error(format!("`{close}` is missing")));
            }
            self.steps.push(Step::Call(function));
            return Ok(());
        }
        if let Some(j) = self.parameters.iter().position(|p| p == name) {
            self.steps.push(Step::Parameter(j));
        } else if name == "pi" {
            self.steps.push(Step::Constant(std::f64::consts::PI));
        } else {
            let found = self.columns.iter().position(|c| c == name).unwrap_or(self.columns.len());
            if found == self.columns.len() {
                self.columns.push(name.to_string());
            }
            self.steps.push(Step::Column(found));
        }
        Ok(())
    }
}

/// A formula with data: residuals formula − y.
#[derive(Debug, Clone)]
pub struct Curve {
    /// The formula.
    pub expression: Expression,
    /// Number of parameters.
    pub parameters: usize,
    /// The formula's columns, one row a point.
    pub rows: Vec<Vec<f64>>,
    /// Measured values.
    pub y: Vec<f64>,
}

impl Model for Curve {
    fn parameter_count(&self) -> usize {
        self.parameters
    }
    fn point_count(&self) -> usize {
        self.y.len()
    }
    fn residual<T: Real>(&self, point: usize, parameters: &[T]) -> T {
        self.expression.evaluate(parameters, &self.rows[point]) - self.y[point]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Dual;

    fn value(text: &str) -> f64 {
        let names = ["a".to_string(), "b".to_string()];
        Expression::parse(&format!("{text}+0*a*b"), &names).expect(text).evaluate(&[2.0, 3.0], &[5.0])
    }

    #[test]
    fn arithmetic_binds_as_in_mathematics() {
        for (text, expected) in [
            ("1+2*3", 7.0),
            ("-a^2", -4.0),
            ("2^-1", 0.5),
            ("2^3^2", 512.0),
            ("8/2/2", 2.0),
            ("-2**2", -4.0),
            ("1e-2*1E2", 1.0),
            ("a*(b-x)", -4.0),
            ("exp[ln(b)]", 3.0),
            ("max(a,b)-min(a,b)", 1.0),
            ("sqrt(abs(-9))", 3.0),
            ("log10(100)", 2.0),
            ("sin(pi/2)", 1.0),
            ("(-8)^2", 64.0),
            ("x**(-1/b)", 5f64.powf(-1.0 / 3.0)),
        ] {
            assert!((value(text) - expected).abs() < 1e-14, "{text} is {}", value(text));
        }
    }

    #[test]
    fn derivatives_are_exact() {
        let names = ["a".to_string()];
        let formula = Expression::parse("a^2*exp(-a*x)", &names).expect("valid");
        let dual = formula.evaluate(&[Dual::<f64, 1>::variable(0.7, 0)], &[1.3]);
        let expected = (2.0 * 0.7 - 1.3 * 0.49) * (-0.7f64 * 1.3).exp();
        assert!((dual.derivative[0] - expected).abs() < 1e-15);
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let names = ["a".to_string()];
        for (text, at, word) in [
            ("a*", 3, "early"),
            ("a+(x", 5, "`)`"),
            ("a*foo(x)", 6, "foo"),
            ("a 2", 3, "operator"),
            ("a*1.2.3", 3, "not a number"),
            ("", 1, "early"),
            ("a*$", 3, "expected"),
            ("a*max(x)", 8, "two"),
        ] {
            match Expression::parse(text, &names).expect_err(text) {
                FitError::Formula { column, problem } => {
                    assert!(problem.contains(word), "{text}: {problem}");
                    assert_eq!(column, at, "{text}: {problem}");
                }
                other => panic!("{text}: {other}"),
            }
        }
        assert!(Expression::parse("x", &names).expect_err("unused").to_string().contains("`a`"));
        assert!(Expression::parse(&"(".repeat(10_000), &names).is_err());
        assert!(Expression::parse(&"a^".repeat(10_000), &names).is_err());
    }
}

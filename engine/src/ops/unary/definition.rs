//! y = f(x), element by element.

use super::Unary;
use crate::definition::{Array, Defined};

/// f(x), and what the rounding errors of a good f are proportional to.
fn value(function: Unary, x: f64) -> (f64, f64) {
    let plain = |y: f64| (y, y.abs());
    match function {
        Unary::Sigmoid => plain(1.0 / (1.0 + (-x).exp())),
        Unary::SoftCap(cap) => plain(cap * (x / cap).tanh()),
        Unary::Tanh => plain(x.tanh()),
        // WGSL allows exp an error of 3 + 2|x| units in the last place.
        Unary::Exp => (x.exp(), x.exp() * (1.0 + x.abs())),
        // Near 1, WGSL's log is good to an absolute error only.
        Unary::Log => (x.ln(), x.ln().abs() + 1.0),
        Unary::Sqrt => plain(x.sqrt()),
        Unary::Silu => plain(x / (1.0 + (-x).exp())),
        Unary::Gelu => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let terms = 0.5 * x.abs() * (1.0 + u.tanh().abs());
            (0.5 * x * (1.0 + u.tanh()), terms)
        }
        Unary::LogSigmoid => plain(x.min(0.0) - (-x.abs()).exp().ln_1p()),
        Unary::Softplus => plain(x.max(0.0) + (-x.abs()).exp().ln_1p()),
        Unary::Scale(factor) => plain(factor * x),
        Unary::Square => plain(x * x),
        // Whole powers are products of c factors; others e^(c ln x), whose exp amplifies the rounding of its argument.
        Unary::Power(exponent) => {
            let y = x.powf(exponent);
            let amplified = if exponent.fract() == 0.0 { 0.0 } else { (exponent * x.ln()).abs() };
            (y, y.abs() * (1.0 + amplified + exponent.abs()))
        }
    }
}

pub(super) fn define(function: Unary, x: &Array) -> Vec<Defined> {
    let (values, magnitude) = x.data.iter().map(|&x| value(function, x)).unzip();
    vec![Defined { value: Array::new(&x.sizes, values), magnitude, terms: 1 }]
}

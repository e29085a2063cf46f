//! y = e^x / Σ e^x, or its logarithm, from the row's maximum so that f64 does not overflow.

use super::Softmax;
use crate::definition::{Array, Defined};

pub(super) fn define(softmax: Softmax, x: &Array) -> Vec<Defined> {
    let (mut value, mut magnitude) = (Vec::new(), Vec::new());
    for row in x.data.chunks(x.last().max(1)) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = row.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
        for &x in row {
            let log = x - most - log_sum;
            match softmax {
                // The exp amplifies the rounding of its argument, and WGSL allows it 3 + 2|x| units besides.
                Softmax::Probability => {
                    value.push(log.exp());
                    magnitude.push(log.exp() * (1.0 + x.abs() + most.abs()));
                }
                Softmax::Logarithm => {
                    value.push(log);
                    magnitude.push(x.abs() + most.abs() + log_sum + 1.0);
                }
            }
        }
    }
    vec![Defined { value: Array::new(&x.sizes, value), magnitude, terms: x.last().max(1) }]
}

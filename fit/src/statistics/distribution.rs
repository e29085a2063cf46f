//! Quantiles of Student's t and of a sample.

/// ln Γ(x), x > 0 (Lanczos' approximation, g = 7).
fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum = C.iter().enumerate().skip(1).fold(C[0], |s, (i, c)| s + c / (x + i as f64));
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised incomplete beta function (continued fraction of Lentz).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let tiny = 1e-300;
    let mut c = 1.0;
    let mut d = 1.0 / (1.0 - (a + b) * x / (a + 1.0)).abs().max(tiny);
    let mut f = d;
    for k in 1..500 {
        let m = f64::from(k);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 + term * d;
            c = 1.0 + term / c;
            d = 1.0 / if d.abs() < tiny { tiny } else { d };
            c = if c.abs() < tiny { tiny } else { c };
            change = c * d;
            f *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * f
}

/// P(T ≤ t) for Student's t with `freedom` degrees.
pub fn student_cdf(t: f64, freedom: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The t with P(T ≤ t) = `probability`; infinite without degrees of freedom.
pub fn student_quantile(probability: f64, freedom: usize) -> f64 {
    if freedom == 0 {
        return if probability > 0.5 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    if probability < 0.5 {
        return -student_quantile(1.0 - probability, freedom);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while student_cdf(high, freedom as f64) < probability && high < 1e12 {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if student_cdf(middle, freedom as f64) < probability {
            low = middle;
        } else {
            high = middle;
        }
        if high - low <= f64::EPSILON * high {
            break;
        }
    }
    0.5 * (low + high)
}

/// Quantile of a sample, linear between order statistics; the sample is sorted in place.
pub fn sample_quantile(sample: &mut [f64], probability: f64) -> f64 {
    if sample.is_empty() {
        return f64::NAN;
    }
    sample.sort_by(f64::total_cmp);
    let position = probability * (sample.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sample.len() - 1);
    sample[below] + (position - below as f64) * (sample[above] - sample[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_quantiles_of_the_tables() {
        for (freedom, expected) in
            [(1, 12.706_204_736), (2, 4.302_652_730), (5, 2.570_581_836), (30, 2.042_272_456), (1000, 1.962_339_080)]
        {
            let found = student_quantile(0.975, freedom);
            assert!((found - expected).abs() < 1e-8, "{freedom}: {found}");
        }
        assert!(student_quantile(0.975, 0).is_infinite());
        assert_eq!(sample_quantile(&mut [3.0, 1.0, 2.0], 0.25), 1.5);
    }
}

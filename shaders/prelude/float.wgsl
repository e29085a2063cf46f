// Elementary functions that stay right for every finite argument.
//
// WGSL lets exp and tanh overflow into anything a driver likes (tanh above 44 is NaN on Metal) and has no log1p, so the
// arguments are bounded first and logarithms near 1 are taken by a series.

// Stands for minus infinity under a maximum or an exp: WGSL may assume that there are no infinities.
const LOWEST: f32 = -1e30;

// The least finite number, for maxima over numbers that may be below LOWEST.
const LEAST: f32 = -0x1.fffffep127;

// e^x. Below -87 the result would be denormal and is 0; above 88 it is the largest e^x that is finite.
fn safe_exp(x: f32) -> f32 {
    return select(exp(min(x, 88.0)), 0.0, x < -87.0);
}

// tanh x; from |x| = 9 on the result rounds to 1. Near 0, where (1-e)/(1+e) would cancel, its continued fraction.
fn safe_tanh(x: f32) -> f32 {
    let magnitude = min(abs(x), 10.0);
    let square = magnitude * magnitude;
    let near = magnitude * (10395.0 + square * (1260.0 + square * 21.0))
        / (10395.0 + square * (4725.0 + square * (210.0 + square)));
    let e = exp(-2.0 * magnitude);
    let far = (1.0 - e) / (1.0 + e);
    return select(far, near, magnitude < 0.625) * sign(x);
}

// ln(1 + x) for 0 <= x <= 1: 2 atanh(z) as a series in z = x / (2 + x) <= 1/3.
fn log_1p_unit(x: f32) -> f32 {
    let z = x / (2.0 + x);
    let square = z * z;
    var sum = 1.0 / 15.0;
    sum = sum * square + 1.0 / 13.0;
    sum = sum * square + 1.0 / 11.0;
    sum = sum * square + 1.0 / 9.0;
    sum = sum * square + 1.0 / 7.0;
    sum = sum * square + 1.0 / 5.0;
    sum = sum * square + 1.0 / 3.0;
    return 2.0 * (z + z * square * sum);
}

// 1 / (1 + e^-x), from e^-|x| so that nothing overflows.
fn sigmoid(x: f32) -> f32 {
    let e = safe_exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

// ln sigmoid(x) = min(x, 0) - ln(1 + e^-|x|).
fn log_sigmoid(x: f32) -> f32 {
    return min(x, 0.0) - log_1p_unit(safe_exp(-abs(x)));
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|).
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log_1p_unit(safe_exp(-abs(x)));
}

// Neither infinite nor not a number, tested by bits since a compiler may assume that x is finite.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

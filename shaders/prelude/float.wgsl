// Elementary functions that stay right for every finite argument, and keep what is not a number.
//
// WGSL lets exp and tanh overflow into anything a driver likes (tanh above 44 is NaN on Metal), allows exp an error of
// 3 + 2|x| units in the last place and log near 1 an absolute one, and has no log1p. So arguments are bounded first, and exp
// and the logarithms are polynomials of our own. Of a NaN, which a compiler may assume away, the bits are looked at.

// Stands for minus infinity under a maximum or an exp: WGSL may assume that there are no infinities.
const LOWEST: f32 = -1e30;

// The least finite number, for maxima over numbers that may be below LOWEST.
const LEAST: f32 = -0x1.fffffep127;

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// e^x, to two units in the last place on every driver. Below -87 the result would be denormal and is 0; above 88 it is the
// largest e^x that is finite. x = k ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial, 2^k by the exponent's bits.
// The first part of ln 2 has so few digits that its products with k are exact.
fn safe_exp(x: f32) -> f32 {
    let bounded = clamp(x, -87.0, 88.0);
    let k = round(bounded * 1.442695041);
    let r = (bounded - k * 0.693359375) + k * 2.12194440e-4;
    var p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let result = p * bitcast<f32>(u32(i32(k) + 127) << 23u);
    return select(select(result, 0.0, x < -87.0), x, is_nan(x));
}

// ln x, to two units in the last place on every driver, near 1 too. x = 2^k · m with m from sqrt(1/2) to sqrt(2), ln m by
// Cephes' polynomial in m - 1, which is exact. What is not positive, normal and finite is left to the driver.
fn safe_log(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let k = bitcast<i32>(bits - 0x3f3504f3u) >> 23u;
    let f = bitcast<f32>(bits - (bitcast<u32>(k) << 23u)) - 1.0;
    var p = 7.0376836292e-2;
    p = p * f - 1.1514610310e-1;
    p = p * f + 1.1676998740e-1;
    p = p * f - 1.2420140846e-1;
    p = p * f + 1.4249322787e-1;
    p = p * f - 1.6668057665e-1;
    p = p * f + 2.0000714765e-1;
    p = p * f - 2.4999993993e-1;
    p = p * f + 3.3333331174e-1;
    let square = f * f;
    let low = p * f * square - f32(k) * 2.12194440e-4 - 0.5 * square;
    let result = (f + low) + f32(k) * 0.693359375;
    return select(result, log(x), bits - 0x00800000u >= 0x7f000000u);
}

// tanh x; from |x| = 9 on the result rounds to 1. Near 0, where (1-e)/(1+e) would cancel, its continued fraction.
fn safe_tanh(x: f32) -> f32 {
    let magnitude = min(abs(x), 10.0);
    let square = magnitude * magnitude;
    let near = magnitude * (10395.0 + square * (1260.0 + square * 21.0))
        / (10395.0 + square * (4725.0 + square * (210.0 + square)));
    let e = safe_exp(-2.0 * magnitude);
    let far = (1.0 - e) / (1.0 + e);
    return select(select(far, near, magnitude < 0.625) * sign(x), x, is_nan(x));
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

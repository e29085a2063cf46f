// x to the power of the constant c, and its derivative c · x^(c - 1); for x < 0 where c is a whole number.
//
// `whole` says what c is: 0 no whole number, 1 an even one, 2 an odd one. A whole number of up to 64 is reached by
// squaring, whatever the sign of x; others are e^(c ln |x|) with the sign put back. What is infinite or no
// number comes from `infinity` and `not_a_number`, which the host fills in: a compiler may assume that neither exists.

const MOST_SQUARED: f32 = 64.0;

fn signed_infinity(x: f32, odd: bool) -> f32 {
    let negative = odd && bitcast<u32>(x) >= 0x80000000u;
    return select(parameters.infinity, -parameters.infinity, negative);
}

// x^n for a whole n of either sign.
fn squared_up(x: f32, exponent: f32) -> f32 {
    var n = u32(abs(exponent));
    let odd = (n & 1u) == 1u;
    var factor = x;
    var result = 1.0;
    while n > 0u {
        if (n & 1u) == 1u {
            result *= factor;
        }
        factor *= factor;
        n >>= 1u;
    }
    if exponent >= 0.0 {
        return result;
    }
    return select(1.0 / result, signed_infinity(x, odd), result == 0.0);
}

fn raised(x: f32, exponent: f32, whole: u32) -> f32 {
    if is_nan(x) && exponent != 0.0 {
        return x;
    }
    if whole > 0u && abs(exponent) <= MOST_SQUARED {
        return squared_up(x, exponent);
    }
    if x == 0.0 {
        return select(signed_infinity(x, whole == 2u), select(0.0, x, whole == 2u), exponent > 0.0);
    }
    if x < 0.0 && whole == 0u {
        return parameters.not_a_number;
    }
    let logarithm = exponent * safe_log(abs(x));
    let magnitude = select(safe_exp(logarithm), parameters.infinity, logarithm > 88.7);
    return select(magnitude, -magnitude, x < 0.0 && whole == 2u);
}

fn value(x: f32) -> f32 {
    return raised(x, parameters.constant, parameters.whole);
}

fn slope(x: f32) -> f32 {
    let c = parameters.constant;
    if c == 0.0 {
        return 0.0;
    }
    // One less than an even number is odd, and the other way round.
    return c * raised(x, c - 1.0, select(3u - parameters.whole, 0u, parameters.whole == 0u));
}

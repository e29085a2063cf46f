// Between the bits of f32 and of f16, by integers alone: WGSL leaves the rounding, the overflow and the subnormal numbers of
// pack2x16float and unpack2x16float to the driver, and a compiler may assume that there are no infinities and no NaN.

// The nearest f16, of two equally near ones the even one; infinite from 65520 on; a NaN stays a quiet one with its first bits.
fn half_of(bits: u32) -> u32 {
    let sign = (bits >> 16u) & 0x8000u;
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u {
        return sign | 0x7e00u | ((magnitude >> 13u) & 0x1ffu);
    }
    if magnitude >= 0x477ff000u {
        return sign | 0x7c00u;
    }
    if magnitude >= 0x38800000u {
        // At least 2^-14, the smallest normal one: the exponent's bias goes from 127 to 15.
        let rounded = magnitude + 0xfffu + ((magnitude >> 13u) & 1u);
        return sign | ((rounded - 0x38000000u) >> 13u);
    }
    // Subnormal: a multiple of 2^-24, from the mantissa shifted by what the exponent says. Under 2^-25 it is 0.
    let exponent = magnitude >> 23u;
    if exponent < 102u {
        return sign;
    }
    let shift = 126u - exponent;
    let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    let whole = mantissa >> shift;
    let rest = mantissa & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    let up = rest > half || (rest == half && (whole & 1u) == 1u);
    return sign | (whole + u32(up));
}

// The f32 of the low 16 bits: exact.
fn float_of(half: u32) -> u32 {
    let sign = (half & 0x8000u) << 16u;
    let exponent = (half >> 10u) & 31u;
    let mantissa = half & 0x3ffu;
    if exponent == 31u {
        return sign | 0x7f800000u | (mantissa << 13u) | select(0x400000u, 0u, mantissa == 0u);
    }
    if exponent > 0u {
        return sign | ((exponent + 112u) << 23u) | (mantissa << 13u);
    }
    if mantissa == 0u {
        return sign;
    }
    // Subnormal: mantissa · 2^-24, whose highest bit becomes the leading one of an f32.
    let highest = 31u - countLeadingZeros(mantissa);
    return sign | ((highest + 103u) << 23u) | ((mantissa << (23u - highest)) & 0x7fffffu);
}

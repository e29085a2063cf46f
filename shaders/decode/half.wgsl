// Eight f16 numbers as a vector of four words, two in each, the first in the lower half. Unpacked by a built-in function that
// every device has: f16 is only how they are stored, and devices without f16 arithmetic read them too.

fn lower(pack: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(pack.x), unpack2x16float(pack.y));
}

fn upper(pack: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(pack.z), unpack2x16float(pack.w));
}

// 2^x for weights that are rounded to f16 in the end: the driver's, which is good to 3 + 2|x| units of f32 in the last place.
// Arguments are bounded below, where the result is next to nothing; callers keep them below 128.

const LOG2_E: f32 = 1.442695041;

fn rough_exp2(x: vec4<f32>) -> vec4<f32> {
    return exp2(max(x, vec4<f32>(-126.0)));
}

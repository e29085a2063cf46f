// Rows are read four elements at a time: their length is a multiple of 4.

alias Pack = vec4<f32>;
// The like in a tensor that mixed precision keeps as f16.
alias Stored = vec4<Element>;

fn total(x: Pack) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}

fn sigmoid_pack(x: Pack) -> Pack {
    return Pack(sigmoid(x.x), sigmoid(x.y), sigmoid(x.z), sigmoid(x.w));
}

fn exp_pack(x: Pack) -> Pack {
    return Pack(safe_exp(x.x), safe_exp(x.y), safe_exp(x.z), safe_exp(x.w));
}

fn highest(x: Pack) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

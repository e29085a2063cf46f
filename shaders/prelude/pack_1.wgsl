// Rows are read one element at a time: their length is not a multiple of 4.

alias Pack = f32;
// The like in a tensor that mixed precision keeps as f16.
alias Stored = Element;

fn total(x: Pack) -> f32 {
    return x;
}

fn sigmoid_pack(x: Pack) -> Pack {
    return sigmoid(x);
}

fn exp_pack(x: Pack) -> Pack {
    return safe_exp(x);
}

fn highest(x: Pack) -> f32 {
    return x;
}

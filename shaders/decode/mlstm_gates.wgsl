// One position of the mLSTM in a model: where things are, and the gates.
//
// projection: [batch, width], for each text q [heads, dqk], k [heads, dqk], v [heads, dv], o [heads, dv], i [heads], f [heads],
// before biases and caps; bias: [2, heads], of i, then of f. A cell is a text and a head: cell = text · heads + head.
// i' = cap tanh((i + bias) / cap), f' likewise; m' = max(ln sigmoid(f') + m, i').

struct Parameters {
    cells: u32,
    heads: u32,
    qk_dim: u32,
    v_dim: u32,
    width: u32,
    cap: f32,
    scale: f32,         // 1 / sqrt(dqk)
    cell_epsilon: f32,
    norm_epsilon: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> projection: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;

struct Gates {
    forget: f32,      // the factor of the state
    input: f32,       // the factor of the position
    stabilizer: f32,  // m'
}

fn capped(x: f32) -> f32 {
    return parameters.cap * safe_tanh(x / parameters.cap);
}

fn gates_of(cell: u32, before: f32) -> Gates {
    let head = cell % parameters.heads;
    let place = cell / parameters.heads * parameters.width
        + 2u * parameters.heads * (parameters.qk_dim + parameters.v_dim) + head;
    let log_input = capped(projection[place] + bias[head]);
    let log_forget = log_sigmoid(capped(projection[place + parameters.heads] + bias[parameters.heads + head]));
    let after = max(log_forget + before, log_input);
    return Gates(safe_exp(log_forget + before - after), safe_exp(log_input - after), after);
}

fn query_place(cell: u32) -> u32 {
    return cell / parameters.heads * parameters.width + cell % parameters.heads * parameters.qk_dim;
}

fn key_place(cell: u32) -> u32 {
    return query_place(cell) + parameters.heads * parameters.qk_dim;
}

fn value_place(cell: u32) -> u32 {
    return cell / parameters.heads * parameters.width + 2u * parameters.heads * parameters.qk_dim
        + cell % parameters.heads * parameters.v_dim;
}

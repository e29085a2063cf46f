// Gradients of cross_entropy/forward.wgsl, with p = e^x / Σ e^x:
//
//   d_logits = (p - [column = target]) · d_loss · inverse + p · d_log_sum_exp,   the first term 0 in an ignored row
//
// logits, d_logits: [rows, vocabulary]; targets, d_log_sum_exp: [rows]; saved: [rows, 3] of the forward; d_loss: [rows] if
// PER_ROW, else [1]; inverse: [1]. LOSS or LOG_SUM_EXP 0: there is no such gradient, and some other tensor is bound. One
// invocation computes one element. At the target p - 1 is taken from the other columns' sum, so that it does not cancel.
// A row that the forward found to be wrong gets NaN, unless nothing flows to it.

struct Parameters {
    elements: u32,  // rows · vocabulary
    vocabulary: u32,
    ignored: u32,
    not_a_number: u32,  // its bits
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> saved: array<f32>;
@group(0) @binding(4) var<storage, read> inverse: array<f32>;
@group(0) @binding(5) var<storage, read> d_loss: array<f32>;
@group(0) @binding(6) var<storage, read> d_log_sum_exp: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_logits: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index >= parameters.elements {
        return;
    }
    let row = index / parameters.vocabulary;
    let column = index - row * parameters.vocabulary;
    let wanted = targets[row];
    let counts = LOSS == 1u && wanted != parameters.ignored;
    if !counts && LOG_SUM_EXP == 0u {
        d_logits[index] = 0.0;
        return;
    }
    let total = saved[row * 3u + 2u];
    if total == 0.0 {
        d_logits[index] = bitcast<f32>(parameters.not_a_number);
        return;
    }
    let e = safe_exp(logits[index] - saved[row * 3u]);
    var d = 0.0;
    if counts {
        let factor = d_loss[select(0u, row, PER_ROW == 1u)] * inverse[0];
        d = select(e, -saved[row * 3u + 1u], column == wanted) * factor;
    }
    if LOG_SUM_EXP == 1u {
        d += e * d_log_sum_exp[row];
    }
    d_logits[index] = d / total;
}

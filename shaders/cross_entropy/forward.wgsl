// Loss and log-sum-exp of each row of logits, and what the backward needs of it:
//
//   loss = ln Σ e^x - x[target], 0 if the target is `ignored`;   log_sum_exp = ln Σ e^x
//
// logits: [rows, vocabulary]; targets, losses, log_sum_exps: [rows]; saved: [rows, 3], the largest logit, Σ e^(x - largest)
// without the target's and with it, the latter 0 for a row that is wrong. SPAN invocations share a row, 256 / SPAN rows a
// workgroup; stable and with barriers as in cross_entropy/row.wgsl. A logit that is not finite or a target outside the
// vocabulary makes the row's results NaN; such a target is reported besides.

struct Parameters {
    rows: u32,
    vocabulary: u32,
    ignored: u32,
    not_a_number: u32,  // its bits
    operation: u32,     // for the fault record
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_sum_exps: array<f32>;
@group(0) @binding(5) var<storage, read_write> saved: array<f32>;
@group(0) @binding(6) var<storage, read_write> faults: array<atomic<u32>>;

fn capped(x: f32) -> f32 {
    return x;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(group, groups) * (256u / SPAN) + lane / SPAN;
    let inside = row < parameters.rows;
    var wanted = parameters.ignored;
    if inside {
        wanted = targets[row];
    }
    let ignored = wanted == parameters.ignored;
    let found = row_from(row * parameters.vocabulary, parameters.vocabulary, wanted, ignored, inside, lane);
    if !inside || lane % SPAN != 0u {
        return;
    }
    if !ignored && wanted >= parameters.vocabulary {
        report_index(parameters.operation, wanted, parameters.vocabulary);
    }
    let invalid = bitcast<f32>(parameters.not_a_number);
    let log_sum = log_total(found);
    let loss = select(log_sum + (found.top - found.at_target), invalid, found.wrong);
    losses[row] = select(loss, 0.0, ignored);
    log_sum_exps[row] = select(found.top + log_sum, invalid, found.wrong);
    saved[row * 3u] = found.top;
    saved[row * 3u + 1u] = found.others;
    saved[row * 3u + 2u] = select(found.total, 0.0, found.wrong);
}

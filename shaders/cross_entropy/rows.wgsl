// Loss of each row of a block of logits, and in place of the logits their gradients:
//
//   z = cap · tanh(x / cap), or x without a cap;   loss = ln Σ e^z - z[target]
//   dx = (e^z / Σ e^z - [column = target]) · (1 - (z / cap)²) · inverse · boost
//
// logits: [rows, vocabulary] of the block; targets, losses: of all rows, the block's from `first_row` on; inverse: [1],
// 1 / (rows that count). GRADIENTS = 0: only the loss, the logits stay.
// One workgroup does one row in two passes: what it comes to (cross_entropy/row.wgsl, with SPAN = 256), then each
// invocation writes the gradients of its columns. A logit that is not finite, told by bits, or a target outside the
// vocabulary makes the row NaN: a mistake must show. Such a target is reported besides.

const LANES: u32 = 256u;

struct Parameters {
    rows: u32,
    vocabulary: u32,
    first_row: u32,
    ignored: u32,
    cap: f32,  // 0: none
    not_a_number: u32,  // its bits
    operation: u32,     // for the fault record
    boost: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> inverse: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> faults: array<atomic<u32>>;

fn capped(x: f32) -> f32 {
    if parameters.cap > 0.0 {
        return parameters.cap * safe_tanh(x / parameters.cap);
    }
    return x;
}

// dz / dx = 1 - tanh²(x / cap) = 4e / (1 + e)² with e = e^(-2|x| / cap), which does not cancel where tanh is near 1.
fn slope(x: f32) -> f32 {
    if parameters.cap > 0.0 {
        let e = safe_exp(-2.0 * abs(x) / parameters.cap);
        return 4.0 * e / ((1.0 + e) * (1.0 + e));
    }
    return 1.0;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= parameters.rows {
        return;
    }
    let begin = row * parameters.vocabulary;
    let wanted = targets[parameters.first_row + row];
    let ignored = wanted == parameters.ignored;
    if lane == 0u && !ignored && wanted >= parameters.vocabulary {
        report_index(parameters.operation, wanted, parameters.vocabulary);
    }
    let found = row_from(begin, parameters.vocabulary, wanted, ignored, true, lane);
    // An ignored row counts for nothing, whatever its logits are.
    let wrong = found.wrong && !ignored;
    let invalid = bitcast<f32>(parameters.not_a_number);
    if lane == 0u {
        let loss = log_total(found) + (found.top - found.at_target);
        losses[parameters.first_row + row] = select(select(loss, invalid, wrong), 0.0, ignored);
    }
    if GRADIENTS == 0u {
        return;
    }
    let share = inverse[0] * parameters.boost / found.total;
    for (var column = lane; column < parameters.vocabulary; column += LANES) {
        let x = logits[begin + column];
        var d = safe_exp(capped(x) - found.top) * share;
        if column == wanted {
            d = -found.others * share;
        }
        d *= slope(x);
        // Stored by a branch of its own: what an ignored row's logits are must not matter, finite or not.
        if ignored {
            logits[begin + column] = 0.0;
        } else if wrong {
            logits[begin + column] = invalid;
        } else {
            logits[begin + column] = d;
        }
    }
}

// Loss of each row of a block of logits, and in place of the logits their gradients:
//
//   z = cap · tanh(x / cap), or x without a cap;   loss = ln Σ e^z - z[target]
//   dx = (e^z / Σ e^z - [column = target]) · (1 - (z / cap)²) · inverse
//
// logits: [rows, vocabulary] of the block; targets, losses: of all rows, the block's from `first_row` on; inverse: [1],
// 1 / (rows that count). GRADIENTS = 0: only the loss, the logits stay.
// One workgroup does one row in two passes. First each invocation keeps the largest z of its columns i, i + 256, ... and
// Σ e^(z - largest), rescaled when the largest grows, so that no exponent is above 0; the 256 pairs are merged in a fixed
// tree. Then each writes the gradients of its columns. Maxima start from LOWEST, which every logit exceeds. The target's
// column is left out of these sums and added last: where it has nearly all of the softmax, the loss and its gradient come
// from the others' sum, since 1 minus its share would be nothing but rounding.
// A logit that is not finite, told by bits, or a target outside the vocabulary makes the row NaN: a mistake must show. Such a target is
// reported besides.
// Barriers: pairs complete before each level of the tree, and before all read the result. The target's logit is read
// before the tree, so before anybody overwrites it.

const LANES: u32 = 256u;

struct Parameters {
    rows: u32,
    vocabulary: u32,
    first_row: u32,
    ignored: u32,
    cap: f32,  // 0: none
    not_a_number: u32,  // its bits
    operation: u32,     // for the fault record
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> inverse: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> faults: array<atomic<u32>>;

var<workgroup> largest: array<f32, LANES>;
var<workgroup> sums: array<f32, LANES>;
var<workgroup> bad: array<u32, LANES>;

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
    var most = LOWEST;
    var sum = 0.0;
    var found = select(1u, 0u, ignored || wanted < parameters.vocabulary);
    for (var column = lane; column < parameters.vocabulary; column += LANES) {
        let x = logits[begin + column];
        found |= select(1u, 0u, is_finite(x));
        let z = capped(x);
        if column == wanted {
            continue;
        }
        if z > most {
            sum = sum * safe_exp(most - z) + 1.0;
            most = z;
        } else {
            sum += safe_exp(z - most);
        }
    }
    let known = min(wanted, parameters.vocabulary - 1u);
    let at_target = capped(logits[begin + known]);
    largest[lane] = most;
    sums[lane] = sum;
    bad[lane] = found;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            let other = largest[lane + half];
            let both = max(largest[lane], other);
            sums[lane] = sums[lane] * safe_exp(largest[lane] - both) + sums[lane + half] * safe_exp(other - both);
            largest[lane] = both;
            bad[lane] |= bad[lane + half];
        }
        workgroupBarrier();
    }
    let top = max(largest[0], at_target);
    let others = sums[0] * safe_exp(largest[0] - top);
    let total = others + safe_exp(at_target - top);
    // An ignored row counts for nothing, whatever its logits are.
    let wrong = bad[0] != 0u && !ignored;
    let invalid = bitcast<f32>(parameters.not_a_number);
    if lane == 0u {
        var loss = log(total) + (top - at_target);
        if at_target == top && others < 1.0 {
            loss = log_1p_unit(others);
        }
        losses[parameters.first_row + row] = select(select(loss, invalid, wrong), 0.0, ignored);
    }
    if GRADIENTS == 0u {
        return;
    }
    let share = inverse[0] / total;
    for (var column = lane; column < parameters.vocabulary; column += LANES) {
        let x = logits[begin + column];
        var d = safe_exp(capped(x) - top) * share;
        if column == wanted {
            d = -others * share;
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

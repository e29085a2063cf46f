// What a row of logits comes to: its largest z, Σ e^(z - largest) and the target's place in it, for the SPAN invocations that
// share the row; a workgroup of 256 holds 256 / SPAN rows.
//
// Each invocation keeps the largest z of its columns i, i + SPAN, ... and Σ e^(z - largest), rescaled when the largest
// grows, so that no exponent is above 0; the pairs are merged in a fixed tree. Maxima start from LOWEST, which every logit
// exceeds. The target's column is left out of these sums and added last: where it has nearly all of the softmax, the loss
// and its gradient come from the others' sum, since 1 minus its share would be nothing but rounding.
//
// The main file declares `logits` and `capped`, z of a logit.

var<workgroup> largest: array<f32, 256>;
var<workgroup> sums: array<f32, 256>;
var<workgroup> bad: array<u32, 256>;

struct Row {
    top: f32,        // the largest z
    others: f32,     // Σ e^(z - top) over all columns but the target's
    total: f32,      // over all
    at_target: f32,  // the target's z; LOWEST if the row is ignored
    wrong: bool,     // a logit that is not finite, or a target that is none
}

// The row from `begin` on; not `inside`: there is none. Every invocation of the workgroup must call this. Barriers: pairs
// complete before each level of the tree, and before all read the result. The target's logit is read before the tree, so
// before anybody overwrites it.
fn row_from(begin: u32, vocabulary: u32, wanted: u32, ignored: bool, inside: bool, lane: u32) -> Row {
    let within = lane % SPAN;
    var most = LOWEST;
    var sum = 0.0;
    var found = select(1u, 0u, ignored || wanted < vocabulary);
    var at_target = LOWEST;
    if inside {
        for (var column = within; column < vocabulary; column += SPAN) {
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
        if !ignored {
            at_target = capped(logits[begin + min(wanted, vocabulary - 1u)]);
        }
    }
    largest[lane] = most;
    sums[lane] = sum;
    bad[lane] = found;
    workgroupBarrier();
    for (var half = SPAN / 2u; half > 0u; half /= 2u) {
        if within < half {
            let other = largest[lane + half];
            let both = max(largest[lane], other);
            sums[lane] = sums[lane] * safe_exp(largest[lane] - both) + sums[lane + half] * safe_exp(other - both);
            largest[lane] = both;
            bad[lane] |= bad[lane + half];
        }
        workgroupBarrier();
    }
    let first = lane - within;
    let top = max(largest[first], at_target);
    let others = sums[first] * safe_exp(largest[first] - top);
    return Row(top, others, others + safe_exp(at_target - top), at_target, bad[first] != 0u);
}

// ln Σ e^(z - top). Below 2 a series, since the language lets log be off by 2^-21 there.
fn log_total(row: Row) -> f32 {
    if row.at_target == row.top && row.others < 1.0 {
        return log_1p_unit(row.others);
    }
    if row.total < 2.0 {
        return log_1p_unit(row.total - 1.0);
    }
    return safe_log(row.total);
}

// The next token of each row from its logits, without the host.
//
// x = logits, of tokens that the text has already divided by the penalty where positive and multiplied where negative. Kept are
// the tokens with x >= threshold: of the top_k largest (equal ones all), the fewest whose weights e^((x - max) / temperature)
// reach top_p of the sum. One of them is drawn in proportion to its weight; greedy takes the largest, the first of equal ones.
//
// logits: [rows, vocabulary]. given, state, tokens, reports: see sampling/settle.wgsl.
//
// A workgroup a row. Floats are ordered like u32 by turning their bits (`order`), so that a threshold is found bit by bit, from
// the highest: a bit stays if enough is at or above. That is 32 passes over the row, out of the cache, and needs no sorting.
// Sums run over fixed trees: the same seed and logits give the same tokens. Counts are whole floats, exact up to 2^24.

struct Parameters {
    rows: u32,
    vocabulary: u32,
    words: u32,
    greedy: u32,
    top_k: u32,
    top_p: f32,
    inverse_temperature: f32,
    penalty: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> logits: array<f32>;

var<workgroup> stretches: array<f32, 256>;
var<workgroup> chosen: u32;

fn order(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// The logit of a token of a row, and 0 instead of what is not finite: the row is given up anyway.
fn value(row: u32, column: u32) -> f32 {
    var x = logits[row * parameters.vocabulary + column];
    if !is_finite(x) {
        return 0.0;
    }
    let word = state[row * parameters.words + HEAD + column / 32u];
    if parameters.penalty != 1.0 && ((word >> (column % 32u)) & 1u) == 1u {
        x = select(x * parameters.penalty, x / parameters.penalty, x > 0.0);
    }
    return x;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(group, groups);
    let inside = row < parameters.rows;
    // A workgroup behind the last row has no columns, but meets every barrier.
    let columns = select(0u, parameters.vocabulary, inside);
    let draws = parameters.greedy == 0u;

    var most = LEAST;
    var faults = 0.0;
    for (var column = lane; column < columns; column += 256u) {
        most = max(most, value(row, column));
        faults += select(1.0, 0.0, is_finite(logits[row * parameters.vocabulary + column]));
    }
    most = row_highest(most, lane);
    faults = row_sums(vec2<f32>(faults, 0.0), lane).x;
    var first = LEAST;
    for (var column = lane; column < columns; column += 256u) {
        if value(row, column) == most {
            first = max(first, -f32(column));
        }
    }
    let best = u32(max(-row_highest(first, lane), 0.0));

    // The largest threshold that top_k logits reach.
    var threshold = 0u;
    let counted = select(0u, 32u, draws && parameters.top_k < parameters.vocabulary);
    for (var bit = 0u; bit < counted; bit++) {
        let candidate = threshold | (0x80000000u >> bit);
        var count = 0.0;
        for (var column = lane; column < columns; column += 256u) {
            count += select(0.0, 1.0, order(value(row, column)) >= candidate);
        }
        if row_sums(vec2<f32>(count, 0.0), lane).x >= f32(parameters.top_k) {
            threshold = candidate;
        }
    }

    // The largest that top_p of the weights above it reach.
    var weights = 0.0;
    for (var column = lane; column < columns; column += 256u) {
        let x = value(row, column);
        if order(x) >= threshold {
            weights += safe_exp((x - most) * parameters.inverse_temperature);
        }
    }
    let wanted = parameters.top_p * row_sums(vec2<f32>(weights, 0.0), lane).x;
    let weighed = select(0u, 32u, draws && parameters.top_p < 1.0);
    var nucleus = 0u;
    for (var bit = 0u; bit < weighed; bit++) {
        let candidate = nucleus | (0x80000000u >> bit);
        let least = max(candidate, threshold);
        var sum = 0.0;
        for (var column = lane; column < columns; column += 256u) {
            let x = value(row, column);
            if order(x) >= least {
                sum += safe_exp((x - most) * parameters.inverse_temperature);
            }
        }
        if row_sums(vec2<f32>(sum, 0.0), lane).x >= wanted {
            nucleus = candidate;
        }
    }
    threshold = max(threshold, nucleus);

    // The kept weights in the order of the tokens, a stretch of them an invocation.
    let stretch = (columns + 255u) / 256u;
    let begin = min(lane * stretch, columns);
    let end = min(begin + stretch, columns);
    var own = 0.0;
    for (var column = begin; column < end; column++) {
        let x = value(row, column);
        if order(x) >= threshold {
            own += safe_exp((x - most) * parameters.inverse_temperature);
        }
    }
    stretches[lane] = own;
    if lane == 0u {
        chosen = best;
    }
    workgroupBarrier();  // all stretches are there, and a token if rounding lets nobody claim the draw
    var before = 0.0;
    var all = 0.0;
    for (var i = 0u; i < 256u; i++) {
        if i == lane {
            before = all;
        }
        all += stretches[i];
    }
    if inside && draws {
        let base = row * parameters.words;
        let words = philox(vec4<u32>(state[base + 2u], 0u, 0u, 0u), vec2<u32>(state[base], state[base + 1u]));
        let target_sum = f32(words.x >> 8u) * 0x1p-24 * all;
        if own > 0.0 && before <= target_sum && target_sum < before + own {
            var left = target_sum - before;
            var pick = begin;
            for (var column = begin; column < end; column++) {
                let x = value(row, column);
                if order(x) >= threshold {
                    pick = column;
                    let weight = safe_exp((x - most) * parameters.inverse_temperature);
                    if left < weight {
                        break;
                    }
                    left -= weight;
                }
            }
            chosen = pick;
        }
    }
    workgroupBarrier();  // the draw is claimed, and nobody reads the state any more
    if inside && lane == 0u {
        settle(row, parameters.words, chosen, faults == 0.0);
    }
}

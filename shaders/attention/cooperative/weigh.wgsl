// Scores to weights, in the forward: two invocations a row.
//
// The output's sums are opaque matrices, which cannot be multiplied row by row. So weights are taken relative to a reference
// that mostly stays: e[j] = 2^(s2[j] - reference), s2 = s log2(e). It is the largest score of the first tile that the row
// sees a key of, and moves only when a score exceeds it by more than RISE: then the sums so far must be multiplied by
// 2^(old - new), by way of workgroup memory. Weights stay below 2^RISE, far from the end of f16, and the largest is no less
// than 1; a row that starts with scores of normal size never moves again. The alternative, a first pass over all keys
// that finds the maxima, needs half of all multiplications once more.

const RISE: f32 = 8.0;
const SHARE: u32 = 2u;  // invocations a row: EACH is 16
const OWN: u32 = COLUMNS / 4u / SHARE;  // vectors of scores an invocation

// What an invocation knows of its row. Those that share a row differ in `total` alone.
struct Row {
    most: f32,  // the largest score times sqrt(D), LOWEST until a key is seen
    reference: f32,
    total: f32,  // of the weights of this invocation's keys
    factor: f32,  // by which this tile moved the reference
}

// The vector of scores from `key` on, LOWEST for keys that the row does not see.
fn seen_scores(place: u32, key: u32, first_seen: u32, last_seen: u32, masked: bool) -> vec4<f32> {
    let found = scores[place];
    if !masked {
        return found;
    }
    let keys = key + vec4<u32>(0u, 1u, 2u, 3u);
    var seen = keys <= vec4<u32>(last_seen);
    if DOCUMENTS == 1u {
        seen = seen & (vec4<u32>(first_seen) <= keys);
    }
    return select(vec4<f32>(LOWEST), found, seen);
}

// Turns the scores at `place` on, keys from `key` on, into weights; which are this invocation's says `part`. Notes in `grown`
// that the reference moved.
fn weigh(state: ptr<function, Row>, row: u32, part: u32, key: u32, seen: vec2<u32>, masked: bool) {
    let place = row * SCORE_PITCH;
    var own: array<vec4<f32>, OWN>;
    var highest = vec4<f32>(LOWEST);
    for (var i = 0u; i < OWN; i++) {
        let column = part * OWN + i;
        own[i] = seen_scores(place + column, key + 4u * column, seen.x, seen.y, masked);
        highest = max(highest, own[i]);
    }
    for (var i = 0u; i < OWN; i++) {
        let column = (1u - part) * OWN + i;
        highest = max(highest, seen_scores(place + column, key + 4u * column, seen.x, seen.y, masked));
    }
    let most = max(max(highest.x, highest.y), max(highest.z, highest.w));
    let scale = parameters.scale * LOG2_E;
    (*state).factor = 1.0;
    if most > LOWEST {
        if (*state).most == LOWEST {
            (*state).reference = most * scale;
            (*state).total = 0.0;
        } else if most * scale > (*state).reference + RISE {
            (*state).factor = rough_exp2(vec4<f32>((*state).reference - most * scale)).x;
            (*state).total *= (*state).factor;
            (*state).reference = most * scale;
            atomicStore(&grown, 1u);
        }
        (*state).most = max((*state).most, most);
    }
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < OWN; i++) {
        // Next to nothing, 0 as f16, for keys that are not seen.
        let weight = rough_exp2(own[i] * scale - (*state).reference);
        sum += weight;
        halves[WEIGHTS_AT + row * WEIGHT_PITCH + part * OWN + i] = vec4<f16>(weight);
    }
    (*state).total += (sum.x + sum.y) + (sum.z + sum.w);
}

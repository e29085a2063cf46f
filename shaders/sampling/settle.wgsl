// How the choice of a row's token ends, and what sampling/choose.wgsl and sampling/lead.wgsl bind alike.
//
// given: [rows], a token that is taken as it is, or NONE. state: [rows, words]: the seed's two words, how many were drawn, one
// unused, then a bit a token: whether the text has it. tokens, reports: [rows]; a report is the token, or NONE where a logit is
// not finite, and then the token is 0.

const NONE = 0xffffffffu;
const HEAD = 4u;

@group(0) @binding(2) var<storage, read> given: array<u32>;
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(5) var<storage, read_write> reports: array<u32>;

// One invocation a row calls this, when nobody reads the row's state any more. `words`: of a row's state.
fn settle(row: u32, words: u32, token: u32, finite: bool) {
    let fixed = given[row];
    if fixed != NONE {
        tokens[row] = fixed;
        reports[row] = fixed;
    } else if !finite {
        tokens[row] = 0u;
        reports[row] = NONE;
    } else {
        let base = row * words;
        tokens[row] = token;
        reports[row] = token;
        state[base + 2u] += 1u;
        state[base + HEAD + token / 32u] |= 1u << (token % 32u);
    }
}

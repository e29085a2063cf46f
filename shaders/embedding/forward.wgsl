// y[i, k] = table[ids[i], k].
//
// table: [vocabulary, width]; ids: count of them; y: [count, width]. One invocation computes one element, so that
// neighbours read neighbours. An id that is not below the vocabulary is reported, reads nothing and gives NaN, from the
// parameters since the language has no literal for it: a wrong id must not pass for a word.

struct Parameters {
    elements: u32,  // count · width
    width: u32,
    vocabulary: u32,
    not_a_number: u32,  // its bits
    operation: u32,     // for the fault record
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;

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
    let id = ids[index / parameters.width];
    if id < parameters.vocabulary {
        y[index] = bitcast<u32>(table[id * parameters.width + index % parameters.width]);
    } else {
        report_index(parameters.operation, id, parameters.vocabulary);
        y[index] = parameters.not_a_number;
    }
}

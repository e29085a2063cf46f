// x[b] = table[tokens[b]] in f32, and the position becomes the one of these tokens.
//
// table: f16 [vocabulary, width], width a multiple of 8; tokens: [batch]; x: [batch, width]; position: one number. One
// invocation unpacks 8 numbers. A token that is not below the vocabulary is reported, reads nothing and gives NaN, from the
// parameters since the language has no literal for it.

struct Parameters {
    packs: u32,       // batch · width / 8
    row: u32,         // width / 8
    vocabulary: u32,
    not_a_number: u32,
    operation: u32,   // for the fault record
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> table: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> position: array<u32>;
@group(0) @binding(5) var<storage, read_write> faults: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 64u + lane;
    if index >= parameters.packs {
        return;
    }
    if index == 0u {
        position[0] += 1u;
    }
    let token = tokens[index / parameters.row];
    if token < parameters.vocabulary {
        let pack = table[token * parameters.row + index % parameters.row];
        x[2u * index] = lower(pack);
        x[2u * index + 1u] = upper(pack);
    } else {
        report_index(parameters.operation, token, parameters.vocabulary);
        let wrong = vec4<f32>(bitcast<f32>(parameters.not_a_number));
        x[2u * index] = wrong;
        x[2u * index + 1u] = wrong;
    }
}

// Up to six gradients, of small tensors that are not worth a dispatch each. A slot that is not used has no blocks.

struct Parameters {
    blocks: u32,  // workgroups
    first_partial: u32,
    ends: array<vec4<u32>, 2>,     // the block after the last of each slot
    counts: array<vec4<u32>, 2>,   // elements
    tensors: array<vec4<u32>, 2>,  // places among all
}

@group(0) @binding(2) var<storage, read> gradient_0: array<f32>;
@group(0) @binding(3) var<storage, read> gradient_1: array<f32>;
@group(0) @binding(4) var<storage, read> gradient_2: array<f32>;
@group(0) @binding(5) var<storage, read> gradient_3: array<f32>;
@group(0) @binding(6) var<storage, read> gradient_4: array<f32>;
@group(0) @binding(7) var<storage, read> gradient_5: array<f32>;

fn task_of(block: u32) -> Task {
    var slot = 0u;
    var before = 0u;  // blocks of the slots before
    for (var other = 0u; other < 5u; other++) {
        let end = parameters.ends[other / 4u][other % 4u];
        if block >= end {
            slot = other + 1u;
            before = end;
        }
    }
    let first = (block - before) * LANES * ELEMENTS;
    let count = parameters.counts[slot / 4u][slot % 4u];
    return Task(slot, parameters.tensors[slot / 4u][slot % 4u], first, min(first + LANES * ELEMENTS, count));
}

// The slot is the same in a whole workgroup.
fn element(slot: u32, place: u32) -> f32 {
    switch slot {
        case 0u: {
            return gradient_0[place];
        }
        case 1u: {
            return gradient_1[place];
        }
        case 2u: {
            return gradient_2[place];
        }
        case 3u: {
            return gradient_3[place];
        }
        case 4u: {
            return gradient_4[place];
        }
        default: {
            return gradient_5[place];
        }
    }
}

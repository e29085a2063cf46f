// loss = Σ losses · inverse, the mean over the rows that count (the others are 0).
//
// losses: [count]; inverse, loss: [1]. One workgroup: invocation i adds i, i + 256, ... in order, then the sums are added
// pairwise in a fixed tree. Each barrier separates a level of the tree from the next.

const LANES: u32 = 256u;

struct Parameters {
    count: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> losses: array<f32>;
@group(0) @binding(2) var<storage, read> inverse: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;

var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var place = lane; place < parameters.count; place += LANES) {
        sum += losses[place];
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            sums[lane] += sums[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        loss[0] = sums[0] * inverse[0];
    }
}

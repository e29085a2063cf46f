// 1 / K, K the number of targets that are not ignored; 0 if there is none. Without `mean`, 1: losses are only added up.
//
// targets: [count]; inverse: [1]. One workgroup: invocation i counts i, i + 256, ..., then the counts are added pairwise.
// Each barrier separates a level of the tree from the next.

const LANES: u32 = 256u;

struct Parameters {
    count: u32,
    ignored: u32,
    mean: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> inverse: array<f32>;

var<workgroup> counts: array<u32, LANES>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    var kept = 0u;
    for (var place = lane; place < parameters.count; place += LANES) {
        kept += select(0u, 1u, targets[place] != parameters.ignored);
    }
    counts[lane] = kept;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            counts[lane] += counts[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let mean = select(0.0, 1.0 / f32(max(counts[0], 1u)), counts[0] > 0u);
        inverse[0] = select(1.0, mean, parameters.mean == 1u);
    }
}

// Leaves early, breaks and continues, but the whole workgroup at once.
//
// x: [count], y: [count]. Not a kernel of the engine: the portability test must pass it.
// Invocation i of workgroup g has element 64 g + i.

struct Parameters {
    count: u32,
    steps: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> shared_values: array<f32, 64>;

fn first_or(value: f32, lane: u32) -> f32 {
    if lane == 0u {
        return value;
    }
    return 0.0;
}

fn advance(step: ptr<function, u32>, by: u32) {
    *step = *step + by;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let place = min(group.x * 64u + lane, parameters.count - 1u);
    if group.x >= parameters.count || parameters.steps == 0u {
        return;
    }
    var sum = 0.0;
    var step = 0u;
    loop {
        if step >= parameters.steps {
            break;
        }
        if x[step] == 0.0 {
            advance(&step, 2u);
            continue;
        }
        shared_values[lane] = first_or(x[place], lane);
        let first = workgroupUniformLoad(&shared_values[0]);
        switch u32(first) {
            case 0u: {
                workgroupBarrier();
                sum += shared_values[63u - lane];
            }
            case 1u, 2u: {
                if first > 1.5 {
                    break;
                }
                sum += 1.0;
                workgroupBarrier();
            }
            default: {
                sum = 0.0;
            }
        }
        workgroupBarrier();
        advance(&step, 1u);
    }
    y[place] = sum;
}

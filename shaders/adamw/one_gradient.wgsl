// One large gradient of `count` elements.

struct Parameters {
    blocks: u32,  // workgroups
    first_partial: u32,
    count: u32,
    tensor: u32,  // its place among all
}

@group(0) @binding(2) var<storage, read> gradient: array<f32>;

fn task_of(block: u32) -> Task {
    let first = block * LANES * ELEMENTS;
    return Task(0u, parameters.tensor, first, min(first + LANES * ELEMENTS, parameters.count));
}

fn element(slot: u32, place: u32) -> f32 {
    return gradient[place];
}

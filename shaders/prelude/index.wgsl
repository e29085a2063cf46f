// Where an invocation is.
//
// The workgroups of a dispatch are numbered in a row. More than 65,535 are folded over x and y, and a dispatch that would
// take too long for a driver's watchdog runs as several, each from its own first workgroup on; this gives back the number
// in the whole row.

struct Part {
    first: u32,
}

@group(0) @binding(8) var<uniform> part_of_dispatch: Part;

fn flat_workgroup(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return part_of_dispatch.first + group.x + groups.x * group.y;
}

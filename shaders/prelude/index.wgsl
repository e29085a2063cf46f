// Where an invocation is.
//
// A dispatch of more than 65,535 workgroups is folded over x and y; these give back the flat number.

fn flat_workgroup(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + groups.x * group.y;
}

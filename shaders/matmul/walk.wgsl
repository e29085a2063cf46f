// Where an invocation's vector of a panel is: `place` in its operand, at a row of A or column of B and at a depth.
//
// Found once and then moved on.
struct Walk {
    line: u32,
    k: u32,
    place: u32,
}

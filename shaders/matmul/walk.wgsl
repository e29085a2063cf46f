// Where an invocation's vector of a panel is: `place` in its operand, at a row of A or column of B and at a depth.
//
// Found once and then moved on, and one condition a load without an early return: computed anew for every load, addresses
// took a third of the time of a product on matrix units.
struct Walk {
    line: u32,
    k: u32,
    place: u32,
}

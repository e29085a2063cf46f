// The two operands that a workgroup reads rows of.
//
// The kernel that includes this file declares its inputs as array<Lane> and defines read_left and read_right, which
// read one lane of the operand that `which` says. load_left and load_right of attention/load_{vector,scalar}.wgsl read
// four columns of a row; rows and columns outside are 0, so that tiles may stick out.

// Rows of an operand: the place of the first, the elements from one to the next, and how many there are.
struct Rows {
    place: u32,
    stride: u32,
    count: u32,
}

var<private> left: Rows;
var<private> right: Rows;

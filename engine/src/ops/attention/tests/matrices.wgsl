// Stands for prelude/cooperative.wgsl where there are no matrix units: matrices of 16 x 16 by plain code, for tests.
//
// The 32 invocations of what the kernels call a subgroup hold a matrix in this way: row `own_row` of left operands and of
// sums, and all of the right operand that was loaded last, which is the only one in use: elsewhere it would be copied with
// each call. Two invocations have the same row. `halves` and `scores` are the kernel's.

const SUBGROUP: u32 = 32u;

struct Left {
    row: array<f32, 16>,
}

struct Right {
    nothing: u32,
}

struct Sum {
    row: array<vec4<f32>, 4>,
}

var<private> own_row: u32;
var<private> right_rows: array<vec4<f32>, 64>;

// 1, unknown to compilers, in the bounds of loops: unrolled they would keep compilers busy for minutes.
fn one() -> u32 {
    return min(parameters.heads, 1u);
}

fn load_left(place: u32, pitch: u32) -> Left {
    var result: Left;
    for (var i = 0u; i < 16u * one(); i++) {
        result.row[i] = f32(halves[place + own_row * pitch + i / 4u][i % 4u]);
    }
    return result;
}

fn load_right(place: u32, pitch: u32) -> Right {
    for (var i = 0u; i < 64u * one(); i++) {
        right_rows[i] = vec4<f32>(halves[place + i / 4u * pitch + i % 4u]);
    }
    return Right(0u);
}

fn load_right_transposed(place: u32, pitch: u32) -> Right {
    for (var column = 0u; column < 16u * one(); column++) {
        for (var row = 0u; row < 16u * one(); row++) {
            let element = f32(halves[place + column * pitch + row / 4u][row % 4u]);
            right_rows[4u * row + column / 4u][column % 4u] = element;
        }
    }
    return Right(0u);
}

fn load_sum(place: u32, pitch: u32) -> Sum {
    var result: Sum;
    for (var i = 0u; i < 4u; i++) {
        result.row[i] = scores[place + own_row * pitch + i];
    }
    return result;
}

fn store_sum(matrix: Sum, place: u32, pitch: u32) {
    var own = matrix;
    for (var i = 0u; i < 4u; i++) {
        scores[place + own_row * pitch + i] = own.row[i];
    }
}

fn multiply(left_operand: Left, last_loaded: Right, sum: Sum) -> Sum {
    var own = left_operand;
    var result = sum;
    for (var k = 0u; k < 16u * one(); k++) {
        for (var i = 0u; i < 4u; i++) {
            result.row[i] += own.row[k] * right_rows[4u * k + i];
        }
    }
    return result;
}

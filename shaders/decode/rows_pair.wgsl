// Each output needs two rows of the weight, which has the rows of all gates and behind them those of all values.

const OUTPUTS = ROWS / 2u;
const PARTNER = OUTPUTS;  // how much further the value's sum is than its gate's

fn weight_row(first: u32, r: u32) -> u32 {
    return min(first + r % OUTPUTS, parameters.rows - 1u) + r / OUTPUTS * parameters.rows;
}

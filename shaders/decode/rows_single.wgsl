// Each output is one row of the weight.

const OUTPUTS = ROWS;
const PARTNER = 0u;

// Row r of the team's; beyond the last row that one is read again, and not stored.
fn weight_row(first: u32, r: u32) -> u32 {
    return min(first + r, parameters.rows - 1u);
}

// Matrices of B from a panel that is stored transposed, as [columns, depth].
fn right_at(k: u32, column: u32) -> Right {
    return coopLoad<Right>(&b_panel[column * B_PITCH + k / 4u], B_PITCH);
}

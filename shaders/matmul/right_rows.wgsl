// Matrices of B from a panel that is stored as [depth, columns].
fn right_at(k: u32, column: u32) -> Right {
    return coopLoadT<Right>(&b_panel[k * B_PITCH + column / 4u], B_PITCH);
}

// Matrices of A from a panel that is stored as [rows, depth].
fn left_at(row: u32, k: u32) -> Left {
    return coopLoadT<Left>(&a_panel[row * A_PITCH + k / 4u], A_PITCH);
}

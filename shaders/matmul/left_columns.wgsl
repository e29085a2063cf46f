// Matrices of A from a panel that is stored transposed, as [depth, rows].
fn left_at(row: u32, k: u32) -> Left {
    return coopLoad<Left>(&a_panel[k * A_PITCH + row / 4u], A_PITCH);
}

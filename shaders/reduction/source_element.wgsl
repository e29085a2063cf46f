// Packs lie along n: each takes one element of d_y.
alias Source = f32;

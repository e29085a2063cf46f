// Packs lie along the inner dimension of d_y and d_x alike.
alias Source = Pack;

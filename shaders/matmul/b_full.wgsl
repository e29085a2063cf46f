// Operand b is f32.
alias BStored = f32;

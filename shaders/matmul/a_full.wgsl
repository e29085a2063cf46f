// Operand a is f32.
alias AStored = f32;

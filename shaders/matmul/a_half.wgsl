// Operand a is f16.
alias AStored = Element;

// Operand b is f16.
alias BStored = Element;

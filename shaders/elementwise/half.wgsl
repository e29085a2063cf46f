// Both inputs and the result are f16.
alias Left = Element;
alias Right = Element;
alias Result = Element;

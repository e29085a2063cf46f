// The second input is f16.
alias Left = f32;
alias Right = Element;
alias Result = f32;

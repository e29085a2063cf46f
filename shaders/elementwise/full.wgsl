// All numbers are f32.
alias Left = f32;
alias Right = f32;
alias Result = f32;

// One pair at a time.
alias Lane = f32;

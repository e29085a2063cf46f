// The product is f32.
alias CStored = f32;

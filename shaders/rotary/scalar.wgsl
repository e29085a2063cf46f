// One pair at a time.
alias Lane = f32;
alias Stored = Element;

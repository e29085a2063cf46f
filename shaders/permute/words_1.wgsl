// An element is one word.
alias Words = u32;

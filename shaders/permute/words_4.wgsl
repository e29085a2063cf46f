// An element is four words.
alias Words = vec4<u32>;

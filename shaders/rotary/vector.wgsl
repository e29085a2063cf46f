// Four pairs at a time.
alias Lane = vec4<f32>;
alias Stored = vec4<Element>;

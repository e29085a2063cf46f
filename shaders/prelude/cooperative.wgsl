// Matrices of 16 x 16 that the invocations of a subgroup hold together and the GPU's matrix units multiply: operands of f16,
// sums of f32. An element of one cannot be reached: matrices are loaded, multiplied, added and stored as a whole.
//
// A kernel with this file runs only where the adapter offers exactly this product and all subgroups have 32 invocations,
// neighbours in the workgroup.

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

const SUBGROUP: u32 = 32u;

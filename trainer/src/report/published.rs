//! Figures of *xLSTM Scaling Laws* (Beck and others, arXiv 2510.02228, and the authors' repository
//! NX-AI/xlstm_scaling_laws), to stand beside ours. Their runs have 80 M to 7 B parameters and 2.8e18 to 8.5e22 FLOPs.

/// FLOPs of the smallest run.
pub const LEAST_FLOPS: f64 = 2.8e18;

/// Exponents of N* and D* over C by IsoFLOP profiles: architecture, context, budgets, exponent of N*, of D*.
pub const OPTIMA: [(&str, &str, u32, f64, f64); 4] = [
    ("transformer", "8192", 4, 0.574_909, 0.424_271),
    ("xlstm", "8192", 4, 0.547_253, 0.417_166),
    ("transformer", "2048", 3, 0.5535, 0.4226),
    ("xlstm", "2048", 3, 0.5555, 0.4031),
];

/// L(N, D) with Huber δ = 1e-3 over the over-training runs: a, b, e, α, β, γ and the summed loss.
pub const SURFACES: [(&str, [f64; 6], f64); 2] = [
    ("transformer", [11.99, 13.36, 0.0119, 0.5273, 0.5082, 0.2934], 7.1475e-5),
    ("xlstm", [16.22, 17.31, 0.1135, 0.7275, 0.6708, 0.2387], 8.5571e-5),
];

/// Slopes η of ln L = −η·ln C + const at each ratio of tokens to parameters.
pub const SLOPES: [(&str, [(f64, f64); 6]); 2] = [
    (
        "transformer",
        [(22.0, 0.04961), (44.0, 0.04766), (110.0, 0.04726), (220.0, 0.04754), (550.0, 0.04880), (1100.0, 0.05283)],
    ),
    (
        "xlstm",
        [(22.0, 0.04740), (44.0, 0.04573), (110.0, 0.04561), (220.0, 0.04666), (550.0, 0.04729), (1100.0, 0.04744)],
    ),
];

/// From context 2048 to 8192 at 3e19 FLOPs: change of N* as a ratio, and of the loss there.
pub const CONTEXT: [(&str, f64, f64); 2] = [("transformer", 1.0 - 0.144, 0.0650), ("xlstm", 1.0 - 0.046, 0.0166)];

/// Compute of the Transformer over that of the xLSTM at equal loss, read off the authors' frontiers.
pub const COMPUTE_RATIOS: [(f64, f64); 6] =
    [(3.1, 1.90), (2.9, 2.19), (2.7, 1.79), (2.5, 1.61), (2.3, 1.42), (2.2, 1.51)];

/// Time to first token: FLOP/s reached, by size, for xLSTM and Transformer.
pub const FIRST_TOKEN: [(&str, f64, f64); 6] = [
    ("160M", 1.6291e14, 2.0014e14),
    ("400M", 2.3704e14, 2.4557e14),
    ("830M", 2.9507e14, 2.7186e14),
    ("1.4B", 3.3484e14, 3.3453e14),
    ("2.7B", 3.6639e14, 3.1538e14),
    ("7B", 4.0528e14, 3.7421e14),
];

/// Step of a Transformer: bytes a second reached.
pub const STEP: [(&str, f64); 6] = [
    ("160M", 7.455e11),
    ("400M", 8.133e11),
    ("830M", 1.1680e12),
    ("1.4B", 1.5338e12),
    ("2.7B", 9.777e11),
    ("7B", 1.5268e12),
];

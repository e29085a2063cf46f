//! The frequencies of the rotary embedding: as the base gives them, or scaled for contexts longer than the first ones that a
//! model was trained on.

use serde::{Deserialize, Serialize};

use super::{ConfigurationError, fault};

/// How the frequencies f_j = θ^(−2j/D), j < D/2, are changed; `rope_type` in files. As transformers has it
/// (`modeling_rope_utils.py`), but in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// `default`: they stay.
    #[default]
    Unscaled,
    /// `linear`: f_j / factor, as if positions were closer together (Chen and others, arXiv 2306.15595).
    Linear {
        /// How much closer.
        factor: f64,
    },
    /// `llama3`: those of long waves are divided by the factor, those of short ones stay (Llama 3.1). With the wavelength
    /// λ = 2π / f and L the first context: f / factor where λ > L / low; f where λ < L / high; and in between
    /// (1 − s) f / factor + s f with s = (L / λ − low) / (high − low).
    Llama3 {
        /// What long waves' frequencies are divided by.
        factor: f64,
        /// `low_freq_factor`: waves that pass fewer times through the first context are long.
        low: f64,
        /// `high_freq_factor`: waves that pass more often through it are short.
        high: f64,
        /// `original_max_position_embeddings`: tokens of the first context.
        original_context: usize,
    },
}

/// The word for a scaling in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RopeType {
    /// [`RopeScaling::Unscaled`]
    Default,
    /// [`RopeScaling::Linear`]
    Linear,
    /// [`RopeScaling::Llama3`]
    Llama3,
}

impl RopeType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Linear, Self::Llama3];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Linear => "linear",
            Self::Llama3 => "llama3",
        }
    }
}

/// A scaling as the keys of `[model]` have it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RopeKeys {
    pub rope_type: Option<RopeType>,
    pub factor: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub original_context: Option<usize>,
}

impl RopeKeys {
    /// The scaling that they say.
    ///
    /// # Errors
    /// A key that its type needs and that is missing, or that its type does not have.
    pub(super) fn scaling(self) -> Result<RopeScaling, ConfigurationError> {
        let rope_type = self.rope_type.unwrap_or(RopeType::Default);
        let name = rope_type.name();
        let given = [
            ("rope_factor", self.factor.is_some(), rope_type != RopeType::Default),
            ("rope_low_freq_factor", self.low.is_some(), rope_type == RopeType::Llama3),
            ("rope_high_freq_factor", self.high.is_some(), rope_type == RopeType::Llama3),
            ("rope_original_context", self.original_context.is_some(), rope_type == RopeType::Llama3),
        ];
        for (field, given, needed) in given {
            match (given, needed) {
                (true, false) => return fault(field, format!("is not a key of the rope_type \"{name}\"")),
                (false, true) => return fault(field, format!("is missing; the rope_type \"{name}\" needs it")),
                _ => {}
            }
        }
        Ok(match (rope_type, self) {
            (RopeType::Linear, Self { factor: Some(factor), .. }) => RopeScaling::Linear { factor },
            (
                RopeType::Llama3,
                Self {
                    factor: Some(factor), low: Some(low), high: Some(high), original_context: Some(context), ..
                },
            ) => RopeScaling::Llama3 { factor, low, high, original_context: context },
            _ => RopeScaling::Unscaled,
        })
    }
}

impl From<RopeScaling> for RopeKeys {
    fn from(scaling: RopeScaling) -> Self {
        let rope_type = Some(scaling.rope_type());
        match scaling {
            RopeScaling::Unscaled => Self { rope_type, ..Self::default() },
            RopeScaling::Linear { factor } => Self { rope_type, factor: Some(factor), ..Self::default() },
            RopeScaling::Llama3 { factor, low, high, original_context } => Self {
                rope_type,
                factor: Some(factor),
                low: Some(low),
                high: Some(high),
                original_context: Some(original_context),
            },
        }
    }
}

impl RopeScaling {
    /// Its word.
    pub fn rope_type(self) -> RopeType {
        match self {
            Self::Unscaled => RopeType::Default,
            Self::Linear { .. } => RopeType::Linear,
            Self::Llama3 { .. } => RopeType::Llama3,
        }
    }

    /// Checks that frequencies can be scaled so.
    pub(super) fn validate(self) -> Result<(), ConfigurationError> {
        let keys = RopeKeys::from(self);
        let factors =
            [("rope_factor", keys.factor), ("rope_low_freq_factor", keys.low), ("rope_high_freq_factor", keys.high)];
        for (field, value) in factors {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return fault(field, format!("is {value}; it must be positive and finite"));
            }
        }
        match self {
            Self::Llama3 { low, high, .. } if high <= low => fault(
                "rope_high_freq_factor",
                format!("is {high}; it must be above rope_low_freq_factor, which is {low}"),
            ),
            Self::Llama3 { original_context: 0, .. } => fault("rope_original_context", "is 0; it must be at least 1"),
            _ => Ok(()),
        }
    }

    /// The frequencies, in radians a position, of the base `theta` for heads of `head_dim`.
    pub fn frequencies(self, theta: f64, head_dim: usize) -> Vec<f64> {
        (0..head_dim / 2).map(|j| self.scaled(theta.powf(-((2 * j) as f64) / head_dim as f64))).collect()
    }

    fn scaled(self, frequency: f64) -> f64 {
        match self {
            Self::Unscaled => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low, high, original_context } => {
                // How often the wave passes through the first context, L / λ.
                let passes = original_context as f64 * frequency / std::f64::consts::TAU;
                let share = ((passes - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - share) * frequency / factor + share * frequency
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llama3(factor: f64) -> RopeScaling {
        RopeScaling::Llama3 { factor, low: 1.0, high: 4.0, original_context: 8192 }
    }

    /// Some frequencies of Llama 3.1 8B and 3.2 1B as transformers 5.24 computes them, in f32: where they stay, where they are
    /// mixed, and where they are divided.
    #[test]
    fn published_models_have_their_published_frequencies() {
        let of_8b = [(0, 1.0), (28, 0.0032114461064338684), (29, 0.0021665706299245358), (34, 0.0001785077911335975)];
        let divided = [(35, 9.556212171446532e-05), (63, 3.068925877869333e-07)];
        let of_1b = [(1, 0.663601279258728), (15, 0.0012905480107292533), (17, 9.708286233944818e-05)];
        for (frequencies, expected) in [
            (llama3(8.0).frequencies(5e5, 128), [&of_8b[..], &divided].concat()),
            (llama3(32.0).frequencies(5e5, 64), [&of_1b[..], &[(31, 9.418306490260875e-08)]].concat()),
            // 10000^(−2j/8) by hand.
            (RopeScaling::Linear { factor: 2.0 }.frequencies(1e4, 8), vec![(0, 0.5), (1, 0.05)]),
            (RopeScaling::Unscaled.frequencies(1e4, 8), vec![(0, 1.0), (3, 1e-3)]),
        ] {
            for (j, expected) in expected {
                assert!((frequencies[j] / expected - 1.0).abs() < 1e-6, "{j}: {} for {expected}", frequencies[j]);
            }
        }
    }

    #[test]
    fn keys_are_those_of_the_type() {
        for scaling in [RopeScaling::Unscaled, RopeScaling::Linear { factor: 4.0 }, llama3(8.0)] {
            let keys = RopeKeys::from(scaling);
            assert_eq!(keys.scaling(), Ok(scaling));
            scaling.validate().unwrap();
        }
        let problem = |keys: RopeKeys| keys.scaling().unwrap_err().to_string();
        let foreign = problem(RopeKeys { factor: Some(2.0), ..RopeKeys::default() });
        assert!(foreign.contains("`rope_factor` is not a key of the rope_type \"default\""), "{foreign}");
        let missing = problem(RopeKeys { high: None, ..llama3(8.0).into() });
        assert!(missing.contains("`rope_high_freq_factor` is missing"), "{missing}");
        let foreign = problem(RopeKeys { low: Some(1.0), ..RopeScaling::Linear { factor: 2.0 }.into() });
        assert!(foreign.contains("`rope_low_freq_factor` is not a key of the rope_type \"linear\""), "{foreign}");
    }

    #[test]
    fn what_cannot_scale_is_refused() {
        let field = |scaling: RopeScaling| match scaling.validate() {
            Err(ConfigurationError::Field { field, .. }) => field,
            other => panic!("{scaling:?}: {other:?}"),
        };
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(field(RopeScaling::Linear { factor }), "rope_factor");
        }
        let with = |low, high, original_context| RopeScaling::Llama3 { factor: 8.0, low, high, original_context };
        assert_eq!(field(with(0.0, 4.0, 8192)), "rope_low_freq_factor");
        assert_eq!(field(with(4.0, 4.0, 8192)), "rope_high_freq_factor");
        assert_eq!(field(with(1.0, 4.0, 0)), "rope_original_context");
    }
}

//! The 27 nonlinear regression problems of NIST's Statistical Reference Datasets.

use gradus_fit::{Model, Real};
use std::f64::consts::PI;

/// The model of a problem, looked up once: comparing names at every point would cost more than the model.
#[derive(Debug, Clone, Copy, Default)]
pub enum Formula {
    #[default]
    Rise,
    Misra1b,
    Misra1c,
    Misra1d,
    Chwirut,
    DanWood,
    Lanczos,
    Gauss,
    Kirby2,
    Cubic,
    Nelson,
    Mgh17,
    Roszman1,
    Enso,
    Mgh09,
    Rat42,
    Mgh10,
    Eckerle4,
    Rat43,
    Bennett5,
}

impl Formula {
    fn of(name: &str) -> Self {
        match name {
            "Misra1a" | "BoxBOD" => Self::Rise,
            "Misra1b" => Self::Misra1b,
            "Misra1c" => Self::Misra1c,
            "Misra1d" => Self::Misra1d,
            "Chwirut1" | "Chwirut2" => Self::Chwirut,
            "DanWood" => Self::DanWood,
            "Lanczos1" | "Lanczos2" | "Lanczos3" => Self::Lanczos,
            "Gauss1" | "Gauss2" | "Gauss3" => Self::Gauss,
            "Kirby2" => Self::Kirby2,
            "Hahn1" | "Thurber" => Self::Cubic,
            "Nelson" => Self::Nelson,
            "MGH17" => Self::Mgh17,
            "Roszman1" => Self::Roszman1,
            "ENSO" => Self::Enso,
            "MGH09" => Self::Mgh09,
            "Rat42" => Self::Rat42,
            "MGH10" => Self::Mgh10,
            "Eckerle4" => Self::Eckerle4,
            "Rat43" => Self::Rat43,
            "Bennett5" => Self::Bennett5,
            other => unreachable!("no model for {other}"),
        }
    }
}

/// One problem with its two starts and certified results.
#[derive(Debug, Clone, Default)]
pub struct Nist {
    pub name: String,
    pub formula: Formula,
    pub starts: Vec<Vec<f64>>,
    pub certified: Vec<f64>,
    pub deviation: Vec<f64>,
    pub rss: f64,
    pub y: Vec<f64>,
    pub x: Vec<[f64; 2]>,
}

/// All problems, in the order of NIST's table (lower, average, higher difficulty).
pub fn problems() -> Vec<Nist> {
    let mut all: Vec<Nist> = Vec::new();
    for line in include_str!("strd.txt").lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        let first = words.next().expect("no empty lines");
        let numbers =
            |w: std::str::SplitWhitespace<'_>| w.map(|t| t.parse::<f64>().expect("a number")).collect::<Vec<_>>();
        if first == "problem" {
            let name = words.next().expect("a name").to_string();
            all.push(Nist { formula: Formula::of(&name), name, ..Nist::default() });
            continue;
        }
        let nist = all.last_mut().expect("starts with a problem");
        match first {
            "start" => nist.starts.push(numbers(words)),
            "certified" => nist.certified = numbers(words),
            "deviation" => nist.deviation = numbers(words),
            "rss" => nist.rss = numbers(words)[0],
            "data" => {}
            y => {
                let x = numbers(words);
                nist.y.push(y.parse().expect("a number"));
                nist.x.push([x[0], x.get(1).copied().unwrap_or(0.0)]);
            }
        }
    }
    all
}

impl Model for Nist {
    fn parameter_count(&self) -> usize {
        self.certified.len()
    }
    fn point_count(&self) -> usize {
        self.y.len()
    }
    fn residual<T: Real>(&self, point: usize, b: &[T]) -> T {
        let [x, x2] = self.x[point];
        let y = self.y[point];
        let one = T::constant(1.0);
        match self.formula {
            Formula::Rise => b[0] * (one - (-b[1] * x).exp()) - y,
            Formula::Misra1b => b[0] * (one - (b[1] * x / 2.0 + 1.0).powi(-2)) - y,
            Formula::Misra1c => b[0] * (one - (b[1] * 2.0 * x + 1.0).powf(-0.5)) - y,
            Formula::Misra1d => b[0] * b[1] * x / (b[1] * x + 1.0) - y,
            Formula::Chwirut => (-b[0] * x).exp() / (b[1] + b[2] * x) - y,
            Formula::DanWood => b[0] * T::constant(x).pow(b[1]) - y,
            Formula::Lanczos => b[0] * (-b[1] * x).exp() + b[2] * (-b[3] * x).exp() + b[4] * (-b[5] * x).exp() - y,
            Formula::Gauss => {
                let bell = |h: T, c: T, w: T| h * (-((-c + x) / w).powi(2)).exp();
                b[0] * (-b[1] * x).exp() + bell(b[2], b[3], b[4]) + bell(b[5], b[6], b[7]) - y
            }
            Formula::Kirby2 => (b[0] + b[1] * x + b[2] * (x * x)) / (b[3] * x + b[4] * (x * x) + 1.0) - y,
            Formula::Cubic => {
                let top = b[0] + (b[1] + (b[2] + b[3] * x) * x) * x;
                top / ((b[4] + (b[5] + b[6] * x) * x) * x + 1.0) - y
            }
            Formula::Nelson => b[0] - b[1] * x * (-b[2] * x2).exp() - y.ln(),
            Formula::Mgh17 => b[0] + b[1] * (-b[3] * x).exp() + b[2] * (-b[4] * x).exp() - y,
            Formula::Roszman1 => b[0] - b[1] * x - (b[2] / (-b[3] + x)).atan() / PI - y,
            Formula::Enso => {
                let wave = |c: T, s: T, period: T| {
                    let phase = T::constant(2.0 * PI * x) / period;
                    c * phase.cos() + s * phase.sin()
                };
                b[0] + wave(b[1], b[2], T::constant(12.0)) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6]) - y
            }
            Formula::Mgh09 => b[0] * (b[1] * x + x * x) / (b[2] * x + b[3] + x * x) - y,
            Formula::Rat42 => b[0] / ((b[1] - b[2] * x).exp() + 1.0) - y,
            Formula::Mgh10 => b[0] * (b[1] / (b[2] + x)).exp() - y,
            Formula::Eckerle4 => b[0] / b[1] * (((-b[2] + x) / b[1]).powi(2) * -0.5).exp() - y,
            Formula::Rat43 => b[0] / ((b[1] - b[2] * x).exp() + 1.0).pow(one / b[3]) - y,
            Formula::Bennett5 => b[0] * (b[1] + x).pow(-one / b[2]) - y,
        }
    }
}

//! The eighteen least-squares functions of Moré, Garbow and Hillstrom (*Testing unconstrained
//! optimization software*, ACM TOMS 7, 1981), with the sizes of MINPACK's own test programs.

use gradus_fit::{Model, Real};

/// One function at one size.
#[derive(Debug, Clone, Copy)]
pub struct Minpack {
    pub name: &'static str,
    pub number: usize,
    pub parameters: usize,
    pub points: usize,
    /// Sums of squares of its known minima, the lowest first.
    pub minima: &'static [f64],
}

/// All of them.
pub const ALL: [Minpack; 18] = [
    of(1, "Linear, full rank", 5, 50, &[45.0]),
    of(2, "Linear, rank 1", 5, 50, &[2450.0 / 202.0]),
    of(3, "Linear, rank 1, zero columns and rows", 5, 50, &[2644.0 / 194.0]),
    of(4, "Rosenbrock", 2, 2, &[0.0]),
    of(5, "Helical valley", 3, 3, &[0.0]),
    of(6, "Powell's singular function", 4, 4, &[0.0]),
    of(7, "Freudenstein and Roth", 2, 2, &[0.0, 48.984_253_679_240_01]),
    of(8, "Bard", 3, 15, &[8.214_877_306_578_96e-3, 17.428_693_709_85]),
    of(9, "Kowalik and Osborne", 4, 11, &[3.075_056_038_492_371e-4, 1.027_343e-3]),
    of(10, "Meyer", 3, 16, &[87.945_855_171_0]),
    of(11, "Watson", 9, 31, &[1.399_760_138_05e-6]),
    of(12, "Box, three dimensions", 3, 10, &[0.0, 7.558_874_075_5e-2]),
    of(13, "Jennrich and Sampson", 2, 10, &[124.362_182_355_6, 259.580_190_135]),
    of(14, "Brown and Dennis", 4, 20, &[85_822.201_626_356_3]),
    of(15, "Chebyquad", 8, 8, &[3.516_873_725_677e-3]),
    of(16, "Brown almost linear", 10, 10, &[0.0, 1.0]),
    of(17, "Osborne 1", 5, 33, &[5.464_894_697_482e-5]),
    of(18, "Osborne 2", 11, 65, &[4.013_773_629_354e-2, 1.789_813_586_96]),
];

const fn of(number: usize, name: &'static str, parameters: usize, points: usize, minima: &'static [f64]) -> Minpack {
    Minpack { name, number, parameters, points, minima }
}

const BARD: [f64; 15] = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39];
const KOWALIK: [(f64, f64); 11] = [
    (4.0, 0.1957),
    (2.0, 0.1947),
    (1.0, 0.1735),
    (0.5, 0.16),
    (0.25, 0.0844),
    (0.167, 0.0627),
    (0.125, 0.0456),
    (0.1, 0.0342),
    (0.0833, 0.0323),
    (0.0714, 0.0235),
    (0.0625, 0.0246),
];
const MEYER: [f64; 16] = [
    34780.0, 28610.0, 23650.0, 19630.0, 16370.0, 13720.0, 11540.0, 9744.0, 8261.0, 7030.0, 6005.0, 5147.0, 4427.0,
    3820.0, 3307.0, 2872.0,
];
const OSBORNE_1: [f64; 33] = [
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.85, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603,
    0.58, 0.558, 0.538, 0.522, 0.506, 0.49, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.42, 0.414, 0.411, 0.406,
];
const OSBORNE_2: [f64; 65] = [
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606,
    0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.5, 0.423,
    0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668,
    0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.71, 0.729, 0.72, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098,
    0.054,
];

impl Minpack {
    /// Whether a sum of squares is that of a known minimum.
    pub fn solved(&self, squares: f64) -> bool {
        self.minima.iter().any(|known| (squares - known).abs() <= 1e-5 * known + 1e-12)
    }

    /// The standard start times `factor`; Watson's start is zero, so that its multiples are constants.
    pub fn start(&self, factor: f64) -> Vec<f64> {
        let n = self.parameters;
        let standard: Vec<f64> = match self.number {
            1..=3 => vec![1.0; n],
            4 => vec![-1.2, 1.0],
            5 => vec![-1.0, 0.0, 0.0],
            6 => vec![3.0, -1.0, 0.0, 1.0],
            7 => vec![0.5, -2.0],
            8 => vec![1.0; 3],
            9 => vec![0.25, 0.39, 0.415, 0.39],
            10 => vec![0.02, 4000.0, 250.0],
            11 if factor == 1.0 => vec![0.0; n],
            11 => return vec![factor; n],
            12 => vec![0.0, 10.0, 20.0],
            13 => vec![0.3, 0.4],
            14 => vec![25.0, 5.0, -5.0, -1.0],
            15 => (1..=n).map(|j| j as f64 / (n + 1) as f64).collect(),
            16 => vec![0.5; n],
            17 => vec![0.5, 1.5, -1.0, 0.01, 0.02],
            _ => vec![1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5],
        };
        standard.iter().map(|v| v * factor).collect()
    }
}

impl Model for Minpack {
    fn parameter_count(&self) -> usize {
        self.parameters
    }

    fn point_count(&self) -> usize {
        self.points
    }

    fn residual<T: Real>(&self, point: usize, x: &[T]) -> T {
        let (n, m, i) = (self.parameters, self.points, point);
        let zero = T::constant(0.0);
        let sum = |terms: &mut dyn Iterator<Item = T>| terms.fold(zero, |s, t| s + t);
        match self.number {
            1 => {
                let total = sum(&mut x.iter().copied()) * (2.0 / m as f64);
                let own = if i < n { x[i] } else { zero };
                own - total - 1.0
            }
            2 => sum(&mut x.iter().enumerate().map(|(j, v)| *v * (j + 1) as f64)) * (i + 1) as f64 - 1.0,
            3 if i == 0 || i == m - 1 => zero - 1.0,
            3 => sum(&mut x[1..n - 1].iter().enumerate().map(|(j, v)| *v * (j + 2) as f64)) * i as f64 - 1.0,
            4 if i == 0 => (x[1] - x[0] * x[0]) * 10.0,
            4 => -x[0] + 1.0,
            5 => match i {
                0 => (x[2] - turns(x[0], x[1]) * 10.0) * 10.0,
                1 => ((x[0] * x[0] + x[1] * x[1]).sqrt() - 1.0) * 10.0,
                _ => x[2],
            },
            6 => match i {
                0 => x[0] + x[1] * 10.0,
                1 => (x[2] - x[3]) * 5f64.sqrt(),
                2 => (x[1] - x[2] * 2.0).powi(2),
                _ => (x[0] - x[3]).powi(2) * 10f64.sqrt(),
            },
            7 if i == 0 => x[0] - 13.0 + ((-x[1] + 5.0) * x[1] - 2.0) * x[1],
            7 => x[0] - 29.0 + ((x[1] + 1.0) * x[1] - 14.0) * x[1],
            8 => {
                let (u, v) = ((i + 1) as f64, (15 - i) as f64);
                let w = u.min(v);
                -(x[0] + (x[1] * v + x[2] * w).powi(-1) * u) + BARD[i]
            }
            9 => {
                let (v, y) = KOWALIK[i];
                -(x[0] * ((x[1] + v) * v) / ((x[2] + v) * v + x[3])) + y
            }
            10 => {
                let t = 45.0 + 5.0 * (i + 1) as f64;
                x[0] * (x[1] / (x[2] + t)).exp() - MEYER[i]
            }
            11 => match i {
                0..29 => {
                    let t = (i + 1) as f64 / 29.0;
                    let slope =
                        sum(&mut x.iter().enumerate().skip(1).map(|(j, v)| *v * (j as f64 * t.powi(j as i32 - 1))));
                    let value = sum(&mut x.iter().enumerate().map(|(j, v)| *v * t.powi(j as i32)));
                    slope - value * value - 1.0
                }
                29 => x[0],
                _ => x[1] - x[0] * x[0] - 1.0,
            },
            12 => {
                let t = (i + 1) as f64 / 10.0;
                (-(x[0] * t)).exp() - (-(x[1] * t)).exp() + x[2] * ((-10.0 * t).exp() - (-t).exp())
            }
            13 => {
                let t = (i + 1) as f64;
                -((x[0] * t).exp() + (x[1] * t).exp()) + (2.0 + 2.0 * t)
            }
            14 => {
                let t = (i + 1) as f64 / 5.0;
                let (a, b) = (x[0] + x[1] * t - t.exp(), x[2] + x[3] * t.sin() - t.cos());
                a * a + b * b
            }
            15 => {
                // Chebyshev polynomials shifted to [0, 1], less their integrals.
                let total = sum(&mut x.iter().map(|v| {
                    let t = *v * 2.0 - 1.0;
                    let (mut before, mut now) = (T::constant(1.0), t);
                    for _ in 0..i {
                        (before, now) = (now, t * 2.0 * now - before);
                    }
                    now
                }));
                let k = (i + 1) as f64;
                let integral = if i % 2 == 1 { -1.0 / (k * k - 1.0) } else { 0.0 };
                total / n as f64 - integral
            }
            16 if i < n - 1 => x[i] + sum(&mut x.iter().copied()) - (n + 1) as f64,
            16 => x.iter().fold(T::constant(1.0), |p, v| p * *v) - 1.0,
            17 => {
                let t = 10.0 * i as f64;
                -(x[0] + x[1] * (-(x[3] * t)).exp() + x[2] * (-(x[4] * t)).exp()) + OSBORNE_1[i]
            }
            _ => {
                let t = i as f64 / 10.0;
                let peak = |height: usize, rate: usize, middle: usize| {
                    let d = -x[middle] + t;
                    x[height] * (-(d * d * x[rate])).exp()
                };
                let decay = x[0] * (-(x[4] * t)).exp();
                -(decay + peak(1, 5, 8) + peak(2, 6, 9) + peak(3, 7, 10)) + OSBORNE_2[i]
            }
        }
    }
}

/// The angle of (x, y) in turns, from −1/4 to 3/4, as the helical valley defines it.
fn turns<T: Real>(x: T, y: T) -> T {
    const TURN: f64 = 2.0 * std::f64::consts::PI;
    if x.value().abs() >= y.value().abs() {
        return (y / x).atan() / TURN + if x.value() < 0.0 { 0.5 } else { 0.0 };
    }
    // Near the vertical axis y/x has no derivative, x/y has.
    let quarter = match (x.value() < 0.0, y.value() < 0.0) {
        (_, false) => 0.25,
        (false, true) => -0.25,
        (true, true) => 0.75,
    };
    -((x / y).atan() / TURN) + quarter
}

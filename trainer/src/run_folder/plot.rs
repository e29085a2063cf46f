//! `loss.svg`: bits per byte over the steps.

use std::path::Path;

use plotters::prelude::*;

use super::metrics::Row;
use super::storage::{Disk, replace};
use crate::error::{Result, TrainerError};

/// The file's name.
pub const FILE: &str = "loss.svg";

const SIZE: (u32, u32) = (960, 540);
/// The most points drawn of a curve; more are averaged in groups.
const MOST_POINTS: usize = 800;
/// Share of the curve over which the smoothed one averages.
const SMOOTHING: f64 = 0.02;

type Points = Vec<(f64, f64)>;

/// Draws the rows and replaces the run's picture. Without a finite value nothing is written.
///
/// # Errors
/// The system's.
pub fn write(run: &Path, title: &str, rows: &[Row]) -> Result<()> {
    let path = run.join(FILE);
    let (train, validation) = curves(rows);
    if train.is_empty() && validation.is_empty() {
        return Ok(());
    }
    let picture = draw(title, &train, &validation).map_err(std::io::Error::other);
    picture.and_then(|picture| replace(&Disk, &path, picture.as_bytes())).map_err(TrainerError::io("write", &path))
}

/// The finite points of training and of evaluation.
fn curves(rows: &[Row]) -> (Points, Points) {
    let mut curves = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::Train(row) if row.bits_per_byte.is_finite() => curves.0.push((row.step as f64, row.bits_per_byte)),
            Row::Evaluation(row) if row.validation_bits_per_byte.is_finite() => {
                curves.1.push((row.step as f64, row.validation_bits_per_byte));
            }
            _ => {}
        }
    }
    curves
}

/// Means of groups of neighbours, so that at most [`MOST_POINTS`] remain.
fn thinned(points: &[(f64, f64)]) -> Points {
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |group: &[(f64, f64)]| {
        let count = group.len() as f64;
        (group.iter().map(|point| point.0).sum::<f64>() / count, group.iter().map(|point| point.1).sum::<f64>() / count)
    };
    points.chunks(group).map(mean).collect()
}

/// An exponential average whose start is not pulled towards zero.
fn smoothed(points: &[(f64, f64)]) -> Points {
    let keep = (-1.0 / (SMOOTHING * points.len() as f64).max(1.0)).exp();
    let (mut sum, mut weight) = (0.0, 0.0);
    let step = |(step, value): &(f64, f64)| {
        sum = keep * sum + value;
        weight = keep * weight + 1.0;
        (*step, sum / weight)
    };
    points.iter().map(step).collect()
}

fn draw(title: &str, train: &[(f64, f64)], validation: &[(f64, f64)]) -> Result<String, String> {
    let train = thinned(train);
    let values = || train.iter().chain(validation);
    let last = values().map(|point| point.0).fold(1.0, f64::max);
    let (low, high) = values().fold((f64::INFINITY, 0f64), |(low, high), point| (low.min(point.1), high.max(point.1)));
    let margin = 0.05 * (high - low).max(0.1);
    let mut picture = String::new();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|e| failed(&e))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..last, (low - margin).max(0.0)..high + margin)
            .map_err(|e| failed(&e))?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("step")
            .y_desc("bits per byte")
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 16))
            .light_line_style(WHITE)
            .x_label_formatter(&|step| format!("{step:.0}"));
        mesh.draw().map_err(|e| failed(&e))?;
        let lines: [(&str, Points, RGBColor, u32); 3] = [
            ("training", train.clone(), RGBColor(178, 205, 228), 1),
            ("training, smoothed", smoothed(&train), RGBColor(31, 119, 180), 2),
            ("validation", validation.to_vec(), RGBColor(214, 39, 40), 2),
        ];
        for (name, points, colour, width) in lines.into_iter().filter(|line| !line.1.is_empty()) {
            let style = colour.stroke_width(width);
            let drawn = chart.draw_series(LineSeries::new(points, style)).map_err(|e| failed(&e))?;
            drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        let mut legend = chart.configure_series_labels();
        legend.background_style(WHITE.mix(0.85)).border_style(RGBColor(200, 200, 200));
        legend.position(SeriesLabelPosition::UpperRight).draw().map_err(|e| failed(&e))?;
        area.present().map_err(|e| failed(&e))?;
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::metrics::EvaluationRow;

    #[test]
    fn a_picture_shows_training_and_validation() {
        let run = tempfile::tempdir().unwrap();
        let train: Points = (1..=5000).map(|step| (f64::from(step), 2.0 + 6.0 / f64::from(step).sqrt())).collect();
        let picture = draw("xlstm-tiny", &train, &[(2500.0, 2.3), (5000.0, 2.2)]).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        for word in ["xlstm-tiny", "bits per byte", "validation", "training, smoothed"] {
            assert!(picture.contains(word), "{word}");
        }
        assert!(picture.matches("<polyline").count() >= 3);
        assert!(picture.len() < 100_000, "{}", picture.len());
        let row = Row::Evaluation(EvaluationRow {
            step: 3,
            validation_loss: 1.0,
            validation_bits_per_byte: 1.4,
            accuracy: None,
        });
        write(run.path(), "one point", &[row]).unwrap();
        assert!(run.path().join(FILE).is_file());
    }

    #[test]
    fn without_a_finite_value_there_is_no_picture() {
        let run = tempfile::tempdir().unwrap();
        let row =
            EvaluationRow { step: 1, validation_loss: f64::NAN, validation_bits_per_byte: f64::NAN, accuracy: None };
        write(run.path(), "none", &[Row::Evaluation(row)]).unwrap();
        assert!(!run.path().join(FILE).exists());
    }

    #[test]
    fn averages_keep_a_constant_and_the_number_of_points_small() {
        let constant: Points = (0..10_001).map(|step| (f64::from(step), 3.0)).collect();
        let thin = thinned(&constant);
        assert!(thin.len() <= MOST_POINTS && thin.len() > MOST_POINTS / 2);
        assert!(smoothed(&thin).iter().all(|point| (point.1 - 3.0).abs() < 1e-9));
        let spike = [(0.0, 1.0), (1.0, 9.0), (2.0, 1.0)];
        assert!(smoothed(&spike)[1].1 < 9.0);
    }
}

//! `loss.svg`: bits per byte over the steps, or nats per token where these are not known.

use std::path::Path;

use plotters::prelude::*;

use super::curves::{Points, Unit, losses, smoothed, thinned};
use super::metrics::Row;
use super::storage::{Disk, replace};
use crate::error::{Result, TrainerError};

/// The file's name.
pub const FILE: &str = "loss.svg";

const SIZE: (u32, u32) = (960, 540);
/// The most points drawn of a curve.
const MOST_POINTS: usize = 800;

/// Draws the rows and replaces the run's picture. Without a finite value nothing is written.
///
/// # Errors
/// The system's.
pub fn write(run: &Path, title: &str, rows: &[Row]) -> Result<()> {
    let path = run.join(FILE);
    let unit = Unit::of([rows]);
    let (train, validation) = losses(rows, unit);
    if train.is_empty() && validation.is_empty() {
        return Ok(());
    }
    let picture = draw((title, unit.name()), &train, &validation).map_err(std::io::Error::other);
    picture.and_then(|picture| replace(&Disk, &path, picture.as_bytes())).map_err(TrainerError::io("write", &path))
}

fn draw((title, unit): (&str, &str), train: &[(f64, f64)], validation: &[(f64, f64)]) -> Result<String, String> {
    let train = thinned(train, MOST_POINTS);
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
            .y_desc(unit)
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
        let picture = draw(("xlstm-tiny", "bits per byte"), &train, &[(2500.0, 2.3), (5000.0, 2.2)]).unwrap();
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
}

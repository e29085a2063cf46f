//! The page: one HTML file with everything in it.

use std::fmt::Write;
use std::time::SystemTime;

use gradus_fit::plot::{Mark, Plot};
use serde_json::{Value, json};

use super::Chapter;
use super::ask::quoted;
use super::parts::{Grid, Part, Section};
use super::words::decimal;
use crate::device_report;
use crate::run_folder;
use crate::verbs::report::Arguments;

const STYLE: &str = include_str!("../../assets/report/report.css");
const SCRIPT: &str = include_str!("../../assets/report/report.js");
const PLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
const PLOT_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");
const PLOT_LICENSE: &str = include_str!("../../assets/uplot/LICENSE");

/// Points of a line, at most, for which it is in the table beside its diagram.
const MOST_LISTED: usize = 24;
const PAPER: &str = "The paper is <cite>xLSTM Scaling Laws: Competitive Performance with Linear Time-Complexity</cite> (Beck and \
    others, <a href=\"https://arxiv.org/abs/2510.02228\">arXiv 2510.02228</a>); its runs have 80 M to 7 B parameters and 2.8e18 \
    to 8.5e22 FLOPs, on other text with other tokens. Where ours are orders of magnitude smaller, a figure of theirs is a \
    reference, not a target. Intervals are at 95 %. All fits are those of <code>gradus fit</code>, by the commands given.";

/// The command that makes the page.
pub fn command(arguments: &Arguments) -> String {
    let folders: Vec<String> = arguments.folders.iter().map(|folder| quoted(&folder.display().to_string())).collect();
    format!("gradus report {} --out {}", folders.join(" "), quoted(&arguments.out.display().to_string()))
}

/// Text in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page under way: its HTML, and what its script reads.
#[derive(Default)]
struct Page {
    html: String,
    plots: Vec<Value>,
    fits: Vec<Value>,
}

/// The whole file.
pub fn html(chapters: &[Chapter], command: &str) -> String {
    let names: Vec<String> = chapters.iter().map(|chapter| chapter.study.name()).collect();
    let title = escaped(&format!("Scaling study: {}", names.join(", ")));
    let mut page = Page::default();
    page.line(&format!("<header><h1>{title}</h1><p class=\"soft\">{PAPER}</p></header>"));
    for (place, chapter) in chapters.iter().enumerate() {
        page.chapter(place, chapter, chapters.len() > 1);
    }
    page.made(command);
    let data = json!({ "gradus_report": 1, "plots": page.plots, "fits": page.fits });
    // Text within a script element ends at its closing tag alone.
    let data = data.to_string().replace('<', "\\u003c");
    let body = page.html;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{PLOT_STYLE}\n{STYLE}</style>\n</head>\n<body>\n{body}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script>\n/*\n{PLOT_LICENSE}*/\n{PLOT_SCRIPT}\n</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

impl Page {
    fn line(&mut self, html: &str) {
        self.html.push_str(html);
        self.html.push('\n');
    }

    fn chapter(&mut self, place: usize, chapter: &Chapter, several: bool) {
        self.line("<article>");
        if several {
            self.line(&format!("<h2>{}</h2>", escaped(&chapter.study.name())));
        }
        let links: String = chapter
            .sections
            .iter()
            .map(|section| format!("<li><a href=\"#{}-{place}\">{}</a></li>", section.id, escaped(section.title)))
            .collect();
        self.line(&format!("<nav aria-label=\"Sections\"><ul>{links}</ul></nav>"));
        self.line("<div class=\"summary\">");
        let all = |pick: fn(&Section) -> &Vec<String>| chapter.sections.iter().flat_map(pick).cloned().collect();
        let (found, unsettled): (Vec<String>, Vec<String>) = (all(|s| &s.found), all(|s| &s.unsettled));
        self.list("What was found", &found, "These data give no law.");
        self.list("What these data do not settle", &unsettled, "Nothing that the fits would tell.");
        self.line("</div>");
        for section in &chapter.sections {
            self.section(place, section);
        }
        if let Some(plan) = &chapter.study.plan {
            self.line("<section><h3>The plan</h3><details><summary>sweep.toml</summary>");
            self.line(&format!("<pre>{}</pre></details></section>", escaped(plan)));
        }
        self.line("</article>");
    }

    fn list(&mut self, title: &str, sentences: &[String], none: &str) {
        self.line(&format!("<h3>{title}</h3>"));
        if sentences.is_empty() {
            return self.line(&format!("<p>{none}</p>"));
        }
        let items: String = sentences.iter().map(|sentence| format!("<li>{}</li>\n", escaped(sentence))).collect();
        self.line(&format!("<ul>\n{items}</ul>"));
    }

    fn section(&mut self, place: usize, section: &Section) {
        self.line(&format!("<section id=\"{}-{place}\"><h3>{}</h3>", section.id, escaped(section.title)));
        match &section.missing {
            Some(missing) => self.line(&format!("<p class=\"missing\">{}</p>", escaped(missing))),
            None => self.line(&format!("<p class=\"soft\">{}</p>", escaped(section.about))),
        }
        for part in &section.parts {
            self.part(section.id, part);
        }
        self.line("</section>");
    }

    fn part(&mut self, id: &str, part: &Part) {
        if !part.heading.is_empty() {
            self.line(&format!("<h4>{}</h4>", escaped(&part.heading)));
        }
        if let Some(missing) = &part.missing {
            self.line(&format!("<p class=\"missing\">{}</p>", escaped(missing)));
        }
        if !part.plots.is_empty() {
            self.line("<div class=\"charts\">");
            part.plots.iter().for_each(|plot| self.figure(&part.heading, plot));
            self.line("</div>");
        }
        part.grids.iter().for_each(|grid| self.grid(grid));
        if !part.text.is_empty() {
            self.line("<details><summary>The fitter\u{2019}s own words</summary>");
            self.line(&format!("<pre>{}</pre></details>", escaped(&part.text)));
        }
        if !part.note.is_empty() {
            self.line(&format!("<p class=\"soft\">{}</p>", escaped(&part.note)));
        }
        if !part.command.is_empty() {
            self.line(&format!("<code class=\"command\">{}</code>", escaped(&part.command)));
        }
        if !part.document.is_null() {
            self.fits
                .push(json!({ "section": id, "of": part.heading, "command": part.command, "document": part.document }));
        }
    }

    fn figure(&mut self, heading: &str, plot: &Plot) {
        let number = self.plots.len();
        self.plots.push(json!(plot));
        let what = if heading.is_empty() { plot.title.clone() } else { format!("{heading}: {}", plot.title) };
        let label = format!(
            "{what}. {} over {}. Arrow keys go from point to point; the table below has the same.",
            plot.y_label, plot.x_label
        );
        self.line(&format!("<figure data-plot=\"{number}\"><figcaption>{}</figcaption>", escaped(&plot.title)));
        self.line("<div class=\"controls\" role=\"group\" aria-label=\"What is shown\"></div>");
        self.line(&format!(
            "<div class=\"canvas\" role=\"application\" tabindex=\"0\" aria-label=\"{}\">",
            escaped(&label)
        ));
        self.line("<noscript>The diagram needs JavaScript; the table below has its points.</noscript></div>");
        self.line("<details><summary>The points as a table</summary>");
        self.grid(&points(plot));
        self.line("</details></figure>");
    }

    fn grid(&mut self, grid: &Grid) {
        if grid.rows.is_empty() {
            return;
        }
        let head: String = grid.head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escaped(name))).collect();
        let label = escaped(if grid.caption.is_empty() { "Table" } else { &grid.caption });
        if !grid.caption.is_empty() {
            self.line(&format!("<p class=\"caption\">{label}</p>"));
        }
        let _ =
            write!(self.html, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table>");
        let _ = writeln!(self.html, "<thead><tr>{head}</tr></thead><tbody>");
        for row in &grid.rows {
            let cell = |cell: &String| {
                let class = if cell.len() > 60 { " class=\"wrap\"" } else { "" };
                format!("<td{class}>{}</td>", escaped(cell))
            };
            let _ = writeln!(self.html, "<tr>{}</tr>", row.iter().map(cell).collect::<String>());
        }
        self.line("</tbody></table></div>");
    }

    /// How the page was made.
    fn made(&mut self, command: &str) {
        self.line("<section id=\"made\"><h3>How this page was made</h3>");
        let mut grid = Grid::new("", &["what", "which"]);
        let mut row = |what: &str, which: String| grid.rows.push(vec![what.into(), which]);
        row("program", format!("gradus {}", env!("CARGO_PKG_VERSION")));
        row("date", run_folder::date(SystemTime::now()));
        row("plots", "uPlot 1.6.32, MIT licence".into());
        self.grid(&grid);
        self.line("<details><summary>The machine on which the page was made</summary>");
        self.line(&format!("<pre>{}</pre></details>", escaped(&device_report::text())));
        self.line(&format!("<code class=\"command\">{}</code></section>", escaped(command)));
    }
}

/// The points of a diagram: what was measured, and short lines.
fn points(plot: &Plot) -> Grid {
    let mut grid = Grid::new("", &["series", &plot.x_label, &plot.y_label]);
    for series in &plot.series {
        let listed = match series.mark {
            Mark::Dots | Mark::Rings => true,
            Mark::Line | Mark::Dashed => series.points.len() <= MOST_LISTED && !series.name.is_empty(),
            Mark::Faint | Mark::Band => false,
        };
        if !listed {
            continue;
        }
        let named = plot.series.iter().find(|other| other.colour == series.colour && !other.name.is_empty());
        let name = if series.name.is_empty() { named.map_or("", |other| &other.name) } else { &series.name };
        for (x, y) in &series.points {
            grid.rows.push(vec![name.to_owned(), figure(*x), figure(*y)]);
        }
    }
    grid
}

/// A value of an axis.
fn figure(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) { format!("{value:.4e}") } else { decimal(value) }
}

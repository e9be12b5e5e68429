//! The report of a run as one HTML page that needs nothing else: styles, drawings and all.
//!
//! The page is rendered from `templates/report.html`, with every text escaped. It stays small
//! enough to open at once: the more trials there are, the coarser their drawings become, and where
//! that is not enough the details of some are left out, beginning with those that met their
//! expectations. Without a script it shows tables and pictures; its script draws what the trials' own
//! files have, by uPlot, which is part of the page.

mod chart;
mod course;
mod overview;
mod trial;

use holdline_model::result::{LossKind, RunResult, TrialResult};
use holdline_model::words::{Grade, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use crate::columns::{Column, Layout, columns};
use crate::course::{Course, Courses};
use crate::detail::QUANTILES;
use crate::markdown::capital;
use crate::prose::{self, Line, MERGED};
use crate::ratios::{Ratios, ratios};
use crate::rows::{Row, Section, sections};
use crate::text::{counted, plain, unbroken};
use overview::{Folded, MatrixRow, Sentence, Tile};
use trial::{Detail, Resolution};

/// Above this size a page is rendered again with less of each trial.
const PAGE_BYTES_MAX: usize = 1_950_000;

/// The page and what it includes, by the names that it has for them.
const TEMPLATES: [(&str, &str); 2] = [
    ("report.html", include_str!("../templates/report.html")),
    ("trial.html", include_str!("../templates/trial.html")),
];

const STYLE: &str = include_str!("../templates/report.css");
const SCRIPT: &str = include_str!("../templates/report.js");
/// What draws by uPlot.
const CHARTS: &str = include_str!("../templates/charts.js");

/// Of uPlot, which is MIT-licensed, version 1.6.32 as it is in npm's registry.
const UPLOT_STYLE: &str = include_str!("../assets/uplot/uPlot.min.css");
const UPLOT: &str = include_str!("../assets/uplot/uPlot.iife.min.js");
const UPLOT_LICENCE: &str = include_str!("../assets/uplot/LICENSE");

/// The page could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("failed to render the HTML report: {0}")]
pub struct HtmlError(#[from] minijinja::Error);

/// The report of a whole run, with the courses of those trials whose files can be read.
///
/// # Errors
///
/// If the template asks for something that the page does not have: a defect of this crate.
pub fn html(run: &RunResult, courses: Courses<'_>) -> Result<String, HtmlError> {
    page(run, courses, None)
}

/// What a verb says of a run, which stands above all else on its page.
#[derive(Debug, Serialize)]
pub(crate) struct Preface {
    /// In a sentence.
    pub(crate) headline: String,
    /// `pass`, `fail` or `unknown`.
    pub(crate) tone: &'static str,
    /// Headings and their lines.
    pub(crate) lists: Vec<(String, Vec<String>)>,
    /// What the trials beneath are, where their scenarios expect nothing; absent: a run with verdicts.
    pub(crate) trials: Option<&'static str>,
}

/// The report of a run with what a verb says of it.
pub(crate) fn page(
    run: &RunResult,
    courses: Courses<'_>,
    preface: Option<&Preface>,
) -> Result<String, HtmlError> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    // The name's ending turns on escaping.
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    let courses: Vec<Option<Course>> = run.trials.iter().map(courses).collect();
    let template = environment.get_template("report.html")?;
    let mut page = String::new();
    for resolution in Resolution::ALL {
        page =
            template.render(Value::from(Serde(Page { preface, ..Page::of(run, &courses, resolution) })))?;
        if page.len() <= PAGE_BYTES_MAX {
            break;
        }
    }
    page.push('\n');
    Ok(page)
}

/// Everything that the template shows.
#[derive(Serialize)]
struct Page<'a> {
    preface: Option<&'a Preface>,
    headline: String,
    /// How much of the run there is, where it was cut short.
    incomplete: Option<String>,
    /// `pass`, `fail` or `unknown`.
    tone: &'static str,
    expectations: String,
    failed: Option<Folded>,
    /// A sentence for each supervisor.
    sentences: Vec<Sentence>,
    tiles: Vec<Tile>,
    facts: Vec<(&'static str, String)>,
    sysctls: Vec<(String, String)>,
    scenarios: Vec<String>,
    /// Grades of each supervisor in each scenario, if there are several.
    matrix: Vec<MatrixRow>,
    sections: Vec<SectionView>,
    ratios: Vec<Ratios>,
    lists: Vec<List>,
    notes: Vec<String>,
    /// Whether there is anything for the script to draw.
    has_courses: bool,
    style: Value,
    script: Value,
    licence: &'static str,
    /// Headings of the latencies of each trial.
    quantiles: [&'static str; 6],
    legend: Vec<(&'static str, &'static str)>,
    merged: Option<&'static str>,
    /// How many trials have no details here.
    left_out: Option<String>,
}

/// A grade as a coloured label: its class, a sign that needs no colour, and its text.
#[derive(Debug, Serialize)]
struct Mark {
    class: &'static str,
    sign: &'static str,
    text: String,
}

#[derive(Serialize)]
struct SectionView {
    number: usize,
    name: String,
    size: String,
    heads: Vec<&'static str>,
    rows: Vec<RowView>,
    /// Latencies over quantiles of all contenders, for the script.
    curves: Option<Value>,
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct RowView {
    name: String,
    /// The detail that the name leads to, if it is on the page.
    detail: Option<usize>,
    marks: Vec<Mark>,
    shares: Option<Value>,
    cells: Vec<String>,
}

/// Sentences under a heading.
#[derive(Serialize)]
struct List {
    head: &'static str,
    lines: Folded,
    /// Whether all of it is folded away.
    is_folded: bool,
}

impl Mark {
    fn new(grade: Grade, text: String) -> Self {
        let sign = match grade {
            Grade::Held => "✓",
            Grade::Delayed => "◔",
            Grade::Lossy => "✗",
            Grade::Down => "▼",
            Grade::Unsupported => "–",
            Grade::Inconclusive => "?",
        };
        Self { class: grade.as_str(), sign, text }
    }
}

impl Page<'_> {
    fn of(run: &RunResult, courses: &[Option<Course>], resolution: Resolution) -> Self {
        let sections = sections(run);
        let chosen = chosen(run, resolution.trials);
        let shown = Shown { run, courses, chosen: &chosen, resolution };
        let detail = |trial: &TrialResult| shown.index(trial).filter(|index| chosen[*index]);
        let has_courses = resolution.has_course && courses.iter().any(Option::is_some);
        let [of_fault, late, lost] = losses(run);
        let is_merged = sections.iter().flat_map(|section| &section.rows).any(Row::is_repeated);
        Self {
            preface: None,
            headline: overview::headline(run),
            incomplete: overview::incomplete(run),
            tone: overview::tone(run),
            expectations: if run.trials.is_empty() { String::new() } else { prose::expectations(run) },
            failed: Folded::of(prose::violations(run)),
            sentences: overview::sentences(run, &detail),
            tiles: if run.trials.is_empty() { Vec::new() } else { overview::tiles(run) },
            facts: crate::markdown::facts(run),
            sysctls: run.manifest.sysctls.iter().map(|(name, value)| (plain(name), plain(value))).collect(),
            scenarios: sections.iter().map(|section| plain(section.scenario)).collect(),
            matrix: if sections.len() > 1 { overview::matrix(run, &sections, &detail) } else { Vec::new() },
            sections: shown.views(&sections),
            ratios: ratios(run)
                .into_iter()
                .map(|ratios| Ratios { title: capital(&ratios.title), ..ratios })
                .collect(),
            lists: [
                list("Expectations that did not hold, as foreseen", prose::foreseen(run), false),
                list("Lost", lost, false),
                list("Served late", late, false),
                list("Lost with the faults themselves", of_fault, true),
                list("Advice", prose::advice(run), false),
                list("Reasons", prose::reasons(run), false),
            ]
            .into_iter()
            .flatten()
            .collect(),
            notes: prose::notes(run),
            has_courses,
            style: Value::from_safe_string(if has_courses {
                format!("{UPLOT_STYLE}\n{STYLE}")
            } else {
                STYLE.to_owned()
            }),
            script: Value::from_safe_string(if has_courses {
                format!("{UPLOT}\n{CHARTS}\n{SCRIPT}")
            } else {
                SCRIPT.to_owned()
            }),
            licence: UPLOT_LICENCE,
            quantiles: QUANTILES,
            legend: prose::legend(run),
            merged: is_merged.then_some(MERGED),
            left_out: Some(chosen.iter().filter(|is_chosen| !**is_chosen).count() as u64)
                .filter(|n| *n > 0)
                .map(|n| counted(n, "trial")),
        }
    }
}

/// Which trials are shown in detail: all, or of too many those first that did not pass.
fn chosen(run: &RunResult, details: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..run.trials.len()).collect();
    order.sort_by_key(|index| run.trials[*index].verdict == Verdict::Pass);
    let mut chosen = vec![false; run.trials.len()];
    for index in order.into_iter().take(details) {
        chosen[index] = true;
    }
    chosen
}

/// A label for each grade of a row.
fn marks(row: &Row<'_>) -> Vec<Mark> {
    row.grade_parts().into_iter().map(|(grade, text)| Mark::new(grade, text)).collect()
}

/// What of a run is shown.
#[derive(Clone, Copy)]
struct Shown<'a> {
    run: &'a RunResult,
    /// How each of its trials went.
    courses: &'a [Option<Course>],
    /// Which of them are shown in detail.
    chosen: &'a [bool],
    resolution: Resolution,
}

impl<'a> Shown<'a> {
    fn index(self, trial: &TrialResult) -> Option<usize> {
        self.run.trials.iter().position(|other| std::ptr::eq(other, trial))
    }

    /// The sections, with the details of the chosen trials.
    fn views(self, sections: &[Section<'_>]) -> Vec<SectionView> {
        (0..).zip(sections).map(|(number, section)| self.section(number, section)).collect()
    }

    fn section(self, number: usize, section: &Section<'_>) -> SectionView {
        let domain_ns = trial::domain_ns(section);
        let details: Vec<Detail> = section
            .rows
            .iter()
            .flat_map(|row| row.trials.iter().map(move |trial| (row, *trial)))
            .filter_map(|(row, trial)| Some((row, trial, self.index(trial)?)))
            .filter(|(_, _, index)| self.chosen[*index])
            .map(|(row, trial, index)| {
                let course = self.courses.get(index).and_then(Option::as_ref);
                let drawn = trial::Drawn { domain_ns, course, trials: self.run.trials.len() };
                Detail::of(index, trial, row.is_repeated(), drawn, self.resolution)
            })
            .collect();
        let columns: Vec<&Column> = columns(section, Layout::Html).collect();
        let detail = |row: &Row<'_>| self.index(row.trials[0]).filter(|index| self.chosen[*index]);
        let course = |trial: &TrialResult| self.courses.get(self.index(trial)?).and_then(Option::as_ref);
        SectionView {
            number,
            name: plain(section.scenario),
            size: prose::size(section),
            heads: columns.iter().map(|column| column.name).collect(),
            rows: section.rows.iter().map(|row| view(row, &columns, detail(row))).collect(),
            curves: if self.resolution.has_course { course::curves(section, &course) } else { None },
            details,
        }
    }
}

fn view(row: &Row<'_>, columns: &[&Column], detail: Option<usize>) -> RowView {
    RowView {
        name: plain(row.supervisor),
        detail,
        marks: marks(row),
        shares: (row.attempts > 0).then(|| chart::shares(row.split)),
        cells: columns.iter().map(|column| unbroken(&column.text(row))).collect(),
    }
}

fn list(head: &'static str, lines: Vec<Line>, is_folded: bool) -> Option<List> {
    Some(List { head, lines: Folded::of(lines)?, is_folded })
}

/// What was lost with the faults themselves, what was served late, and what was lost otherwise.
fn losses(run: &RunResult) -> [Vec<Line>; 3] {
    let apart = [LossKind::Poison, LossKind::Late].map(Some);
    let [of_fault, late] = apart.map(|wanted| prose::losses_that(run, |kind| kind == wanted));
    [of_fault, late, prose::losses_that(run, |kind| !apart.contains(&kind))]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    const LIMIT: usize = 2_000_000;

    fn page(run: &RunResult) -> String {
        html(run, &crate::course::none).expect("a page")
    }

    #[test]
    fn the_page_shows_what_the_run_came_to() {
        let page = page(&sample::varied());
        for text in [
            "8 of 23 trials did not meet their expectations",
            "13 of 23 trials met their scenario&#x27;s expectations",
            "14 refused: nobody was listening; safe to retry",
            "not installed: pip install circus==0.19.0",
            "6.8.0-41-generic",
            "prefers-color-scheme: dark",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(page.matches("<details class=\"trial").count(), 23);
        for loads in ["src=", "@import", "url(", "<link", "fetch(", "XMLHttpRequest"] {
            assert!(!page.contains(loads), "it loads nothing: {loads}");
        }
    }

    #[test]
    fn no_trials_is_said() {
        let page = page(&sample::run(Vec::new()));
        assert!(page.contains(">No trials ended</h1>"), "{page}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let page = page(&sample::hostile());
        assert!(!page.contains("<script>alert"));
        assert!(!page.contains('\u{1b}'));
        assert!(page.contains("&lt;script&gt;alert(&#x27;x&#x27;)"));
    }

    #[test]
    fn the_same_result_gives_the_same_page() {
        assert_eq!(page(&sample::varied()), page(&sample::varied()));
    }

    #[test]
    fn many_trials_stay_below_the_limit() {
        let repeated: Vec<_> = (0..50)
            .flat_map(|repetition| {
                let mut trials = sample::ten("crash");
                trials.iter_mut().for_each(|trial| trial.repetition = repetition);
                trials
            })
            .collect();
        let distinct = (0..500).map(|index| sample::busy(&format!("supervisor-{index}"), "crash"));
        for run in [sample::run(repeated), sample::run(distinct.collect())] {
            assert_eq!(run.trials.len(), 500);
            let page = page(&run);
            assert_eq!(page.matches("<details class=\"trial").count(), 500);
            assert!(page.len() < LIMIT, "{}", page.len());
        }
    }

    #[test]
    fn of_too_many_trials_the_failed_ones_are_kept() {
        let mut trials: Vec<_> = (0..5_000).map(|_| sample::held("prefork", "crash")).collect();
        trials.push(sample::ten("crash").swap_remove(0));
        let page = page(&sample::run(trials));
        assert_eq!(page.matches("<details class=\"trial").count(), Resolution::ALL[0].trials);
        assert!(page.contains("<details class=\"trial\" id=\"t5000\">"), "the one that failed");
        assert!(page.contains("Details of 4 401 trials are left out"), "says so");
        assert!(page.len() < LIMIT, "{}", page.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn any_run_makes_a_page(run in sample::any_run()) {
            let page = page(&run);
            prop_assert!(page.ends_with("</html>\n"));
            prop_assert_eq!(page.matches("<details class=\"trial").count(), run.trials.len());
        }
    }
}

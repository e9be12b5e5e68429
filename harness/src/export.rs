//! The formats in which a result is written, and the files into which it is exported.
//!
//! Files are checked before a run begins and written once it is over, each whole or not at all.
//! Rendering needs what was recorded alone, so that it is exported later as when it was just run.

use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use holdline_model::result::{RunResult, TrialResult};
use holdline_reports::{exchange, html, junit, markdown};
use nix::unistd::{AccessFlags, access};

use crate::recorded;
use crate::rundir::{RUN_JSON, hint, to_json, write_atomically};

/// A format in which a result can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// holdline.run/1.
    Json,
    /// Markdown.
    Markdown,
    /// One page.
    Html,
    /// Verdicts as JUnit XML.
    Junit,
    /// Times as hyperfine exports them.
    Hyperfine,
    /// Losses and times for github-action-benchmark.
    Benchmark,
}

/// What is known of a format.
struct Row {
    format: Format,
    option: &'static str,
    file: &'static str,
    render: fn(Recorded<'_>) -> Result<String, String>,
}

/// A result, and where the files of its trials are, as far as there are any.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The result.
    pub run: &'a RunResult,
    /// The run's directory.
    pub dir: Option<&'a Path>,
}

const TABLE: [Row; 6] = [
    Row {
        format: Format::Json,
        option: "--export-json",
        file: RUN_JSON,
        render: |recorded| Ok(to_json(recorded.run)),
    },
    Row {
        format: Format::Markdown,
        option: "--export-markdown",
        file: "report.md",
        render: |recorded| Ok(markdown::markdown(recorded.run)),
    },
    Row {
        format: Format::Html,
        option: "--export-html",
        file: "report.html",
        render: |recorded| {
            let course = |trial: &TrialResult| recorded::course(recorded.dir?, &trial.folder);
            html::html(recorded.run, &course).map_err(|error| error.to_string())
        },
    },
    Row {
        format: Format::Junit,
        option: "--junit",
        file: "junit.xml",
        render: |recorded| junit::junit(recorded.run).map_err(|error| error.to_string()),
    },
    Row {
        format: Format::Hyperfine,
        option: "--export-hyperfine",
        file: "hyperfine.json",
        render: |recorded| exchange::hyperfine(recorded.run),
    },
    Row {
        format: Format::Benchmark,
        option: "--export-benchmark",
        file: "benchmark.json",
        render: |recorded| exchange::benchmark(recorded.run),
    },
];

impl Format {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.format)
    }

    fn row(self) -> &'static Row {
        // The table is in the order of the enum, which a test holds.
        &TABLE[self as usize]
    }

    /// The option that asks for it.
    #[must_use]
    pub fn option(self) -> &'static str {
        self.row().option
    }

    /// Its file in a run directory.
    #[must_use]
    pub fn file(self) -> &'static str {
        self.row().file
    }

    /// A result in this format. Pages draw what the files of trials in the run's directory have.
    ///
    /// # Errors
    ///
    /// If it cannot be rendered.
    pub fn render(self, run: &RunResult, dir: Option<&Path>) -> Result<String, ExportError> {
        (self.row().render)(Recorded { run, dir })
            .map_err(|why| ExportError::Render { option: self.option(), why })
    }
}

/// What comes of something in each format, rendered once, into however many files it goes.
pub struct Texts<'a> {
    render: Box<dyn Fn(Format) -> Result<String, ExportError> + 'a>,
    made: [OnceCell<String>; TABLE.len()],
}

impl<'a> Texts<'a> {
    /// Those that this renders.
    pub fn new(render: impl Fn(Format) -> Result<String, ExportError> + 'a) -> Self {
        Self { render: Box::new(render), made: Default::default() }
    }

    /// Those of a result, as [`Format::render`].
    #[must_use]
    pub fn of_run(run: &'a RunResult, dir: Option<&'a Path>) -> Self {
        Self::new(move |format| format.render(run, dir))
    }

    /// The text of a format.
    ///
    /// # Errors
    ///
    /// If it cannot be rendered.
    pub fn of(&self, format: Format) -> Result<&str, ExportError> {
        let made = &self.made[format as usize];
        match made.get() {
            Some(text) => Ok(text),
            None => (self.render)(format).map(|text| made.get_or_init(|| text).as_str()),
        }
    }
}

/// An export that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Two go to the same place.
    #[error("{first} and {second} would both write to {}; name another file for one of them", .path.display())]
    Twice {
        /// The option of the one.
        first: &'static str,
        /// The option of the other.
        second: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The path is not one of a file.
    #[error("{option} {}: {why}", .path.display())]
    NotAFile {
        /// The option.
        option: &'static str,
        /// Its path.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// It cannot be written to.
    #[error("failed to write {option} {}: {error}{}", .path.display(), hint(.error))]
    Write {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The report cannot be made.
    #[error("failed to render {option}: {why}")]
    Render {
        /// The option.
        option: &'static str,
        /// Why.
        why: String,
    },
}

impl ExportError {
    /// Whether what was typed is wrong, rather than the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Twice { .. } | Self::NotAFile { .. })
    }
}

/// Where an export goes.
#[derive(Debug)]
enum Target {
    Stdout,
    /// What is no regular file: a pipe, a terminal, `/dev/null`.
    Stream(File),
    /// Replaced at once.
    File(PathBuf),
}

/// Exports that can be made as far as one can know before.
#[derive(Debug, Default)]
pub struct Exports {
    list: Vec<(Format, PathBuf, Target)>,
}

impl Exports {
    /// Checks every file, and opens what is not a regular one. A pipe (FIFO) is waited for until
    /// somebody reads from it. `-` is standard output.
    ///
    /// `run_dir` is where a run writes files of its own, which no export may replace.
    ///
    /// # Errors
    ///
    /// A path is no file's or cannot be written to, or two are the same.
    pub fn open(wanted: Vec<(Format, PathBuf)>, run_dir: Option<&Path>) -> Result<Self, ExportError> {
        let mut exports = Self::default();
        for (format, path) in wanted {
            let target = open(format, &path)?;
            exports.check_alone(format, &path, &target, run_dir)?;
            exports.list.push((format, path, target));
        }
        Ok(exports)
    }

    fn check_alone(
        &self,
        format: Format,
        path: &Path,
        target: &Target,
        run_dir: Option<&Path>,
    ) -> Result<(), ExportError> {
        let twice = |first| Err(ExportError::Twice { first, second: format.option(), path: path.to_owned() });
        let same = |(_, other_path, other): &&(Format, PathBuf, Target)| match (target, other) {
            (Target::Stdout, Target::Stdout) => true,
            (Target::File(one), Target::File(other)) => one == other,
            // `/dev/null` takes any number.
            (Target::Stream(stream), Target::Stream(_)) => {
                path == other_path && !stream.metadata().is_ok_and(|data| data.file_type().is_char_device())
            }
            (Target::Stdout | Target::Stream(_) | Target::File(_), _) => false,
        };
        if let Some((other, _, _)) = self.list.iter().find(same) {
            return twice(other.option());
        }
        let (Target::File(file), Some(run_dir)) = (target, run_dir) else { return Ok(()) };
        let is_other = |other: &Format| *other != format && *file == run_dir.join(other.file());
        if Format::all().any(|other| is_other(&other)) { twice("the run itself") } else { Ok(()) }
    }

    /// Whether standard output belongs to an export, and so not to the table.
    #[must_use]
    pub fn take_stdout(&self) -> bool {
        self.list.iter().any(|(_, _, target)| matches!(target, Target::Stdout))
    }

    /// Writes them all, each with the text of its format; what goes to standard output is handed to `print`.
    ///
    /// # Errors
    ///
    /// One cannot be rendered or written. The others are written all the same.
    pub fn write<E: From<ExportError>>(
        self,
        texts: &Texts<'_>,
        mut print: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        for (format, path, target) in self.list {
            let written = texts.of(format).map_err(E::from).and_then(|text| {
                let fail = |error| E::from(ExportError::Write { option: format.option(), path, error });
                match target {
                    Target::Stdout => print(text),
                    Target::Stream(mut stream) => {
                        ended_early(stream.write_all(text.as_bytes())).map_err(fail)
                    }
                    Target::File(file) => write_atomically(&file, text.as_bytes()).map_err(fail),
                }
            });
            if let Err(error) = written {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// A reader that has gone, as `head` does, is no error.
fn ended_early(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn open(format: Format, path: &Path) -> Result<Target, ExportError> {
    let option = format.option();
    let not = |why| ExportError::NotAFile { option, path: path.to_owned(), why };
    let fail = |error| ExportError::Write { option, path: path.to_owned(), error };
    if is_stdout(path) {
        return Ok(Target::Stdout);
    }
    match path.metadata() {
        Ok(data) if data.is_dir() => Err(not("it is a folder; name a file")),
        Ok(data) if !data.is_file() || is_descriptor(path) => {
            OpenOptions::new().write(true).open(path).map(Target::Stream).map_err(fail)
        }
        Ok(_) => {
            access(path, AccessFlags::W_OK).map_err(|errno| fail(errno.into()))?;
            // A symbolic link stays one, and what it points to is replaced.
            let file = path.canonicalize().map_err(fail)?;
            prove(&file).map_err(fail)?;
            Ok(Target::File(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(name) = path.file_name() else { return Err(not("it does not name a file")) };
            if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                return Err(not("it names a folder; name a file"));
            }
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let parent = match parent.canonicalize() {
                Ok(parent) => parent,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(not("its folder does not exist; create it first"));
                }
                Err(error) => return Err(fail(error)),
            };
            let file = parent.join(name);
            prove(&file).map_err(fail)?;
            Ok(Target::File(file))
        }
        Err(error) => Err(fail(error)),
    }
}

/// Proves that a file could be made beside this one, and leaves nothing.
fn prove(file: &Path) -> io::Result<()> {
    tempfile::tempfile_in(file.parent().unwrap_or(Path::new("/"))).map(drop)
}

fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Whether the path is a descriptor of this process, behind which may be a file that somebody writes
/// to already: it is not replaced.
fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stderr") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_formats() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.format as usize, index, "{}", row.option);
        }
    }

    #[track_caller]
    fn refused(wanted: &[(Format, &Path)], run_dir: Option<&Path>) -> ExportError {
        let wanted = wanted.iter().map(|(format, path)| (*format, (*path).to_owned())).collect();
        Exports::open(wanted, run_dir).expect_err("it is refused")
    }

    #[test]
    fn what_is_no_file_or_two_is_refused_and_nothing_is_left() {
        let place = tempfile::tempdir().expect("a folder");
        let path = |name: &str| place.path().join(name);
        let (json, html) = (Format::Json, Format::Html);
        assert!(matches!(refused(&[(json, place.path())], None), ExportError::NotAFile { .. }));
        assert!(matches!(refused(&[(json, &path("absent/x"))], None), ExportError::NotAFile { .. }));
        assert!(matches!(refused(&[(json, &path("x/"))], None), ExportError::NotAFile { .. }));
        let same = [(json, path("x")), (html, path("./x"))];
        let same: Vec<(Format, &Path)> = same.iter().map(|(f, p)| (*f, p.as_path())).collect();
        assert!(matches!(refused(&same, None), ExportError::Twice { .. }));
        let dash = Path::new("-");
        assert!(matches!(refused(&[(json, dash), (html, dash)], None), ExportError::Twice { .. }));
        let own = path(RUN_JSON);
        let run_dir = place.path().canonicalize().expect("a path");
        assert!(matches!(refused(&[(html, &own)], Some(&run_dir)), ExportError::Twice { .. }));
        Exports::open(vec![(json, own)], Some(&run_dir)).expect("the same in the same format");
        assert_eq!(place.path().read_dir().expect("a folder").count(), 0);
    }

    #[test]
    fn what_goes_into_two_files_is_rendered_once() {
        let rendered = Cell::new(0);
        let texts = Texts::new(|format| {
            rendered.set(rendered.get() + 1);
            Ok(format.file().to_owned())
        });
        for _ in 0..2 {
            for format in Format::all() {
                assert_eq!(texts.of(format).expect("a text"), format.file());
            }
        }
        assert_eq!(rendered.get(), Format::all().count());
    }

    #[test]
    fn a_link_stays_a_link() {
        let place = tempfile::tempdir().expect("a folder");
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        std::fs::write(&file, "old").expect("a file");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let target = open(Format::Json, &link).expect("a target");
        assert!(matches!(target, Target::File(path) if path == file.canonicalize().expect("a path")));
    }
}

//! What a description needs of the host's folders for temporary files, of which a trial has its own.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::{SourceSpec, TrialSpec};

/// Paths that must stay where they are: the description's folder, the trial's own, the executable, what is on
/// `PATH`, and what the description names. One of those that is named as `bin/…` comes with the folder around
/// it, where its libraries are.
pub(super) fn of(spec: &TrialSpec) -> Vec<PathBuf> {
    let source = match &spec.source {
        SourceSpec::Folder(path) => Some(path.clone()),
        SourceSpec::Embedded(_) => None,
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| around_bin(&folder).to_owned());
    let text = match &source {
        Some(folder) => spec.supervisor.text.replace("{source}", &folder.to_string_lossy()),
        None => spec.supervisor.text.clone(),
    };
    let named = named_in(&text).into_iter().map(|path| {
        let folder = path.parent().unwrap_or(&path);
        if folder.file_name() == Some(OsStr::new("bin")) { around_bin(folder).to_owned() } else { path }
    });
    let bodies = spec.scenario_folder.clone().into_iter().chain(named_in(&spec.scenario.text));
    source
        .into_iter()
        .chain(bodies)
        .chain([spec.folder.clone(), spec.executable.clone()])
        .chain(on_path)
        .chain(named)
        .chain(going_up_in(&text))
        .collect()
}

/// The folder in which a `bin` is, unless that is one for temporary files itself.
fn around_bin(folder: &Path) -> &Path {
    let parent = folder.parent().filter(|_| folder.file_name() == Some(OsStr::new("bin")));
    parent
        .filter(|parent| parent.components().count() > 2 && *parent != Path::new("/var/tmp"))
        .unwrap_or(folder)
}

/// Absolute paths in a text that are there: as they stand, but for those that go up, as `{source}/../app.py` does,
/// which are where they lead to.
fn named_in(text: &str) -> Vec<PathBuf> {
    let leads_to = |path: PathBuf| if goes_up(&path) { path.canonicalize().unwrap_or(path) } else { path };
    there_in(text).map(leads_to).collect()
}

/// Those that go up, as they stand: whoever names them so needs the folders that they go up from, too.
fn going_up_in(text: &str) -> Vec<PathBuf> {
    there_in(text).filter(|path| goes_up(path)).collect()
}

fn goes_up(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

fn there_in(text: &str) -> impl Iterator<Item = PathBuf> {
    let ends_word = |c: char| c.is_whitespace() || "\"'`=:;,|&<>()[]{}$".contains(c);
    let words = text.split(ends_word).filter(|word| word.len() > 1 && word.starts_with('/'));
    words.map(PathBuf::from).filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_wherever_they_are_named() {
        let text = "start = [\"/usr\", \"--in=/etc\"]\n[env]\nX = '/proc:/sys'\n# /no/such/path, / and a/tmp";
        let expected = ["/usr", "/etc", "/proc", "/sys"].map(PathBuf::from);
        assert_eq!(named_in(text), expected);
    }

    #[test]
    fn what_goes_up_is_where_it_leads_to() {
        let text = "/usr/bin/../lib /usr/../no-such /usr/lib";
        assert_eq!(named_in("/usr/bin/../lib /usr/../no-such"), ["/usr/lib"].map(PathBuf::from));
        assert_eq!(going_up_in(text), ["/usr/bin/../lib"].map(PathBuf::from));
    }

    #[test]
    fn a_bin_comes_with_what_is_around_it() {
        for (bin, around) in [
            ("/tmp/venv/bin", "/tmp/venv"),
            ("/tmp/bin", "/tmp/bin"),
            ("/var/tmp/bin", "/var/tmp/bin"),
            ("/tmp/venv", "/tmp/venv"),
        ] {
            assert_eq!(around_bin(Path::new(bin)), Path::new(around));
        }
    }
}

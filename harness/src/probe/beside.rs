//! A description that is saved beside its service: it goes where the service goes.

use std::path::{Component, Path};

/// The description without what belongs to this machine, if it is saved in the folder that the service is started
/// in, or below: that folder then counts from the description's own, and whoever runs it has a home of their own.
#[must_use]
pub fn portable(text: String, folder: &str, saved: &Path) -> String {
    let Some(up) = way_up(folder, saved) else { return text };
    let (there, own) = (super::word(folder), super::quoted(&format!("{{source}}{up}")));
    let lines = text.lines().filter(|line| !line.starts_with("HOME = "));
    let lines: Vec<String> = lines.map(|line| line.replace(&there, &own)).collect();
    lines.join("\n") + "\n"
}

/// From the folder of the description to the one that the service is started in.
fn way_up(folder: &str, saved: &Path) -> Option<String> {
    let saved = std::path::absolute(saved).ok()?;
    let below = saved.strip_prefix(folder).ok()?;
    let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| "/..".repeat(below.components().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version = [\"sh\", \"/srv/{{a}}\"]\nstart = [\"cd\", \"/srv/{{a}}\", \"/srv/{{a}}/b\"]\n[env]\nHOME = \"/home/me\"\n";

    #[test]
    fn beside_its_service_it_names_no_folder_of_this_machine() {
        let at = |saved: &str| portable(TEXT.to_owned(), "/srv/{a}", Path::new(saved));
        let own =
            "version = [\"sh\", \"{source}\"]\nstart = [\"cd\", \"{source}\", \"/srv/{{a}}/b\"]\n[env]\n";
        assert_eq!(at("/srv/{a}"), own);
        assert_eq!(at("/srv/{a}/b/c"), own.replace("{source}", "{source}/../.."));
        for elsewhere in ["/srv", "/srv/{a}b", "/srv/{a}/../b"] {
            assert_eq!(at(elsewhere), TEXT, "{elsewhere}");
        }
    }
}

//! Whether a supervisor's templates are there and can be rendered, before anything is started.

use std::path::PathBuf;

use holdline_model::template::{self, TemplateError, Values};
use holdline_model::wire::{Address, SERVER_V4};
use holdline_model::words::Transport;

use super::{ReadError, Source, SupervisorEntry, read};

/// A template that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum TemplateProblem {
    /// It cannot be read.
    #[error("{origin} names a template that is not there for files.\"{file}\": {error}")]
    Read {
        /// The description.
        origin: String,
        /// The file that is made from it.
        file: String,
        /// Why.
        error: ReadError,
    },
    /// It is not in the executable.
    #[error("{origin} names a template that is not part of holdline for files.\"{file}\": {template}")]
    NotEmbedded {
        /// The description.
        origin: String,
        /// The file that is made from it.
        file: String,
        /// The template.
        template: String,
    },
    /// It cannot be rendered.
    #[error("{template} of {origin} cannot be used over {transport}: {error}")]
    Render {
        /// The description.
        origin: String,
        /// The template.
        template: String,
        /// How its listener is reached.
        transport: Transport,
        /// Why.
        error: TemplateError,
    },
}

/// Reads every template that the description needs for a transport, and renders it.
///
/// # Errors
///
/// One is missing, or has a placeholder without a value there.
pub fn check_templates(entry: &SupervisorEntry, transport: Transport) -> Result<(), TemplateProblem> {
    if !entry.supervisor.transports.contains(&transport) {
        return Ok(());
    }
    let values = sample(transport);
    for (name, file) in &entry.supervisor.files {
        let template = file.for_transport(transport);
        let text = text_of(entry, name, template)?;
        template::render(&text, &values).map_err(|error| TemplateProblem::Render {
            origin: entry.origin.clone(),
            template: template.to_owned(),
            transport,
            error,
        })?;
    }
    Ok(())
}

/// Whether one of the templates that the description needs for a transport has this in it.
#[must_use]
pub fn templates_have(entry: &SupervisorEntry, transport: Transport, what: &str) -> bool {
    entry.supervisor.files.iter().any(|(name, file)| {
        text_of(entry, name, file.for_transport(transport)).is_ok_and(|text| text.contains(what))
    })
}

fn text_of(entry: &SupervisorEntry, file: &str, template: &str) -> Result<String, TemplateProblem> {
    let (origin, file) = (entry.origin.clone(), file.to_owned());
    match &entry.source {
        Source::Folder(folder) => {
            read(&folder.join(template)).map_err(|error| TemplateProblem::Read { origin, file, error })
        }
        Source::Embedded(dir) => {
            let found = dir.get_file(dir.path().join(template)).and_then(|file| file.contents_utf8());
            found.map(str::to_owned).ok_or_else(|| TemplateProblem::NotEmbedded {
                origin,
                file,
                template: template.to_owned(),
            })
        }
    }
}

/// What placeholders could stand for; which of them have a value depends on the transport alone.
fn sample(transport: Transport) -> Values {
    let address = match transport {
        Transport::Tcp | Transport::Tcp6 => Address::Tcp((SERVER_V4, 7000).into()),
        Transport::Unix => Address::Unix(PathBuf::from("/dir/socket")),
    };
    Values {
        dir: "/dir".to_owned(),
        source: "/source".to_owned(),
        address,
        backlog: 1,
        workers: 1,
        version: 1,
        user: 0,
        worker: vec!["/worker".to_owned()],
        holdline: "/holdline".to_owned(),
    }
}

//! From what a file says of a service to what is said to it: variables are filled in, and files are read.

use super::template::NotATemplate;
use super::validate::is_in_header;
use super::{
    AnswerEnd, Body, Content, Exchange, Exchanges, Origin, PoisonRequest, Reply, Request, Service, Template,
    VersionIn,
};
use crate::secrets::Secrets;
use crate::wire::{
    self, BytesScript, HttpReply, HttpRequest, HttpScript, MessagesScript, NotAtOnce, Protocol, Script, Text,
};

/// The path of a square, for services of which only the reply is described.
const SQUARE: &str = "/square?n={n}";

/// Reads a file that a file names, by its path.
pub type ReadFile<'a> = dyn Fn(Origin, &str) -> Result<Vec<u8>, String> + 'a;

/// What lies outside of files: the environment, and files that they name.
pub struct Outside<'a> {
    /// The value of an environment variable; `None`: it is not set.
    pub variable: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// The contents of a file, by its path from the folder of the file that names it; or why it cannot be read.
    pub file: &'a ReadFile<'a>,
}

/// Why a service cannot be spoken to. No value of a variable is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillProblem {
    /// A variable is not set.
    #[error("{{env.{name}}} in its {place} is not set: set the environment variable {name}")]
    Unset {
        /// The variable.
        name: String,
        /// Where it is needed.
        place: &'static str,
    },
    /// A variable has what cannot stand where it is needed.
    #[error("the value of {{env.{name}}} cannot stand in its {place}: {why}")]
    Unfit {
        /// The variable.
        name: String,
        /// Where it is needed.
        place: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A body cannot be read.
    #[error("the body-file {path} cannot be read: {why}")]
    File {
        /// Its path, as it is written.
        path: String,
        /// Why not.
        why: String,
    },
    /// The scenario has requests share connections in a way that cannot be.
    #[error("{0}")]
    AtOnce(NotAtOnce),
}

/// Fills in.
struct Filling<'a> {
    outside: &'a Outside<'a>,
    secrets: Secrets,
}

impl Service {
    /// What is said to the service, and the values in it that nothing may show.
    ///
    /// # Errors
    ///
    /// A variable that is not set or does not fit, or a file that cannot be read.
    pub fn script(
        &self,
        protocol: Protocol,
        outside: &Outside<'_>,
    ) -> Result<(Script, Secrets), FillProblem> {
        let mut filling = Filling { outside, secrets: Secrets::default() };
        let script = match (protocol, &self.exchanges) {
            (Protocol::Http | Protocol::Http2, _) if !self.asks_squares() => {
                Script::Http(Box::new(self.http(&mut filling)?))
            }
            (Protocol::WebSocket, _) => Script::Messages(Box::new(self.messages(&mut filling)?)),
            (Protocol::Bytes, Some(exchanges)) => Script::Bytes(self.bytes(exchanges, &mut filling)?),
            (Protocol::Square | Protocol::Http | Protocol::Http2 | Protocol::Bytes, _) => Script::Squares,
        };
        Ok((script, filling.secrets))
    }

    fn http(&self, filling: &mut Filling<'_>) -> Result<HttpScript, FillProblem> {
        let mut script = HttpScript::get("/");
        script.request = match &self.request {
            Some(request) => filling.request(request)?,
            None => HttpRequest {
                target: filling.text(&Template::plain(SQUARE).unwrap_or_default(), "path")?,
                ..script.request
            },
        };
        if let Some(PoisonRequest::Http(poison)) = &self.poison {
            script.poison = Some(filling.request(poison)?);
        }
        if let Some(reply) = &self.reply {
            script.reply = filling.reply(reply)?;
        }
        Ok(script)
    }

    fn messages(&self, filling: &mut Filling<'_>) -> Result<MessagesScript, FillProblem> {
        let open = match &self.request {
            Some(request) => filling.request(request)?,
            None => HttpScript::get("/").request,
        };
        let none = Exchanges { all: Vec::new(), once: 0, server_closes: false };
        let messages = self.bytes(self.exchanges.as_ref().unwrap_or(&none), filling)?;
        Ok(MessagesScript { open, messages })
    }

    fn bytes(&self, exchanges: &Exchanges, filling: &mut Filling<'_>) -> Result<BytesScript, FillProblem> {
        let poison = match &self.poison {
            Some(PoisonRequest::Bytes(bytes)) => Some(filling.text(bytes, "poison")?),
            Some(PoisonRequest::Http(_)) | None => None,
        };
        let all = exchanges.all.iter().map(|exchange| filling.exchange(exchange));
        let exchanges_filled = all.collect::<Result<_, _>>()?;
        let (once, server_closes) = (exchanges.once, exchanges.server_closes);
        Ok(BytesScript { exchanges: exchanges_filled, once, poison, server_closes })
    }
}

impl Filling<'_> {
    fn request(&mut self, request: &Request) -> Result<HttpRequest, FillProblem> {
        let blank = "it has a blank, a control character or a letter that a path has only percent-encoded";
        let broken = "it has a line break or another control character";
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.fit(value, "headers", is_in_header, broken)?)));
        let headers = headers.collect::<Result<_, FillProblem>>()?;
        Ok(HttpRequest {
            method: request.method.clone(),
            target: self.fit(&request.target, "path", |byte| byte.is_ascii_graphic(), blank)?,
            headers,
            body: request.body.as_ref().map(|body| self.body(body, request.origin)).transpose()?,
        })
    }

    fn body(&mut self, body: &Body, origin: Origin) -> Result<Text, FillProblem> {
        let path = match body {
            Body::Text(template) => return self.text(template, "body"),
            Body::File(path) => path,
        };
        let failed = |why: String| FillProblem::File { path: path.clone(), why };
        let bytes = (self.outside.file)(origin, path).map_err(failed)?;
        let template = Template::of_file(bytes).map_err(|why: NotATemplate| failed(why.to_string()))?;
        self.text(&template, "body")
    }

    fn reply(&mut self, reply: &Reply) -> Result<HttpReply, FillProblem> {
        let content = match &reply.content {
            Some(Content::Contains(text)) => Some(wire::Content::Contains(self.text(text, "reply")?)),
            Some(Content::Equals(text)) => Some(wire::Content::Equals(self.text(text, "reply")?)),
            Some(Content::Matches(search)) => Some(wire::Content::Matches(search.clone())),
            None => None,
        };
        let version = reply.version.as_ref().map(|version| match version {
            VersionIn::Header(name) => wire::VersionIn::Header(name.clone()),
            VersionIn::Content(search) => wire::VersionIn::Content(search.clone()),
        });
        Ok(HttpReply { statuses: reply.statuses.clone(), content, version })
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<wire::Exchange, FillProblem> {
        let end = match &exchange.end {
            AnswerEnd::Equals(text) => wire::AnswerEnd::Equals(self.text(text, "exchanges")?),
            AnswerEnd::Until(text) => wire::AnswerEnd::Until(self.text(text, "exchanges")?),
            AnswerEnd::Bytes(bytes) => wire::AnswerEnd::Bytes(*bytes),
            AnswerEnd::WhenRight => wire::AnswerEnd::WhenRight,
        };
        let starts_with =
            exchange.starts_with.as_ref().map(|text| self.text(text, "exchanges")).transpose()?;
        let expect = wire::Expect { end, starts_with, matches: exchange.matches.clone() };
        Ok(wire::Exchange { send: self.text(&exchange.send, "exchanges")?, expect })
    }

    fn text(&mut self, template: &Template, place: &'static str) -> Result<Text, FillProblem> {
        self.fit(template, place, |_| true, "")
    }

    /// A text whose variables have only bytes of some kind.
    fn fit(
        &mut self,
        template: &Template,
        place: &'static str,
        is_fit: impl Fn(u8) -> bool,
        why: &'static str,
    ) -> Result<Text, FillProblem> {
        template.fill(|name| {
            let name = || name.to_owned();
            let value = (self.outside.variable)(&name());
            let value = value.ok_or_else(|| FillProblem::Unset { name: name(), place })?;
            if !value.iter().all(|byte| is_fit(*byte)) {
                return Err(FillProblem::Unfit { name: name(), place, why });
            }
            self.secrets.keep(&name(), &value);
            Ok(value)
        })
    }
}

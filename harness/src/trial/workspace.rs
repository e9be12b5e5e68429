//! The trial's private work folder: where the supervisor finds its configuration, the worker its
//! home, and both their scripts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdline_contract::config::{ConfigError, WorkerConfig, write_version};
use holdline_contract::control::{ControlError, ControlPage};
use holdline_contract::ledger::{self, LedgerError};
use holdline_fixtures::embedded;
use holdline_model::lack::Lack;
use holdline_model::scenario::Scenario;
use holdline_model::supervisor::{Passing, Runs, Supervisor, WorkerKind};
use holdline_model::support;
use holdline_model::template::{self, TemplateError, Values};
use holdline_model::wire::{Address, SERVER_V4, SERVER_V6};
use holdline_model::words::{Isolation, Transport, word_of};
use include_dir::Dir;

use super::paths::{PathError, to};
use super::user::{Identity, executable_for_all, identity};
use super::{SourceSpec, TrialSpec};
use crate::kernel::diag::Diag;

/// The port inside a sandbox, where no port is taken.
const PORT: u16 = 7000;
/// The longest path that a Unix socket can have (`sun_path`, less its NUL byte).
const UNIX_PATH_BYTES_MAX: usize = 107;

/// A work folder that could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkspaceError {
    /// This machine lacks something.
    #[error("{0}")]
    Lacks(Lack),
    /// A file or folder could not be made or read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The folder of ledgers could not be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The control page could not be made, or a failure not be armed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What workers read could not be written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A template or a command cannot be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A path cannot be put into a configuration.
    #[error("the path {} is not UTF-8, which configuration templates need", .path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The work folder is too deep for a Unix socket.
    #[error(
        "the socket path {} is longer than the {UNIX_PATH_BYTES_MAX} bytes that Unix sockets allow; set TMPDIR to a shorter path",
        .path.display()
    )]
    SocketPath {
        /// The socket's path.
        path: PathBuf,
    },
    /// Without a network namespace, the port is another's.
    #[error(
        "{wanted} cannot be had on this host; choose another port in [listen], or run with --isolation full"
    )]
    Port {
        /// Where the service was to listen.
        wanted: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Without a sandbox, the socket is another's.
    #[error("somebody listens at {wanted} on this host already; stop it, or run with --isolation full")]
    Taken {
        /// Where the service was to listen.
        wanted: Address,
    },
    /// The description's folder is not in the executable.
    #[error("the supervisor `{name}` is not part of this holdline")]
    NotEmbedded {
        /// Its name.
        name: String,
    },
}

/// A prepared work folder.
#[derive(Debug)]
pub(super) struct Workspace {
    /// The folder itself, `{dir}`.
    pub(super) dir: PathBuf,
    /// The workers' home in it.
    pub(super) home: PathBuf,
    /// What placeholders stand for.
    pub(super) values: Values,
    /// By which faults are armed that no request carries.
    pub(super) control: Arc<ControlPage>,
    /// The user that workers are to run as, if the scenario names one.
    pub(super) user: Option<Identity>,
    templates: BTreeMap<PathBuf, (String, bool)>,
}

impl Workspace {
    /// Fills the work folder, and renders the supervisor's files.
    pub(super) fn prepare(
        spec: &TrialSpec,
        scenario: &Scenario,
        supervisor: &Supervisor,
    ) -> Result<Self, WorkspaceError> {
        let dir = spec.sandbox.work.clone();
        let user = scenario.workers.user.as_ref().map(identity).transpose().map_err(WorkspaceError::Lacks)?;
        let home = dir.join("w");
        for folder in [&home, &dir.join("tmp"), &dir.join("home")] {
            fs::create_dir_all(folder).map_err(to("create", folder))?;
        }
        ledger::create_folder(&home)?;
        // Workers may run as another user than their supervisor: they all write here.
        for folder in [&dir, &home, &dir.join("tmp"), &dir.join("home")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o1777))
                .map_err(to("open to all users", folder))?;
        }
        let source = extract_source(&spec.source, &dir)?;
        let apps = dir.join("apps");
        extract(&embedded::APPS, &apps)?;
        let address = match &spec.attached {
            Some(address) => address.clone(),
            None => address(scenario, spec.sandbox.isolation, &dir)?,
        };
        let executable = match user {
            Some(_) => executable_for_all(&spec.executable, &dir)?,
            None => spec.executable.clone(),
        };
        let control = Arc::new(ControlPage::create(&home)?);
        worker_config(scenario, supervisor, &address).write(&home)?;
        write_version(&home, 1)?;
        let values = Values {
            dir: text(&dir)?,
            source: text(&source)?,
            address,
            backlog: scenario.listen.backlog,
            workers: scenario.workers.count.max(supervisor.workers_min),
            version: 1,
            user: user.map_or_else(|| nix::unistd::geteuid().as_raw(), |user| user.uid),
            worker: worker_command(spec.worker, &executable, supervisor, &home, &apps)?,
            holdline: text(&executable)?,
        };
        let templates = read_templates(supervisor, scenario.listen.transport, &source, &dir)?;
        let workspace = Self { dir, home, values, control, user, templates };
        workspace.render()?;
        Ok(workspace)
    }

    /// Renders the supervisor's files with the values as they are now.
    pub(super) fn render(&self) -> Result<(), WorkspaceError> {
        for (path, (text, executable)) in &self.templates {
            let rendered = template::render(text, &self.values)?;
            let write = || -> io::Result<()> {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(path, rendered)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode))
            };
            write().map_err(to("write", path))?;
        }
        Ok(())
    }

    /// The environment variables that the description names, after those by which applications and
    /// their neighbours are found.
    pub(super) fn environment(
        &self,
        supervisor: &Supervisor,
    ) -> Result<Vec<(String, String)>, WorkspaceError> {
        let mut env = Vec::new();
        if support::is_application(supervisor) {
            env.push(("HOLDLINE_HOME".to_owned(), text(&self.home)?));
            let apps = text(&self.dir.join("apps"))?;
            let names = supervisor.runs.iter().filter_map(search_path);
            env.extend(names.map(|name| (name.to_owned(), apps.clone())));
        }
        for (key, value) in &supervisor.env {
            env.push((key.clone(), template::argument(value, &self.values)?));
        }
        Ok(env)
    }

    /// Makes a new version of the worker the one that starts from now on.
    pub(super) fn upgrade_worker(&mut self) -> Result<(), WorkspaceError> {
        self.values.version += 1;
        write_version(&self.home, self.values.version)?;
        self.render()
    }
}

/// The variable by which a language finds the modules of the applications' folder.
const fn search_path(runs: &Runs) -> Option<&'static str> {
    match runs {
        Runs::Wsgi | Runs::Asgi => Some("PYTHONPATH"),
        Runs::Rack => Some("RUBYLIB"),
        Runs::Node => Some("NODE_PATH"),
        Runs::Command | Runs::Itself => None,
    }
}

fn text(path: &Path) -> Result<String, WorkspaceError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| WorkspaceError::NotUtf8 { path: path.to_owned() })
}

fn worker_config(scenario: &Scenario, supervisor: &Supervisor, address: &Address) -> WorkerConfig {
    WorkerConfig {
        address: address.clone(),
        backlog: scenario.listen.backlog,
        boot_ns: scenario.workers.boot_ns,
        work_ns: scenario.workers.work_ns,
        drain: scenario.workers.drain,
        nofile: scenario.workers.nofile,
        memory_bytes: scenario.workers.memory_bytes,
        protocol: support::protocol(supervisor, scenario),
        sessions: scenario.load.connection.keeps_alive(),
    }
}

/// Where the server is to listen.
///
/// Without a network namespace, a port is drawn by binding to port 0, and given back: another
/// program may take it in between, which the supervisor will then say in its log.
fn address(scenario: &Scenario, isolation: Isolation, dir: &Path) -> Result<Address, WorkspaceError> {
    let host = match scenario.listen.transport {
        Transport::Tcp => SERVER_V4.into(),
        Transport::Tcp6 => SERVER_V6.into(),
        Transport::Unix => {
            if let Some(address) = &scenario.listen.path {
                return free(address, isolation).map(|()| address.clone());
            }
            let path = dir.join("s");
            if path.as_os_str().len() > UNIX_PATH_BYTES_MAX {
                return Err(WorkspaceError::SocketPath { path });
            }
            return Ok(Address::Unix(path));
        }
    };
    let port = match (scenario.listen.port, isolation) {
        (Some(port), Isolation::Full) => port,
        (None, Isolation::Full) => PORT,
        (port, Isolation::None) => {
            let wanted = SocketAddr::new(host, port.unwrap_or(0));
            let drawn = TcpListener::bind(wanted).and_then(|listener| listener.local_addr());
            drawn.map_err(|source| WorkspaceError::Port { wanted, source })?.port()
        }
    };
    Ok(Address::Tcp(SocketAddr::new(host, port)))
}

/// Without a network namespace, a Unix socket that is always at the same place may be another's.
fn free(address: &Address, isolation: Isolation) -> Result<(), WorkspaceError> {
    let listens = || Diag::open()?.listeners(address);
    if isolation == Isolation::None && listens().is_ok_and(|found| !found.is_empty()) {
        return Err(WorkspaceError::Taken { wanted: address.clone() });
    }
    Ok(())
}

/// The worker's command line, as `{worker}` stands for it.
fn worker_command(
    worker: WorkerKind,
    executable: &Path,
    supervisor: &Supervisor,
    home: &Path,
    apps: &Path,
) -> Result<Vec<String>, WorkspaceError> {
    let python = |file: &str| -> Result<Vec<String>, WorkspaceError> {
        Ok(vec!["python3".to_owned(), "-S".to_owned(), text(&apps.join(file))?])
    };
    let mut command = match worker {
        WorkerKind::Rust => vec![text(executable)?, "__worker".to_owned()],
        WorkerKind::Python => python("worker.py")?,
        WorkerKind::Asyncio => python("asyncio_worker.py")?,
    };
    command.extend(["--home".to_owned(), text(home)?]);
    if supervisor.socket.passing != Passing::Own {
        command.extend(["--listen".to_owned(), word_of(&supervisor.socket.passing)]);
    }
    Ok(command)
}

fn extract_source(source: &SourceSpec, dir: &Path) -> Result<PathBuf, WorkspaceError> {
    match source {
        SourceSpec::Folder(path) => Ok(path.clone()),
        SourceSpec::Embedded(name) => {
            let Some(folder) = embedded::SUPERVISORS.get_dir(name) else {
                return Err(WorkspaceError::NotEmbedded { name: name.clone() });
            };
            let path = dir.join("source");
            extract(folder, &path)?;
            Ok(path)
        }
    }
}

/// Writes the files of an embedded folder. Scripts, which begin with `#!`, become executable.
fn extract(folder: &Dir<'_>, into: &Path) -> Result<(), PathError> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(into)?;
        fs::set_permissions(into, fs::Permissions::from_mode(0o755))?;
        for file in folder.files() {
            let path = into.join(file.path().file_name().unwrap_or_default());
            fs::write(&path, file.contents())?;
            let mode = if file.contents().starts_with(b"#!") { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    };
    write().map_err(to("write to", into))?;
    for inner in folder.dirs() {
        extract(inner, &into.join(inner.path().file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn read_templates(
    supervisor: &Supervisor,
    transport: Transport,
    source: &Path,
    dir: &Path,
) -> Result<BTreeMap<PathBuf, (String, bool)>, PathError> {
    let mut templates = BTreeMap::new();
    for (name, file) in &supervisor.files {
        let path = source.join(file.for_transport(transport));
        let text = fs::read_to_string(&path).map_err(to("read the template", &path))?;
        templates.insert(dir.join(name), (text, file.executable));
    }
    Ok(templates)
}

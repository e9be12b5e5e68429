//! A sandbox for one test, and the program that goes into it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holdline::sandbox::{Isolation, SandboxSpec, probe};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Kept by `setpriv` and useradd(8) for nobody.
const NOBODY: u32 = 65534;
/// So long a wait means failure, not slowness.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox for one test, with a folder for temporary files of its own.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    pub(crate) mark: String,
    pub(crate) spec: SandboxSpec,
    /// The program to start as an ordinary user, if not as the test's own.
    program_of_nobody: Option<PathBuf>,
}

impl Case {
    /// None if this machine does not allow full isolation.
    pub(crate) fn full() -> Option<Self> {
        if let Err(error) = probe() {
            eprintln!("skipped: {error}");
            return None;
        }
        Some(Self::new(Isolation::Full))
    }

    pub(crate) fn at(isolation: Isolation) -> Option<Self> {
        match isolation {
            Isolation::Full => Self::full(),
            Isolation::None => Some(Self::new(isolation)),
        }
    }

    pub(crate) fn new(isolation: Isolation) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("permissions");
        let mark = format!("holdline-test-{}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let spec = SandboxSpec {
            isolation,
            work: PathBuf::new(),
            work_mib: 0,
            private: Vec::new(),
            sysctls: BTreeMap::new(),
            real_root: false,
            connection_table: None,
            keep: Vec::new(),
            reach: vec![folder.path().to_owned()],
            lifeline: None,
            leaves_behind: false,
        };
        Self { folder, mark, spec, program_of_nobody: None }
    }

    /// Starts it as an ordinary user, if this test is root, from where every user can execute it.
    pub(crate) fn with_nobody(mut self) -> Self {
        if nix::unistd::geteuid().is_root() {
            let copy = self.folder.path().join("sandboxed");
            // Not by this process: another test's thread may fork while the copy is open for writing,
            // and then it could not be executed (ETXTBSY).
            let copied = Command::new("install").args(["-m", "755"]).arg(program()).arg(&copy).status();
            assert!(copied.expect("install").success());
            self.program_of_nobody = Some(copy);
        }
        self
    }

    pub(crate) fn sysctl(mut self, name: &str, value: &str) -> Self {
        self.spec.sysctls.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn connection_table(mut self, places: u32) -> Self {
        self.spec.connection_table = Some(places);
        self
    }

    pub(crate) fn real_root(mut self) -> Self {
        self.spec.real_root = true;
        self
    }

    pub(crate) fn private(mut self, path: &Path) -> Self {
        self.spec.private.push(path.to_owned());
        self
    }

    /// A folder of the host that the sandbox can see.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).expect("a folder");
        path
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = match &self.program_of_nobody {
            Some(copy) => Command::new(copy),
            None => Command::new(program()),
        };
        command
            .arg(words[0])
            .arg(serde_json::to_string(&self.spec).expect("a specification"))
            .args(&words[1..]);
        command.env("MARK", &self.mark).env("TMPDIR", self.folder.path());
        command.stdin(Stdio::null()).current_dir("/");
        if self.program_of_nobody.is_some() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs the whole of it: outer process, stage 0, init, and this as the runner.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        let words: Vec<&str> = ["outer"].iter().chain(command).copied().collect();
        self.command(&words).output().expect("an executable")
    }

    #[track_caller]
    pub(crate) fn prints(&self, command: &[&str]) -> String {
        let output = self.run(command);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", output.status);
        assert_eq!(error, "");
        String::from_utf8(output.stdout).expect("text")
    }

    #[track_caller]
    pub(crate) fn shell(&self, script: &str) -> String {
        self.prints(&["sh", "-c", script])
    }

    #[track_caller]
    pub(crate) fn fails(&self, expected: &str) {
        let output = self.run(&["true"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.matches("error:").count(), 1, "{error}");
        self.await_end();
    }

    /// Processes of this case that are alive.
    pub(crate) fn survivors(&self) -> Vec<i32> {
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let has_mark = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(self.mark.len()).any(|window| window == self.mark.as_bytes())
        };
        pids.filter(has_mark).collect()
    }

    /// Waits until no process of this case is left. Looks twice, since a process that is just about to
    /// execute another program may show no environment.
    #[track_caller]
    pub(crate) fn await_end(&self) {
        let start = Instant::now();
        while !(self.survivors().is_empty() && self.survivors().is_empty()) {
            assert!(start.elapsed() < PATIENCE, "left behind: {:?}", self.survivors());
            sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        for pid in self.survivors() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The example.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a path");
        let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/test");
        if let Some(cargo) = std::env::var_os("CARGO") {
            // `cargo test --test sandbox` builds no examples.
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--package", "holdline", "--example", "sandboxed"]);
            if profile.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo").success(), "the example does not build");
        }
        profile.join("examples/sandboxed")
    })
}

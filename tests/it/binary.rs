//! Runs the binary under test in its own directory.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use stripe_sandbox::{Options, Running};
use tempfile::TempDir;

use testing::observed::{self, Observed};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// The binary under test.
pub(crate) const TIER: &str = env!("CARGO_BIN_EXE_tier");

/// The Stripe key of these tests, which must never be printed.
pub(crate) const KEY: &str = "sk_test_secret";

/// An empty working directory and home, with or without a sandbox in Stripe's place.
pub(crate) struct Place {
    folder: TempDir,
    sandbox: Option<Observed>,
}

impl Place {
    /// A place without a sandbox. Calls to Stripe fail.
    pub(crate) fn offline() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            sandbox: None,
        }
    }

    /// A place with a sandbox of its own.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let options = Options {
            search_lag: Duration::ZERO,
            ..options
        };
        let sandbox = observed::start(options).await;
        Self {
            sandbox: Some(sandbox),
            ..Self::offline()
        }
    }

    pub(crate) fn sandbox(&self) -> &Running {
        self.sandbox.as_ref().expect("this place has a Stripe")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        let folder = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("a file")
    }

    /// A run of the binary that has not started yet.
    pub(crate) fn tier(&self, args: &[&str]) -> Run {
        self.run(Command::new(TIER), args)
    }

    /// Like [`tier`](Self::tier), after a shell command that changes the limits of the process.
    pub(crate) fn tier_after(&self, before: &str, args: &[&str]) -> Run {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\""), TIER]);
        self.run(shell, args)
    }

    fn run(&self, mut command: Command, args: &[&str]) -> Run {
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("STRIPE_API_KEY", KEY)
            .env("STRIPE_BASE_API_URL", self.stripe_url())
            // The sandbox stands for Stripe, which has a dashboard.
            .env("TIER_DASHBOARD_URL", "https://dashboard.stripe.com")
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Run {
            command,
            stdin: Vec::new(),
        }
    }

    pub(crate) fn stripe_url(&self) -> &str {
        // Nothing listens at the discard port.
        self.sandbox
            .as_ref()
            .map_or("http://127.0.0.1:9", |sandbox| sandbox.url())
    }
}

/// A run that is being prepared.
pub(crate) struct Run {
    command: Command,
    stdin: Vec<u8>,
}

impl Run {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Starts the server, and waits until the server prints its address.
    pub(crate) async fn started(self) -> Server {
        self.started_with("listening on ").await
    }

    /// Starts the server, and waits for a line that begins with `beginning`. The rest of that line is the address.
    pub(crate) async fn started_with(mut self, beginning: &str) -> Server {
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let Some(address) = address(&mut stdout, beginning).await else {
            let output = child.wait_with_output().await.expect("it ends");
            panic!("it does not listen: {output:?}");
        };
        Server {
            address,
            child,
            stdout,
        }
    }

    pub(crate) async fn end(mut self) -> Ended {
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that does not read its input may end before the input is written.
        let _ = stdin.write_all(&self.stdin).await;
        drop(stdin);
        let output = child.wait_with_output().await.expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let ended = Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!shows_a_key(&format!("{ended:?}")), "{ended:?}");
        ended
    }

    /// Stdout of a run that must succeed and write nothing to stderr.
    pub(crate) async fn ok(self) -> String {
        let ended = self.end().await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        ended.stdout
    }

    /// Stderr of a run that must fail and print no results.
    pub(crate) async fn fault(self) -> String {
        let ended = self.end().await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
        assert!(ended.stderr.starts_with("tier: "), "{ended:?}");
        ended.stderr
    }

    /// Stderr of a run that must fail with a usage error.
    pub(crate) async fn misused(self) -> String {
        let ended = self.end().await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:?}"
        );
        ended.stderr
    }
}

/// The address in the next line, which must begin with `beginning`.
async fn address(stdout: &mut BufReader<ChildStdout>, beginning: &str) -> Option<String> {
    let mut line = String::new();
    stdout.read_line(&mut line).await.expect("it prints");
    Some(line.trim_end().strip_prefix(beginning)?.to_owned())
}

/// Whether a text contains one of the keys, passwords and tokens of these tests.
pub(crate) fn shows_a_key(text: &str) -> bool {
    ["_secret", "-secret", ":secret", "=secret"]
        .iter()
        .any(|key| text.contains(key))
}

/// A running server, until it is dropped or stopped.
pub(crate) struct Server {
    address: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The address of the admin pages, if they have a listener of their own. The server prints the address once.
    pub(crate) async fn admin_address(&mut self) -> String {
        let told = address(&mut self.stdout, "operator's pages on ").await;
        told.expect("it was started with --admin-addr")
    }

    /// The next line that the server prints.
    pub(crate) async fn line(&mut self) -> String {
        address(&mut self.stdout, "").await.expect("a line")
    }

    /// Takes over the server's log from now on.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("it is taken once")
    }

    /// Sends a signal, such as `-HUP`, to the server.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.child.id().expect("it runs");
        // `kill` is the shell's builtin, since not every machine has the program.
        let kill = format!("kill {name} {process}");
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.expect("there is a shell").success());
    }

    /// Sends a signal, and waits until the server ends. The result lacks what the server printed before the signal.
    pub(crate) async fn stop(mut self, signal: &str) -> Ended {
        self.signal(signal).await;
        let mut stdout = String::new();
        let read = self.stdout.read_to_string(&mut stdout).await;
        read.expect("text");
        let output = self.child.wait_with_output().await.expect("it ends");
        Ended {
            code: output.status.code(),
            stdout,
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

//! The real binary, as people and programs run it: what it prints, where, and how it ends.

mod accounts;
mod connect;
mod keys;
mod models;
mod orgs;
mod readme;
mod servers;
mod terminal;
mod usage;
mod web;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use tempfile::TempDir;
use tier::sandbox::{Options, Running, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The binary under test.
pub(crate) const TIER: &str = env!("CARGO_BIN_EXE_tier");

/// The Stripe key of these tests; it must never be seen.
const KEY: &str = "sk_test_secret";

/// Two plans, one with a price for nothing.
const PRICING: &str = r#"{
  "plans": {
    "plan:free@1": {
      "features": {
        "feature:convert": { "tiers": [{ "upto": 10 }] }, // ten are free
      },
    },
    "plan:pro@1": {
      "title": "Pro",
      "features": {
        "feature:base": { "base": 1000 },
        "feature:convert": { "tiers": [{ "upto": 100 }, { "price": 0.5 }], "mode": "volume", "aggregate": "max" },
      },
    },
  },
}
"#;

/// A working directory and a home, with nothing in them, and perhaps a Stripe.
struct Place {
    folder: TempDir,
    sandbox: Option<Running>,
}

impl Place {
    /// Without a Stripe: what is called then is nobody.
    fn offline() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            sandbox: None,
        }
    }

    /// With a Stripe of its own.
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let options = Options {
            search_lag: Duration::ZERO,
            ..options
        };
        let sandbox = Sandbox::start(options).await.expect("a loopback port");
        Self {
            sandbox: Some(sandbox),
            ..Self::offline()
        }
    }

    /// With [`PRICING`] in a file, and pushed.
    async fn pushed() -> Self {
        let place = Self::start().await;
        place.write("pricing.json", PRICING);
        place.tier(&["push", "pricing.json"]).ok().await;
        place
    }

    fn sandbox(&self) -> &Running {
        self.sandbox.as_ref().expect("this place has a Stripe")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        let folder = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("a file")
    }

    /// A run of the binary, not started yet.
    fn tier(&self, args: &[&str]) -> Run {
        let mut command = Command::new(TIER);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("STRIPE_API_KEY", KEY)
            .env("STRIPE_BASE_API_URL", self.stripe_url())
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

    fn stripe_url(&self) -> &str {
        // Nothing listens at the discard port.
        self.sandbox
            .as_ref()
            .map_or("http://127.0.0.1:9", Running::url)
    }
}

/// A run in the making.
struct Run {
    command: Command,
    stdin: Vec<u8>,
}

impl Run {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Waits until it says where it listens.
    async fn started(mut self) -> Server {
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).await.expect("it prints");
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let output = child.wait_with_output().await.expect("it ends");
            panic!("it does not listen: {line:?} {output:?}");
        };
        Server {
            address: address.to_owned(),
            child,
            stdout,
        }
    }

    async fn end(mut self) -> Ended {
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // Who does not read its input may end before it is written.
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

    /// Stdout of a run that succeeds, and has nothing to complain about.
    async fn ok(self) -> String {
        let ended = self.end().await;
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{ended:?}"
        );
        ended.stdout
    }

    /// Stderr of a run that fails, and prints no results.
    async fn fault(self) -> String {
        let ended = self.end().await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
        assert!(ended.stderr.starts_with("tier: "), "{ended:?}");
        ended.stderr
    }

    /// Stderr of a run that is used wrongly.
    async fn misused(self) -> String {
        let ended = self.end().await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:?}"
        );
        ended.stderr
    }
}

/// A web server of the test's own, until it is dropped.
struct Web {
    url: String,
    _server: JoinSet<()>,
}

impl Web {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        Self::on(listener, |_| router)
    }

    /// A server whose answers have its own address in them.
    fn on(listener: TcpListener, router: impl FnOnce(&str) -> Router) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = router(&url);
        let mut server = JoinSet::new();
        let forever = CancellationToken::new().cancelled_owned();
        server.spawn(tier::server::serve(listener, router, forever));
        Self {
            url,
            _server: server,
        }
    }
}

/// Whether there is one of the keys, passwords and tokens in a text that these tests use.
fn shows_a_key(text: &str) -> bool {
    ["_secret", "-secret", ":secret", "=secret"]
        .iter()
        .any(|key| text.contains(key))
}

/// A run that serves, until it is dropped or stopped.
struct Server {
    address: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a signal, and waits for the end. What it printed first is not in the result.
    async fn stop(mut self, signal: &str) -> Ended {
        let process = self.child.id().expect("it runs").to_string();
        let kill = Command::new("kill").args([signal, &process]).status();
        assert!(kill.await.expect("kill starts").success());
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

/// What a run left.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The JSON in a text.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Columns without their padding, a row each.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

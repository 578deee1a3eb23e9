//! `tier serve` as a process: what it refuses, what signals do, and what it logs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::logs;

fn serve(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tier"));
    let folder = std::env::temp_dir();
    command
        .args(["serve", "--sandbox", "--sandbox-addr", "127.0.0.1:0"])
        .args(args);
    command
        .env_clear()
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server that is ended, at the latest, with the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut process = serve(args).spawn().expect("the binary was built");
        let mut line = String::new();
        let stdout = process.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .expect("it listens")
            .to_owned();
        Self { process, address }
    }

    fn signal(&self, name: &str) {
        // The shell's own, since not every machine has the program.
        let kill = format!("kill {name} {}", self.process.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("there is a shell").success());
    }

    /// The status of a GET; curl is not everywhere, a socket is.
    fn status(&self, path: &str, key: &str) -> u16 {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n", self.address).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer[9..12].parse().expect("a status")
    }

    /// Ends it as a process manager does; its exit code and what it logged.
    fn stop(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut log).expect("text");
        (self.process.wait().expect("it ends").code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, most of the time.
        let _ = self.process.kill();
    }
}

#[test]
fn beyond_loopback_it_does_not_start_without_a_key() {
    let refused = serve(&["--addr", "0.0.0.0:0"])
        .output()
        .expect("the binary was built");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    for way in ["TIER_API_KEY", "--api-key-file", "--insecure-no-auth"] {
        assert!(said.contains(way), "{said}");
    }
    for meant in [
        &["--addr", "0.0.0.0:0", "--insecure-no-auth"][..],
        &["--addr", "0.0.0.0:0", "--cloud"],
    ] {
        let (code, _) = Server::start(meant).stop();
        assert_eq!(code, Some(0));
    }
}

#[test]
fn keys_are_read_again_on_a_hangup_and_a_term_ends_it_with_0() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "sk_test_first\n").expect("a file of ours");
    let path = file.path().to_str().expect("a plain path");
    let server = Server::start(&["--addr", "127.0.0.1:0", "--api-key-file", path]);
    assert_eq!(server.status("/v1/whoami", "sk_test_first"), 200);
    assert_eq!(server.status("/v1/whoami", "sk_test_second"), 401);

    std::fs::write(file.path(), "sk_test_second\n").expect("a file of ours");
    server.signal("-HUP");
    while server.status("/v1/whoami", "sk_test_second") == 401 {
        std::thread::yield_now();
    }
    assert_eq!(server.status("/v1/whoami", "sk_test_first"), 401);

    // A file without a key does not open the server.
    std::fs::write(file.path(), "").expect("a file of ours");
    server.signal("-HUP");
    assert_eq!(server.status("/v1/whoami", ""), 401);
    assert_eq!(server.status("/v1/whoami", "sk_test_second"), 200);

    let (code, log) = server.stop();
    assert_eq!(code, Some(0));
    for line in log.lines() {
        assert_eq!(logs::secret(line), None, "{line}");
    }
}

#[test]
fn a_request_is_one_line_of_json_with_ids_and_calls() {
    let server = Server::start(&["--addr", "127.0.0.1:0"]);
    assert_eq!(server.status("/v1/whois?org=org:jo@acme.example", "x"), 400);
    assert_eq!(server.status("/v1/whoami", "x"), 200);
    let (_, log) = server.stop();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let requests: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "request")
        .collect();
    assert_eq!(requests.len(), 2, "{log}");
    assert_eq!(requests[0]["endpoint"], "/v1/whois");
    assert_eq!(
        (&requests[0]["status"], &requests[0]["code"]),
        (&400.into(), &"org_not_found".into())
    );
    assert_eq!(requests[0]["stripe_calls"], 2);
    assert_eq!(requests[1]["stripe_calls"], 1);
    assert!(
        requests[1]["stripe_request_ids"]
            .as_str()
            .is_some_and(|id| id.starts_with("req_")),
        "{log}"
    );
    assert!(requests[1]["micros"].is_u64() && requests[1]["request_id"].is_string());
    assert_eq!(logs::secret(&log), None);
}

#[test]
fn the_operators_pages_can_have_an_address_of_their_own() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a free port");
    let admin = port.to_string();
    let server = Server::start(&["--addr", "127.0.0.1:0", "--admin-addr", &admin]);
    assert_eq!(server.status("/metrics", "x"), 404);
    let pages = Server {
        address: admin,
        process: Command::new("true").spawn().expect("a process"),
    };
    assert_eq!(pages.status("/metrics", "x"), 200);
    assert_eq!(pages.status("/readyz", "x"), 200);
    drop(pages);
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn the_readme_has_every_flag_and_variable() {
    let readme = include_str!("../../README.md");
    let help = Command::new(env!("CARGO_BIN_EXE_tier"))
        .args(["serve", "--help"])
        .output();
    let help = String::from_utf8(help.expect("the binary was built").stdout).expect("text");
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = help.split(|c| !inside(c));
    let named: Vec<_> = words
        .filter(|word| word.starts_with("--") || word.starts_with("TIER_"))
        .collect();
    assert!(named.len() > 40, "{help}");
    // These are every command's.
    let others = ["--help", "--json", "--base-url", "TIER_SANDBOX_URL"];
    for name in named.into_iter().filter(|name| !others.contains(name)) {
        assert!(
            readme.contains(&format!("`{name}")),
            "{name} is not in README.md"
        );
    }
}

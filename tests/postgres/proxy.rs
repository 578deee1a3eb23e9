//! A connection between a process and its database that is cut in the middle of commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The commit arrives and is answered.
    Passes,
    /// The connection is cut before the commit arrives.
    CutBefore,
    /// The connection is cut once the server has answered.
    CutAfter,
    /// The process loses its connection, and the server goes on waiting for the commit.
    Hangs,
    /// The commit never arrives, and the connection stays open until the process ends.
    HeldBefore,
    /// The commit arrives, but the process gets no answer. The connection stays open until the process ends.
    HeldAfter,
}

pub(crate) struct Proxy {
    url: String,
    commits: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server in `url`. `fate` decides about each commit, by the commit's number.
    pub(crate) async fn start(url: &str, fate: fn(usize) -> Fate) -> Self {
        let (before, rest) = url.split_once('@').expect("a URL of the test");
        let (server, after) = rest.split_once('/').expect("a URL of the test");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let commits = Arc::new(AtomicUsize::new(0));
        let line = Line {
            server: server.to_owned(),
            commits: commits.clone(),
            fate,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                lines.spawn(line.clone().run(client));
            }
        });
        Self {
            url: format!("{before}@{address}/{after}"),
            commits,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many commits there have been.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Line {
    server: String,
    commits: Arc<AtomicUsize>,
    fate: fn(usize) -> Fate,
}

impl Line {
    async fn run(self, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(&self.server).await else {
            return;
        };
        let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut sent) => {
                    let Ok(count @ 1..) = read else { return };
                    let fate = self.fate_of(&sent[..count]);
                    if fate == Fate::CutBefore {
                        return;
                    }
                    if fate == Fate::HeldBefore {
                        return ends(&mut client).await;
                    }
                    if fate == Fate::Hangs {
                        drop(client);
                        // Reads until the server closes the connection.
                        while matches!(server.read(&mut answered).await, Ok(1..)) {}
                        return;
                    }
                    if server.write_all(&sent[..count]).await.is_err() {
                        return;
                    }
                    if fate == Fate::CutAfter {
                        committed(&mut server).await;
                        return;
                    }
                    if fate == Fate::HeldAfter {
                        committed(&mut server).await;
                        return ends(&mut client).await;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(count @ 1..) = read else { return };
                    if client.write_all(&answered[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn fate_of(&self, sent: &[u8]) -> Fate {
        let text = b"COMMIT\0";
        // A transaction without changes also commits, but does not have this text.
        let writes = b"last_transaction";
        let has = |text: &[u8]| sent.windows(text.len()).any(|part| part == text);
        if !has(text) || !has(writes) {
            return Fate::Passes;
        }
        (self.fate)(self.commits.fetch_add(1, Ordering::Relaxed))
    }
}

/// Waits until the process has ended.
async fn ends(client: &mut TcpStream) {
    while matches!(client.read(&mut [0; 1_024]).await, Ok(1..)) {}
}

/// Waits until the server has answered the commit.
async fn committed(server: &mut TcpStream) {
    let mut all = Vec::new();
    let mut answered = vec![0; 65_536];
    while let Ok(count @ 1..) = server.read(&mut answered).await {
        all.extend_from_slice(&answered[..count]);
        if all.windows(7).any(|part| part == b"COMMIT\0") {
            return;
        }
    }
}

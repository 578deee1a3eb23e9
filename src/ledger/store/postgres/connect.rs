//! Connections to the database of a ledger.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, Instant};

use telemetry::error_chain;
use tokio::task::JoinSet;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};

use super::super::StoreError;
use super::failure::Failure;
use super::tls::{Parameters, Rustls};

/// How long a connection to one host may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a connection to one address of a host may take before the next address is tried.
const CONNECT_TO_ADDRESS: Duration = Duration::from_secs(1);
/// After a connection has failed, how long requests fail at once without another attempt.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// How long the other end of a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// How often the versions of all orgs are compared, not only of those that changed lately, and older notices are read
/// too. A commit that waits for a standby may become visible long after the time of its changes, and clocks may be set
/// back.
const FULL_SYNC_EVERY: Duration = Duration::from_secs(5 * 60);

/// A PostgreSQL database that has a ledger, or is to have one.
#[derive(Clone, Debug)]
pub struct Database {
    /// The settings for each host, in the order in which the hosts are tried.
    hosts: Vec<Config>,
    /// `None`: connections are not encrypted.
    tls: Option<Rustls>,
    /// Whether the ledger's time is that of the database, not of the processes.
    pub(super) has_clock: bool,
    pub(super) full_sync_every: Duration,
}

impl Database {
    /// Parses a `postgres://` URL. `sslmode` is `verify-full` or `disable`; `require` and `verify-ca` mean
    /// `verify-full` too. Without it, connections to other machines are encrypted. `sslrootcert` is a file of
    /// certificates to trust instead of the usual ones. If there are several hosts, separated by commas, the first one
    /// that accepts writes is used.
    ///
    /// # Errors
    /// If the URL is invalid, or the file is unusable. The error does not show the URL, which may contain a password.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let (url, tls) = Parameters::take(url);
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = error.source().map(|cause| format!(": {cause}"));
            StoreError::Setting(format!(
                "the URL of the database is invalid{}",
                cause.unwrap_or_default()
            ))
        })?;
        let tls = tls.apply(&mut config)?;
        config
            .connect_timeout(CONNECT_TO_ADDRESS)
            .keepalives_idle(SILENCE)
            .tcp_user_timeout(SILENCE);
        if config.get_application_name().is_none() {
            config.application_name("tier");
        }
        // A host name may lead to a standby, which accepts no writes.
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self {
            hosts: each_host(&config),
            tls,
            has_clock: true,
            full_sync_every: FULL_SYNC_EVERY,
        })
    }

    /// The same database, but events have the time of the processes, which must share one clock. For simulated time.
    #[must_use]
    pub fn without_clock(self) -> Self {
        Self {
            has_clock: false,
            ..self
        }
    }

    /// The same database, but the versions of all orgs are compared every `every`.
    #[must_use]
    pub fn comparing_all_every(self, every: Duration) -> Self {
        Self {
            full_sync_every: every,
            ..self
        }
    }

    /// Opens a connection to the first host that accepts one. A new task in `tasks` drives it.
    pub(super) async fn connect(&self, tasks: &mut JoinSet<()>) -> Result<Client, StoreError> {
        let (last, others) = self.hosts.split_last().expect("there is one");
        for host in others {
            match self.connect_to(host, tasks).await {
                Ok(client) => return Ok(client),
                Err(error) => {
                    let error = error_chain(&error);
                    tracing::info!(error, host = ?host.get_hosts(), "skipping a host of the ledger's database");
                }
            }
        }
        self.connect_to(last, tasks).await
    }

    async fn connect_to(
        &self,
        host: &Config,
        tasks: &mut JoinSet<()>,
    ) -> Result<Client, StoreError> {
        let connected = async {
            if let Some(tls) = self.tls.clone() {
                let (client, connection) = host.connect(tls).await?;
                tasks.spawn(drive(connection));
                Ok(client)
            } else {
                let (client, connection) = host.connect(NoTls).await?;
                tasks.spawn(drive(connection));
                Ok(client)
            }
        };
        // Boxed: the future is large, and seldom needed.
        match tokio::time::timeout(CONNECT, Box::pin(connected)).await {
            Ok(connected) => connected
                .map_err(|error: tokio_postgres::Error| StoreError::Unreachable(error.into())),
            Err(late) => Err(StoreError::Unreachable(late.into())),
        }
    }
}

/// Splits the settings by host, so that a host that accepts connections and does not answer takes no longer than
/// [`CONNECT`].
fn each_host(all: &Config) -> Vec<Config> {
    let count = all.get_hosts().len().max(all.get_hostaddrs().len());
    if count < 2 {
        return vec![all.clone()];
    }
    (0..count).map(|number| only_host(all, number)).collect()
}

/// The settings with only the host of this number.
fn only_host(all: &Config, number: usize) -> Config {
    let mut single = Config::new();
    match all.get_hosts().get(number) {
        Some(Host::Tcp(name)) => drop(single.host(name)),
        Some(Host::Unix(path)) => drop(single.host_path(path)),
        None => {}
    }
    if let Some(address) = all.get_hostaddrs().get(number) {
        single.hostaddr(*address);
    }
    let ports = all.get_ports();
    if let Some(port) = ports.get(number).or(ports.first()) {
        single.port(*port);
    }
    if let Some(user) = all.get_user() {
        single.user(user);
    }
    single
        .target_session_attrs(all.get_target_session_attrs())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .connect_timeout(CONNECT_TO_ADDRESS)
        .keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .tcp_user_timeout(SILENCE);
    if let Some(password) = all.get_password() {
        single.password(password);
    }
    if let Some(name) = all.get_dbname() {
        single.dbname(name);
    }
    if let Some(options) = all.get_options() {
        single.options(options);
    }
    if let Some(name) = all.get_application_name() {
        single.application_name(name);
    }
    single
}

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the ledger's database has ended");
    }
}

/// Leaves out the user and the password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.hosts[0].get_dbname().unwrap_or_default();
        let hosts = self.hosts.iter().flat_map(Config::get_hosts);
        let hosts = hosts.map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        write!(f, "postgres://{}/{name}", hosts.join(","))
    }
}

/// A connection that is made when it is needed.
#[derive(Debug)]
pub(super) struct Link {
    database: Database,
    client: Option<Client>,
    /// The task that drives the connection.
    tasks: JoinSet<()>,
    /// When the last connection failed.
    failed: Option<Instant>,
}

impl Link {
    pub(super) fn has_clock(&self) -> bool {
        self.database.has_clock
    }

    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            client: None,
            tasks: JoinSet::new(),
            failed: None,
        }
    }

    /// The client of an open connection.
    pub(super) async fn client(&mut self) -> Result<&Client, Failure> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.close();
            self.client = Some(self.connect().await?);
        }
        Ok(self.client.as_ref().expect("it was just opened"))
    }

    async fn connect(&mut self) -> Result<Client, Failure> {
        if self.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            let cause = "it could not be reached just now".into();
            return Err(Failure::Store(StoreError::Unreachable(cause)));
        }
        let connected = self.database.connect(&mut self.tasks).await;
        self.failed = connected.is_err().then(Instant::now);
        connected.map_err(Failure::Store)
    }

    /// Ends a transaction that has failed.
    pub(super) async fn roll_back(&mut self, failure: &Failure) {
        let is_usable = !matches!(failure, Failure::Lost(_));
        if let Some(client) = self.client.as_ref().filter(|_| is_usable) {
            let ended = tokio::time::timeout(CONNECT, client.batch_execute("ROLLBACK")).await;
            if matches!(ended, Ok(Ok(()))) {
                return;
            }
        }
        self.close();
    }

    fn close(&mut self) {
        self.client = None;
        self.tasks.abort_all();
        while self.tasks.try_join_next().is_some() {}
    }
}

//! PostgreSQL schemas for tests. `tests/postgres/run` starts the server.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

/// A new schema, which is dropped together with this value. It can be used inside and outside tokio.
#[derive(Debug)]
pub struct Schema {
    url: String,
    name: String,
    client: Option<(Runtime, Client)>,
}

impl Schema {
    /// Creates a schema. `server` is a `postgres://` URL without parameters.
    ///
    /// # Panics
    /// If the server cannot be used.
    pub fn create(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let url = format!("{server}?options=-csearch_path%3D{name}");
        let client = connected(&url);
        let schema = Self {
            url,
            name,
            client: Some(client),
        };
        schema.execute(&format!("CREATE SCHEMA {}", schema.name));
        schema
    }

    /// The URL with which a client uses the schema.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects again after the server was killed.
    pub fn reconnect(&mut self) {
        self.close();
        self.client = Some(connected(&self.url));
    }

    /// Executes statements.
    ///
    /// # Panics
    /// If a statement fails.
    pub fn execute(&self, sql: &str) {
        let done = self.run(|client| client.batch_execute(sql));
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The rows of a query.
    ///
    /// # Panics
    /// If the query fails.
    pub fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        let rows = self.run(|client| client.query(sql, parameters));
        rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The number in the first row and column of a query's result.
    ///
    /// # Panics
    /// If the query fails, or has another result.
    pub fn number(&self, sql: &str) -> i64 {
        self.query(sql, &[])[0].get(0)
    }

    /// Runs a future on a thread outside of tokio.
    fn run<'a, T: Send, F: Future<Output = T>>(
        &'a self,
        make: impl FnOnce(&'a Client) -> F + Send,
    ) -> T {
        let (runtime, client) = self.client.as_ref().expect("it is open");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(make(client)));
            waiting.join().expect("no panic")
        })
    }

    fn close(&mut self) {
        if let Some((runtime, _)) = self.client.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.name);
        // A failed test may have left the server stopped, so errors are ignored.
        let _ = self.run(|client| client.batch_execute(&drop));
        self.close();
    }
}

fn connected(url: &str) -> (Runtime, Client) {
    let connect = move || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let config: Config = url.parse().expect("a URL of the test");
        let (client, connection) = runtime.block_on(config.connect(NoTls)).expect("a server");
        runtime.spawn(connection);
        (runtime, client)
    };
    std::thread::scope(|scope| scope.spawn(connect).join().expect("a server"))
}

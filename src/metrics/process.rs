//! Metrics of this process from `/proc`, under the names that Prometheus's own clients use. Without `/proc` there are none.

use std::fs;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Fields of `/proc/self/stat`, counted from the state, which follows the name.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const STARTED: usize = 19;
const VIRTUAL: usize = 20;
const RESIDENT: usize = 21;

/// The current values.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("process");
    if let Some(stat) = Stat::read() {
        stat.register(&mut registry);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let help = "Number of open file descriptors";
        registry.register("open_fds", help, ConstGauge::new(open.count() as u64));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        let help = "Maximum number of open file descriptors";
        registry.register("max_fds", help, ConstGauge::new(most));
    }
    registry
}

struct Stat {
    cpu_seconds: f64,
    threads: u64,
    /// When the process started, in Unix seconds. None if the boot time is not known.
    started: Option<f64>,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let system = fs::read_to_string("/proc/stat").ok();
        let booted = system.as_deref().and_then(booted);
        let (ticks, page) = (clock_ticks_per_second(), page_size());
        Self::parse(&stat, booted, ticks, u64::try_from(page).ok()?)
    }

    fn parse(stat: &str, booted: Option<u64>, ticks: u64, page: u64) -> Option<Self> {
        // The name is in parentheses, and may itself contain parentheses.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number)?.parse::<u64>().ok();
        let seconds = |ticks_then: u64| as_float(ticks_then) / as_float(ticks);
        let started = seconds(field(STARTED)?);
        Some(Self {
            cpu_seconds: seconds(field(USER_TICKS)? + field(SYSTEM_TICKS)?),
            threads: field(THREADS)?,
            started: booted.map(|booted| as_float(booted) + started),
            virtual_bytes: field(VIRTUAL)?,
            resident_bytes: field(RESIDENT)? * page,
        })
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Total user and system CPU time spent in seconds";
        registry.register("cpu_seconds", help, ConstCounter::new(self.cpu_seconds));
        if let Some(started) = self.started {
            let help = "Start time of the process since unix epoch in seconds";
            registry.register("start_time_seconds", help, ConstGauge::new(started));
        }
        for (name, help, value) in [
            (
                "threads",
                "Number of OS threads in the process",
                self.threads,
            ),
            (
                "virtual_memory_bytes",
                "Virtual memory size in bytes",
                self.virtual_bytes,
            ),
            (
                "resident_memory_bytes",
                "Resident memory size in bytes",
                self.resident_bytes,
            ),
        ] {
            registry.register(name, help, ConstGauge::new(value));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds and ticks are far below 2^52"
)]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// When the system booted, in Unix seconds.
fn booted(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_contain_parentheses() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 9 18 300 4096 2 22";
        let stat = Stat::parse(text, Some(1000), 100, 4096).unwrap();
        assert!((stat.cpu_seconds - 2.0).abs() < 1e-9);
        assert_eq!(stat.started, Some(1003.0));
        assert_eq!(
            (stat.threads, stat.virtual_bytes, stat.resident_bytes),
            (9, 4096, 8192)
        );
        assert_eq!(
            booted("cpu 1\nbtime 1700000000\nprocesses 2\n"),
            Some(1_700_000_000)
        );
        assert!(Stat::parse("7 (a", None, 100, 4096).is_none());
    }
}

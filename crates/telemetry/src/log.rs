//! A queue of log lines. A thread writes them to stderr, so that logging never blocks.
//!
//! The thread writes all queued lines at once, so a busy server makes one system call for many lines. If the reader of
//! stderr stalls, lines that do not fit into the queue are dropped and counted. `tracing-appender` needs an allocation,
//! a message and a system call for each line, and limits the number of lines instead of bytes, so its memory is not
//! bounded.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many bytes may be queued. A busy server logs as much in half a second.
const MAX_PENDING: usize = 8 << 20;

/// The capacity that the buffer keeps after a batch was written, in bytes.
const KEPT_CAPACITY: usize = 256 << 10;

/// How long the thread waits for more lines before it writes. Readers do not notice, and a busy server logs hundreds of
/// lines in that time.
const BATCH_WAIT: Duration = Duration::from_millis(5);

/// How long the end of the process waits for the queue to be written.
const LAST_WAIT: Duration = Duration::from_secs(2);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many log lines this process has dropped.
pub fn lines_dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The queue of lines.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// How many lines were dropped since the last batch was taken.
    dropped: u64,
    /// Tells the thread to write the rest and end.
    closed: bool,
    /// The thread has ended.
    written: bool,
}

impl Log {
    /// Starts the thread that writes to stderr.
    pub(super) fn start(&self) {
        let shared = Arc::clone(&self.0);
        let report = |dropped| {
            tracing::warn!(
                dropped,
                "log lines were dropped, because stderr is read too slowly"
            );
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || shared.write_until_closed(&mut io::stderr(), report));
        if started.is_err() {
            // Without the thread, each caller writes its own lines.
            let mut pending = self.0.lock();
            (pending.closed, pending.written) = (true, true);
        }
    }

    /// Writes the rest of the queue. Gives up if that takes too long.
    pub(super) fn finish(&self) {
        let mut pending = self.0.lock();
        pending.closed = true;
        self.0.changed.notify_all();
        // If the reader has stalled, the lines are lost with the process.
        let waited = self
            .0
            .changed
            .wait_timeout_while(pending, LAST_WAIT, |pending| !pending.written);
        drop(waited);
    }
}

impl Shared {
    /// Locks the queue. A poisoned lock is used anyway, because its bytes are still valid.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes batches until the queue is closed. Calls `report` with the number of lines that were dropped after a
    /// batch.
    fn write_until_closed(&self, sink: &mut impl Write, report: impl Fn(u64)) {
        let mut batch = Vec::new();
        while let Some(dropped) = self.take(&mut batch) {
            if dropped > 0 {
                // There is room now, so this line itself is not dropped.
                report(dropped);
            }
            // If stderr is closed, there is nowhere left to report that.
            let _ = sink.write_all(&batch);
            batch.clear();
            batch.shrink_to(KEPT_CAPACITY);
        }
        self.lock().written = true;
        self.changed.notify_all();
    }

    /// Waits for lines, and moves them into the empty `batch`. Returns how many lines were dropped after them. None
    /// once the queue is closed and empty.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut pending = self.lock();
        while pending.bytes.is_empty() && !pending.closed {
            let changed = self.changed.wait(pending);
            pending = changed.unwrap_or_else(PoisonError::into_inner);
        }
        if pending.bytes.is_empty() {
            return None;
        }
        if !pending.closed {
            drop(pending);
            std::thread::sleep(BATCH_WAIT);
            pending = self.lock();
        }
        std::mem::swap(batch, &mut pending.bytes);
        Some(std::mem::take(&mut pending.dropped))
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// A writer for one event, which the formatter writes in one piece.
pub(super) struct Line<'a>(&'a Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut pending = self.0.lock();
        if pending.closed {
            drop(pending);
            return io::stderr().lock().write(line);
        }
        if pending.bytes.len() + line.len() > MAX_PENDING {
            pending.dropped += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let first = pending.bytes.is_empty();
        pending.bytes.extend_from_slice(line);
        drop(pending);
        if first {
            // The thread sleeps only while the queue is empty.
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn log_line(log: &Log, line: &str) {
        log.make_writer().write_all(line.as_bytes()).unwrap();
    }

    fn close(log: &Log) {
        log.0.lock().closed = true;
        log.0.changed.notify_all();
    }

    #[test]
    fn lines_are_written_whole_and_in_order_for_each_thread() {
        const LINES: usize = 200;
        let log = Log::default();
        let mut written = Vec::new();
        std::thread::scope(|scope| {
            let writers: Vec<_> = ["a", "b", "c"]
                .map(|name| {
                    let log = &log;
                    scope.spawn(move || {
                        for i in 0..LINES {
                            log_line(log, &format!("{name} {i:03}\n"));
                        }
                    })
                })
                .into();
            let shared = &log.0;
            let sink = &mut written;
            scope.spawn(move || shared.write_until_closed(sink, |_| panic!("none is dropped")));
            for writer in writers {
                writer.join().unwrap();
            }
            close(&log);
        });
        let text = String::from_utf8(written).unwrap();
        for name in ["a", "b", "c"] {
            let expected: Vec<String> = (0..LINES).map(|i| format!("{name} {i:03}")).collect();
            let of_thread: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
            assert_eq!(of_thread, expected);
        }
    }

    /// A sink that accepts nothing until it is released, or until its sender is gone.
    struct Stuck {
        go_on: mpsc::Receiver<()>,
        bytes: usize,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go_on.recv();
            self.bytes += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_blocks_nobody_and_dropped_lines_are_counted() {
        const LINE: usize = 1 << 16;
        let lines = 3 * MAX_PENDING / LINE;
        let log = Log::default();
        let told = AtomicU64::new(0);
        let (release, go_on) = mpsc::channel();
        let mut sink = Stuck { go_on, bytes: 0 };
        std::thread::scope(|scope| {
            let (shared, told, sink) = (&log.0, &told, &mut sink);
            scope.spawn(move || {
                shared.write_until_closed(sink, |dropped| {
                    told.fetch_add(dropped, Ordering::Relaxed);
                });
            });
            // If logging waited for the reader, this would never end.
            let line = "x".repeat(LINE);
            for _ in 0..lines {
                log_line(&log, &line);
            }
            drop(release);
            close(&log);
        });
        let dropped = usize::try_from(told.into_inner()).unwrap();
        // The sink may hold one full buffer, and another one waits.
        assert!(
            (lines / 3..lines).contains(&dropped),
            "{dropped} of {lines}"
        );
        assert_eq!(sink.bytes / LINE + dropped, lines);
    }
}

//! The output of commands: results on stdout, everything else on stderr, colours on a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tabwriter::TabWriter;

/// How long a task runs before its progress is shown.
const SHOW_AFTER: Duration = Duration::from_millis(500);

/// How often the elapsed time is updated.
const TICK: Duration = Duration::from_millis(100);

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTABLE: Style = AnsiColor::Yellow.on_default();

/// The meaning of a word, which decides its colour.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    Good,
    Bad,
    Notable,
}

/// A word in the colour of its tone. The streams below remove colours where there is no terminal.
pub(super) fn toned(tone: Tone, text: impl Display) -> String {
    let style = match tone {
        Tone::Good => GOOD,
        Tone::Bad => BAD,
        Tone::Notable => NOTABLE,
    };
    format!("{style}{text}{style:#}")
}

/// Prints a line on stdout, and flushes it, since programs wait for it.
pub(super) fn line(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints bytes on stdout. On a terminal they end with a newline, for the prompt that follows.
pub(super) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    if stdout.is_terminal() && !bytes.is_empty() && !bytes.ends_with(b"\n") {
        stdout.write_all(b"\n")?;
    }
    Ok(stdout.flush()?)
}

/// Prints text on stdout that ends with one newline.
pub(super) fn text(bytes: &[u8]) -> anyhow::Result<()> {
    line(String::from_utf8_lossy(bytes.trim_ascii_end()))
}

/// Prints on a terminal what was done, even if stdout is redirected. Without a terminal, success is silent.
pub(super) fn done(text: impl Display) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        return line(text);
    }
    if io::stderr().is_terminal() {
        // If stderr is closed, there is nowhere to print this.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }
    Ok(())
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Prints rows in columns below their headings.
pub(super) fn table(
    headings: &str,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> anyhow::Result<()> {
    let mut writer = TabWriter::new(Vec::new()).padding(2);
    writeln!(writer, "{}", headings.replace(' ', "\t"))?;
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| printable(cell)).collect();
        writeln!(writer, "{}", cells.join("\t"))?;
    }
    let aligned = String::from_utf8(writer.into_inner()?)?;
    let (headings, rows) = aligned.split_once('\n').unwrap_or((&aligned, ""));
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{HEADING}{headings}{HEADING:#}")?;
    stdout.write_all(rows.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Replaces characters in text from outside that would break a table or control a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Splits a feature's full name into feature and plan.
pub(super) fn feature_and_plan(full_name: &str) -> (&str, &str) {
    full_name.split_once('@').unwrap_or((full_name, "-"))
}

/// Prints on a terminal where a command acts. Without a terminal, prints nothing.
pub(super) fn aside(text: impl Display) {
    if io::stderr().is_terminal() {
        let _ = writeln!(anstream::stderr().lock(), "{FAINT}{text}{FAINT:#}");
    }
}

/// Prints a note on stderr.
pub(super) fn note(text: impl Display) {
    // If stderr is closed, there is nowhere to print this.
    let _ = writeln!(anstream::stderr().lock(), "tier: {text}");
}

/// Prints an error with its causes on stderr.
pub(super) fn fault(error: &anyhow::Error) {
    let name = toned(Tone::Bad, "tier:");
    let _ = writeln!(anstream::stderr().lock(), "{name} {error:#}");
}

/// Prints an error for programs on stderr, as a JSON object on one line.
pub(super) fn fault_in_json(error: &serde_json::Value) {
    let _ = writeln!(io::stderr().lock(), "{error}");
}

/// Waits for `work`. After half a second, a terminal shows the `label` and the elapsed time.
pub(super) async fn with_spinner<T>(label: &'static str, work: impl Future<Output = T>) -> T {
    let bar = ProgressBar::new_spinner();
    with_bar(bar, "{spinner} {msg} {elapsed_precise}", label, work, || ()).await
}

/// Like [`with_spinner`], for work of `total` parts. `done` returns how many are done.
pub(super) async fn with_progress<T>(
    label: &'static str,
    total: usize,
    done: impl Fn() -> usize,
    work: impl Future<Output = T>,
) -> T {
    let bar = ProgressBar::new(total as u64);
    let updated = bar.clone();
    let update = move || updated.set_position(done() as u64);
    let template = "{spinner} {msg} {pos}/{len} {elapsed_precise}";
    with_bar(bar, template, label, work, update).await
}

async fn with_bar<T>(
    bar: ProgressBar,
    template: &str,
    label: &'static str,
    work: impl Future<Output = T>,
    update: impl Fn(),
) -> T {
    let mut work = std::pin::pin!(work);
    if !io::stderr().is_terminal() {
        return work.await;
    }
    if let Ok(done) = tokio::time::timeout(SHOW_AFTER, &mut work).await {
        return done;
    }
    let bar = bar.with_elapsed(SHOW_AFTER);
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(label);
    let done = loop {
        update();
        bar.tick();
        if let Ok(done) = tokio::time::timeout(TICK, &mut work).await {
            break done;
        }
    };
    bar.finish_and_clear();
    done
}

/// A count with its noun, in the plural if needed.
pub(super) fn plural(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_control_a_terminal() {
        assert_eq!(
            printable("a\tb\x1b[31mé\n"),
            "a\u{fffd}b\u{fffd}[31mé\u{fffd}"
        );
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(
            (plural(1, "plan"), plural(2, "plan")),
            ("1 plan".to_owned(), "2 plans".to_owned())
        );
    }
}

//! The text formats of metrics. A request's `Accept` header chooses between them.

use std::fmt::Write as _;

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own, which every scraper reads.
    Classic,
    /// `OpenMetrics`.
    OpenMetrics,
}

impl Format {
    /// `OpenMetrics` if a request's `Accept` names it and does not prefer the classic format.
    pub fn of_accept(accept: &str) -> Self {
        let ranges: Vec<Range<'_>> = accept.split(',').map(Range::read).collect();
        let quality = |media_type: &str, versions: &[&str]| {
            let named = ranges.iter().filter(|range| range.is(media_type, versions));
            named.map(|range| range.quality).reduce(f32::max)
        };
        let open_metrics = quality("application/openmetrics-text", &["1.0.0", "0.0.1"]);
        // The most specific range counts.
        let classic = quality("text/plain", &["0.0.4"])
            .or_else(|| quality("text/*", &[]))
            .or_else(|| quality("*/*", &[]));
        match open_metrics {
            Some(open) if open > 0.0 && open >= classic.unwrap_or(0.0) => Self::OpenMetrics,
            _ => Self::Classic,
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => CLASSIC,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The media type of the classic format.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Converts `OpenMetrics` to Prometheus's own text format. The descriptions of counters have the `_total` of their
/// names, an info becomes a gauge, and units and the end mark are left out.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let kinds = kinds(open_metrics);
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(keyword)) = (words.next(), words.next()) else {
            line_of(&mut text, line);
            continue;
        };
        let (name, rest) = (words.next().unwrap_or_default(), words.next());
        let kind = kinds.iter().find(|(family, _)| *family == name);
        let (suffix, kind) = match kind.map(|(_, kind)| *kind) {
            Some("counter") => ("_total", "counter"),
            Some("info") => ("_info", "gauge"),
            Some(kind) => ("", kind),
            None => ("", "untyped"),
        };
        match keyword {
            "HELP" => line_of(
                &mut text,
                &format!("# HELP {name}{suffix} {}", rest.unwrap_or_default()),
            ),
            "TYPE" => line_of(&mut text, &format!("# TYPE {name}{suffix} {kind}")),
            _ => {}
        }
    }
    text
}

fn line_of(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// The type of each metric family.
fn kinds(open_metrics: &str) -> Vec<(&str, &str)> {
    let types = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|rest| rest.split_once(' ')).collect()
}

/// A media range of `Accept`. Names are compared without regard to case.
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    quality: f32,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('='));
        let parameters: Vec<(&str, &str)> = parameters
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        let parameter = |name: &str| {
            let named = |(given, _): &&(&str, _)| given.eq_ignore_ascii_case(name);
            parameters.iter().find(named).map(|(_, value)| *value)
        };
        let quality = parameter("q").and_then(|quality| quality.parse().ok());
        Self {
            media_type,
            version: parameter("version"),
            quality: quality
                .filter(|quality| (0.0..=1.0).contains(quality))
                .unwrap_or(1.0),
        }
    }

    /// Whether the range is for a media type, with one of these versions or without a version.
    fn is(&self, media_type: &str, versions: &[&str]) -> bool {
        let is_known = |version| versions.contains(&version);
        self.media_type.eq_ignore_ascii_case(media_type) && self.version.is_none_or(is_known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_chosen_by_accept() {
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=1.0.0",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "text/plain;version=0.0.4;q=0.3, APPLICATION/OPENMETRICS-TEXT; Q=0.5",
            "application/openmetrics-text;version=2.0.0, application/openmetrics-text;version=\"0.0.1\"; q=0.1",
            "application/openmetrics-text, */*",
            "application/openmetrics-text;q=0.4, text/plain;q=0.3, */*",
        ] {
            assert_eq!(Format::of_accept(accept), Format::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn the_classic_format_is_the_default() {
        for accept in [
            "",
            "*/*",
            "application/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;q=0, */*",
            "application/openmetrics-text; Q=0",
            "application/openmetrics-text;q=0.000",
            "application/openmetrics-text;version=1.0.0;q=0.1, text/plain;q=0.9",
            "application/openmetrics-text;q=0.1, TEXT/*;q=0.9",
            "application/openmetrics-text;q=0.1, */*",
            "application/openmetrics-text;version=2.0.0",
        ] {
            assert_eq!(Format::of_accept(accept), Format::Classic, "{accept}");
        }
    }

    #[test]
    fn counters_and_infos_are_described_by_the_names_of_their_samples() {
        let open_metrics = "# HELP a Things.\n# TYPE a counter\na_total{x=\"# TYPE\"} 1\n\
            # HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c_seconds Time.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2\n# EOF\n";
        assert_eq!(
            classic(open_metrics),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"# TYPE\"} 1\n\
            # HELP b_info What.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
            # HELP c_seconds Time.\n# TYPE c_seconds gauge\nc_seconds 2\n"
        );
    }
}

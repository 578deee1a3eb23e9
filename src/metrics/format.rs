//! How metrics are written, and which way a request asks for.

use super::classic;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own, which every scraper reads.
    Classic,
    /// `OpenMetrics`.
    OpenMetrics,
}

impl Format {
    /// `OpenMetrics` where a request's `Accept` names it, and does not want the classic format more.
    pub fn of_accept(accept: &str) -> Self {
        let ranges: Vec<Range<'_>> = accept.split(',').map(Range::read).collect();
        let quality = |media_type: &str, versions: &[&str]| {
            let named = ranges.iter().filter(|range| range.is(media_type, versions));
            named.map(|range| range.quality).reduce(f32::max)
        };
        let open_metrics = quality("application/openmetrics-text", &["1.0.0", "0.0.1"]);
        // The narrowest range that it is in counts.
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
            Self::Classic => classic::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What `Accept` says of some media types. Names count in whatever case.
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

    /// Whether it is about a media type, in one of these versions or in any.
    fn is(&self, media_type: &str, versions: &[&str]) -> bool {
        let is_known = |version| versions.contains(&version);
        self.media_type.eq_ignore_ascii_case(media_type) && self.version.is_none_or(is_known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_for_those_who_ask() {
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
    fn everybody_else_gets_the_classic_format() {
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
}

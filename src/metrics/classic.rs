//! Prometheus's own text format, from the text of `OpenMetrics`: what scrapers read that do not ask for the latter.

use std::fmt::Write as _;

/// Its media type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same metrics. A counter's name has its `_total` in its description too, an info is a gauge, and units and the
/// end are not told.
pub(super) fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let kinds = kinds(open_metrics);
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what)) = (words.next(), words.next()) else {
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
        match what {
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

/// Each family's kind.
fn kinds(open_metrics: &str) -> Vec<(&str, &str)> {
    let types = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|rest| rest.split_once(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_are_described_under_the_names_of_their_samples() {
        let open_metrics = "# HELP a Things.\n# TYPE a counter\na_total{x=\"# TYPE\"} 1\n\
            # HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c_seconds Time.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2\n# EOF\n";
        assert_eq!(
            text(open_metrics),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"# TYPE\"} 1\n\
            # HELP b_info What.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
            # HELP c_seconds Time.\n# TYPE c_seconds gauge\nc_seconds 2\n"
        );
    }
}

//! Positions in a text: line and column as editors count them.

/// A position in a text. Lines and columns count from one, and columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The beginning of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The position of the byte at `offset`. A line break belongs to the line that it ends.
    pub(crate) fn of_byte(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n');
        let line_start = line_start.map_or(0, |end| end + 1);
        let characters = String::from_utf8_lossy(&before[line_start..]);
        Self {
            line: 1 + line_ends(before).count(),
            column: 1 + characters.chars().count(),
        }
    }

    /// The position at which a JSON parser stopped. The parser counts bytes.
    pub(crate) fn of_json_error(text: &[u8], error: &serde_json::Error) -> Self {
        let line_start = match error.line() {
            0 | 1 => 0,
            line => line_ends(text).nth(line - 2).map_or(0, |end| end + 1),
        };
        let read = line_start + error.column();
        Self::of_byte(text, read.saturating_sub(1))
    }
}

/// The offsets of line breaks.
fn line_ends(text: &[u8]) -> impl Iterator<Item = usize> {
    let ends = text.iter().enumerate();
    ends.filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_parsers_byte_offset_becomes_a_column_of_characters() {
        for (text, line, column) in [
            (&b"{"[..], 1, 1),
            (b"nope", 1, 2),
            (br#"{"a":1 x}"#, 1, 8),
            ("{\"é\":1 x}".as_bytes(), 1, 8),
            ("{\"世界\":\"😀\" x}".as_bytes(), 1, 11),
            ("{\"é\":1,\n \"é\" x}".as_bytes(), 2, 6),
            ("{\"é\":1,\r\n \"é\" x}".as_bytes(), 2, 6),
            // A string must not contain a line break.
            ("{\"é\n\":1}".as_bytes(), 1, 4),
            ("{\n\n\"é\":\n".as_bytes(), 3, 5),
            // Invalid UTF-8.
            (b"{\"\xc3\xa9\xff\":1}", 1, 4),
            (b"\xff", 1, 1),
        ] {
            let error = serde_json::from_slice::<serde_json::Value>(text).unwrap_err();
            let shown = String::from_utf8_lossy(text);
            let place = Position::of_json_error(text, &error);
            assert_eq!(place, Position { line, column }, "{shown}: {error}");
        }
    }
}

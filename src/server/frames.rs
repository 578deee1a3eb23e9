//! Follows the frames of an HTTP/2 connection, to know whether a request's head or the opening is incomplete.
//!
//! A head that never ends must time out. hyper times out the heads of HTTP/1 alone. Neither hyper nor `h2` has such a
//! setting for HTTP/2, and a keep-alive ping does not help: a client that keeps a head open on purpose answers it. So
//! this module reads the header of each frame (RFC 9113, section 4.1). hyper still judges whether frames are well
//! formed.

/// The bytes that an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame's header.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The protocol of a connection.
#[derive(Debug)]
pub(super) enum Protocol {
    /// Not known yet. This many bytes have matched the preface of HTTP/2.
    Unknown(usize),
    Http1,
    Http2(Frames),
}

impl Protocol {
    /// Reads `bytes`, and returns those that come after the preface.
    pub(super) fn learn<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Self::Unknown(known) = self else {
            return bytes;
        };
        let awaited = &PREFACE[*known..];
        let (new, rest) = bytes.split_at(awaited.len().min(bytes.len()));
        if !awaited.starts_with(new) {
            *self = Self::Http1;
        } else if new.len() == awaited.len() {
            *self = Self::Http2(Frames::default());
        } else {
            *known += new.len();
        }
        rest
    }
}

/// The state of an HTTP/2 connection's frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The header of the current frame, and how many of its bytes have arrived.
    header: [u8; HEADER],
    arrived: usize,
    /// How many bytes of its payload are still to come.
    left: usize,
    /// Whether the opening is complete: it ends with the first frame, the settings.
    opened: bool,
    /// Whether a head continues in the next frame.
    in_head: bool,
}

impl Frames {
    /// Reads `bytes`. Returns whether there was a point in them at which nothing was [open](Self::is_open).
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut was_closed = false;
        while !bytes.is_empty() {
            let awaited = if self.arrived < HEADER {
                HEADER - self.arrived
            } else {
                self.left
            };
            let (new, rest) = bytes.split_at(awaited.min(bytes.len()));
            bytes = rest;
            if self.arrived < HEADER {
                self.header[self.arrived..][..new.len()].copy_from_slice(new);
                self.arrived += new.len();
                if self.arrived == HEADER {
                    self.begin();
                }
            } else {
                self.left -= new.len();
            }
            if self.arrived == HEADER && self.left == 0 {
                self.arrived = 0;
                self.opened = true;
            }
            was_closed |= !self.is_open();
        }
        was_closed
    }

    /// Whether the opening, a head or another frame is incomplete. Frames of bodies do not count: they have a time-out
    /// of their own.
    pub(super) fn is_open(&self) -> bool {
        let in_data = self.arrived == HEADER && self.header[3] == DATA;
        !self.opened || self.in_head || (self.arrived > 0 && !in_data)
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_head = flags & END_HEADERS == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Whether something is open after the bytes, in one piece and one by one.
    fn open_after(bytes: &[u8]) -> bool {
        let mut all_at_once = Frames::default();
        all_at_once.follow(bytes);
        let mut pieces = Frames::default();
        for byte in bytes {
            pieces.follow(&[*byte]);
        }
        assert_eq!(all_at_once.is_open(), pieces.is_open());
        all_at_once.is_open()
    }

    #[test]
    fn a_protocol_is_known_by_its_first_bytes() {
        let learnt = |pieces: &[&[u8]]| {
            let mut protocol = Protocol::Unknown(0);
            let rest = pieces.iter().map(|piece| protocol.learn(piece)).last();
            (protocol, rest.unwrap().to_vec())
        };
        assert!(matches!(learnt(&[b"PRI"]).0, Protocol::Unknown(3)));
        assert!(matches!(learnt(&[b"GET / "]).0, Protocol::Http1));
        assert!(matches!(
            learnt(&[b"PR", b"I / HTTP/1.1"]).0,
            Protocol::Http1
        ));
        let (protocol, rest) = learnt(&[&PREFACE[..10], &PREFACE[10..23], b"\n\0\0"]);
        assert!(matches!(protocol, Protocol::Http2(_)));
        assert_eq!(rest, [0, 0]);
    }

    #[test]
    fn heads_and_frames_are_open_until_their_last_byte() {
        let settings = frame(4, 0, &[0; 6]);
        assert!(open_after(&[]));
        assert!(open_after(&settings[..14]));
        assert!(!open_after(&settings));
        let after_settings = |rest: &[u8]| open_after(&[&settings[..], rest].concat());
        let ping = frame(6, 0, &[0; 8]);
        assert!(after_settings(&ping[..3]) && after_settings(&ping[..9]) && !after_settings(&ping));
        let head = |flags| frame(HEADERS, flags, b"abc");
        assert!(!after_settings(&head(END_HEADERS)) && after_settings(&head(0)));
        let two = |flags| [head(0), frame(CONTINUATION, flags, b"")].concat();
        assert!(!after_settings(&two(END_HEADERS)) && after_settings(&two(0)));
        let data = frame(DATA, 0, b"abc");
        assert!(after_settings(&data[..8]) && !after_settings(&data[..9]));
        assert!(!after_settings(&data));
    }

    #[test]
    fn a_frame_that_closed_in_between_is_reported() {
        let settings = frame(4, 0, b"");
        let mut frames = Frames::default();
        assert!(!frames.follow(&settings[..5]));
        assert!(frames.follow(&[&settings[5..], &[0]].concat()));
        assert!(frames.is_open() && !frames.follow(&[0, 0]));
    }
}

//! Slow clients. A connection stays open only for requests that arrive in time.

use tier::server::Options;
use tokio::io::AsyncWriteExt as _;

use super::{SOON, Server, read_to, rest_in_time, rest_while_silent, server};
use testing::time::hold_time;

/// The opening of HTTP/2: the preface, and empty settings.
pub(super) const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The frame header of the server's settings, without the length.
pub(super) const SETTINGS: &[u8] = b"\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0everyday";

/// The type of a GOAWAY frame.
const GOAWAY: u8 = 7;

/// A frame of type HEADERS with a GET of `path`, on stream 1.
pub(super) fn get(path: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("a short text");
    // The method GET and the scheme http are in HPACK's table, as are the names of the path and the authority.
    let mut head = vec![0x82, 0x86, 0x04, length(path)];
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(b"\x01\x01x");
    let size = u8::try_from(head.len()).expect("a short head");
    let end_of_stream_and_headers = 5;
    [
        &[0, 0, size, 1, end_of_stream_and_headers, 0, 0, 0, 1],
        &head[..],
    ]
    .concat()
}

/// A HEADERS frame on stream 3 that needs a CONTINUATION frame.
const HALF_A_HEAD: &[u8] = b"\0\0\x01\x01\x01\0\0\0\x03\x82";

/// Opens a connection with `opening`. Once the server has sent `awaited`, time passes, and `piece` is sent repeatedly
/// until the server ends the connection. Returns what the server sent.
async fn dribble(server: &Server, opening: &[u8], awaited: &[u8], piece: &[u8]) -> Vec<u8> {
    let mut stream = server.begin(opening).await;
    let mut said = read_to(&mut stream, awaited).await;
    let (reader, mut writer) = stream.into_split();
    let rest = rest_in_time(reader, async || {
        // The connection may have ended just now.
        let _ = writer.write_all(piece).await;
    });
    said.extend(rest.await.into_bytes());
    said
}

/// The types of the frames in `bytes`.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = &rest[length.min(rest.len())..];
    }
    kinds
}

/// A server with a short time limit for heads and a long time limit for idle connections.
async fn impatient() -> Server {
    server(Options {
        head_timeout: SOON,
        ..Options::default()
    })
    .await
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_whatever_else_it_sends() {
    let server = server(Options {
        idle_timeout: SOON,
        ..Options::default()
    })
    .await;
    let _time = hold_time();
    let said = dribble(&server, OPENING, SETTINGS, PING).await;
    assert!(kinds(&said).contains(&GOAWAY), "{said:?}");
    // A request only postpones the end of the connection.
    let said = dribble(&server, &[OPENING, &get("/")].concat(), b"here", PING).await;
    let (kinds, text) = (kinds(&said), String::from_utf8_lossy(&said));
    assert!(kinds.contains(&GOAWAY) && text.contains("here"), "{said:?}");
}

#[tokio::test]
async fn an_incomplete_http2_preface_times_out() {
    let server = impatient().await;
    let _time = hold_time();
    let settings_to_come = [&OPENING[..24], b"\0\x3f\x00\x04\0\0\0\0\0"].concat();
    dribble(&server, &settings_to_come, b"", b"\0").await;
    rest_while_silent(server.begin(&OPENING[..12]).await).await;
    rest_while_silent(server.begin(&OPENING[..24]).await).await;
}

#[tokio::test]
async fn an_incomplete_http2_head_times_out() {
    let server = impatient().await;
    let _time = hold_time();
    rest_while_silent(server.begin(&[OPENING, HALF_A_HEAD].concat()).await).await;
    let all_but_a_byte = [OPENING, &get("/")[..12]].concat();
    rest_while_silent(server.begin(&all_but_a_byte).await).await;
    // Other requests on the connection do not extend the time limit of the head.
    let beside_another = [OPENING, &get("/slow"), HALF_A_HEAD].concat();
    let stream = server.begin(&beside_another).await;
    server.reached.notified().await;
    rest_while_silent(stream).await;
}

#[tokio::test]
async fn a_preface_that_is_not_http2_is_timed_like_http1() {
    let server = impatient().await;
    let _time = hold_time();
    rest_while_silent(server.begin(b"PRI / HTTP/1.1\r\nHost: ").await).await;
    dribble(&server, b"PRI / HTTP/1.1\r\nX-Slow: ", b"", b"x").await;
}

#[tokio::test]
async fn an_http2_connection_with_a_request_in_progress_is_not_idle() {
    let server = server(Options {
        head_timeout: SOON,
        idle_timeout: SOON,
        ..Options::default()
    })
    .await;
    let _time = hold_time();
    let request = [OPENING, &get("/slow")].concat();
    server.wait_for_a_day(&request, b"done").await;
}

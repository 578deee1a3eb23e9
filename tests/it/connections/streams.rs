//! Limits on HTTP/2 connections.

use tier::server::Options;
use tokio::net::TcpStream;

use super::heads::{OPENING, SETTINGS, get};
use super::{Server, read_to, server};

/// The HTTP/2 setting for the number of concurrent streams.
const STREAMS: u16 = 3;
/// The HTTP/2 setting for the number of bytes of a body that may be sent before the server reads them.
const WINDOW: u16 = 4;
/// The HTTP/2 setting for the size of the largest head.
const HEADS: u16 = 6;

/// Opens a connection, and returns it with the settings that the server sends.
async fn open(server: &Server) -> (TcpStream, Vec<(u16, u32)>) {
    let mut stream = server.begin(OPENING).await;
    let mut said = read_to(&mut stream, SETTINGS).await;
    let length = usize::from(said[2]);
    while said.len() < 9 + length {
        said.extend(read_to(&mut stream, &[0]).await);
    }
    let settings = said[9..9 + length].chunks_exact(6);
    let settings = settings.map(|setting| {
        let (name, value) = setting.split_at(2);
        let name = u16::from_be_bytes(name.try_into().expect("two bytes"));
        (name, u32::from_be_bytes(value.try_into().expect("four")))
    });
    let settings = settings.collect();
    (stream, settings)
}

fn allowed(settings: &[(u16, u32)], name: u16) -> Option<u32> {
    let found = settings.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value)
}

#[tokio::test]
async fn a_connection_may_have_fewer_streams_if_there_are_many_connections() {
    let server = server(Options {
        connections: 16,
        connections_per_peer: Some(16),
        ..Options::default()
    })
    .await;
    let mut held = Vec::new();
    for number in 1..=4 {
        let (stream, settings) = open(&server).await;
        held.push(stream);
        // Another connection may hold a slot before it has sent a request.
        let is_one_of_few = number <= 2;
        let (streams, heads) = if is_one_of_few { (64, 64) } else { (8, 16) };
        assert_eq!(allowed(&settings, STREAMS), Some(streams), "{number}");
        assert_eq!(allowed(&settings, HEADS), Some(heads * 1024), "{number}");
        let window = allowed(&settings, WINDOW);
        assert!(window.is_none_or(|window| window == 65_535), "{window:?}");
    }
}

/// The unread bytes of bodies are limited for each connection, and a client may send no more than that.
#[tokio::test]
async fn a_connection_may_send_no_more_than_its_window_before_it_is_read() {
    let server = server(Options::default()).await;
    let opening = [OPENING, &get("/")].concat();
    let mut stream = server.begin(&opening).await;
    let said = read_to(&mut stream, b"here").await;
    let window_update_of_the_connection = b"\0\0\x04\x08\0\0\0\0\0";
    let more = said
        .windows(window_update_of_the_connection.len())
        .filter(|bytes| bytes == window_update_of_the_connection);
    assert_eq!(more.count(), 0, "{said:?}");
}

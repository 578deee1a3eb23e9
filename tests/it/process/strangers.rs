//! Callers with unknown keys are limited by their address.

use super::{exchange, start, status_of};
use crate::binary::Place;

/// How many unknown keys an address may try before it has to wait.
const REFUSED: usize = 60;

#[tokio::test]
async fn addresses_of_one_ipv6_network_count_as_one_caller() {
    let place = Place::offline();
    let flags = ["--cloud", "--trusted-proxy", "127.0.0.0/8"];
    let server = start(&place, &[&flags[..], &["--addr", "127.0.0.1:0"]].concat()).await;
    let try_a_key = async |number: usize, from: &str| {
        let request = format!(
            "GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer invented_{number}\r\n\
             X-Forwarded-For: {from}\r\nConnection: close\r\n\r\n"
        );
        status_of(&exchange(server.address(), &request).await)
    };
    for number in 0..REFUSED {
        let from = format!("2001:db8:0:1::{number:x}");
        assert_eq!(try_a_key(number, &from).await, 401, "{from}");
    }
    let next = try_a_key(REFUSED, "2001:db8:0:1:ffff:ffff:ffff:ffff").await;
    assert_eq!(next, 429, "a network belongs to one subscriber");
    let other = try_a_key(REFUSED + 1, "2001:db8:0:2::1").await;
    assert_eq!(other, 401, "another network belongs to another");
}

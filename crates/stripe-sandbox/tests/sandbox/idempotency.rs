//! Idempotency keys over HTTP.

use std::time::Duration;

use stripe_sandbox::{Action, Options, Rule};

use super::{Api, with_manual_clock};
use testing::time::until;

#[tokio::test]
async fn the_same_key_gives_the_same_answer() {
    let api = Api::start().await;
    let first = api.once("k").post("/v1/customers", "email=a@b.co").await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let first = first.ok();
    let again = api.once("k").post("/v1/customers", "email=a@b.co").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok(), first);
    assert_eq!(api.ids("/v1/customers").await.len(), 1);
    let error = api
        .once("k")
        .post("/v1/customers", "email=c@d.co")
        .await
        .error(400);
    assert_eq!(error["type"], "idempotency_error");
    let path = api
        .once("k")
        .post("/v1/products", "email=a@b.co")
        .await
        .error(400);
    assert_eq!(path["type"], "idempotency_error");
    // Each account has its own keys.
    let other = api
        .key("sk_test_two")
        .once("k")
        .post("/v1/customers", "email=c@d.co")
        .await;
    other.ok();
}

#[tokio::test]
async fn errors_of_execution_are_kept_and_those_of_validation_are_not() {
    let api = Api::start().await;
    api.once("v").post("/v1/products", "foo=1").await.error(400);
    api.once("v").post("/v1/products", "id=p&name=N").await.ok();
    let taken = api.once("e").post("/v1/products", "id=p&name=N").await;
    let first = taken.error(400);
    assert_eq!(first["code"], "resource_already_exists");
    let again = api.once("e").post("/v1/products", "id=p&name=N").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.error(400), first);
}

#[tokio::test]
async fn three_at_once_make_one_customer() {
    let api = Api::with(Options {
        latency: Some(Duration::from_millis(20)),
        ..with_manual_clock()
    })
    .await;
    let api = api.once("k");
    let call = || api.post("/v1/customers", "email=a@b.co");
    let (a, b, c) = tokio::join!(call(), call(), call());
    let replies = [a, b, c];
    let made: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert!(!made.is_empty());
    for reply in &replies {
        match reply.status.as_u16() {
            200 => assert_eq!(reply.body, made[0].body),
            409 => assert_eq!(reply.body["error"]["code"], "idempotency_key_in_use"),
            other => panic!("{other}: {}", reply.body),
        }
    }
    let fresh = replies
        .iter()
        .filter(|reply| reply.status == 200 && reply.header("idempotent-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    assert_eq!(api.ids("/v1/customers").await.len(), 1);
    // A request that was refused with 409 may be repeated, and then gets the answer.
    assert_eq!(call().await.ok()["id"], made[0].body["id"]);
}

#[tokio::test]
async fn a_call_whose_client_hangs_up_goes_on() {
    let api = Api::start().await;
    let delay = Action::Delay(Duration::from_secs(600));
    api.sandbox()
        .add_fault(Rule::new("POST", "/v1/customers", delay));
    let delayed = until("the call is under way", async || {
        (api.sandbox().fault_hits() == 1).then_some(())
    });
    tokio::select! {
        answer = api.once("k").request("POST", "/v1/customers").send() => panic!("{answer:?}"),
        () = delayed => {}
    }
    api.sandbox().clear_faults();
    let again = until("the call ends", async || {
        let again = api.once("k").post("/v1/customers", "").await;
        (again.status != 409).then_some(again)
    })
    .await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(api.ids("/v1/customers").await.len(), 1);
}

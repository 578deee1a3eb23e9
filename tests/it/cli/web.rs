//! Commands that call other servers: a tier server, a web server with a model, or the Model Builder.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::json as object;

use super::{PRICING, Place, Web, json};

#[tokio::test]
async fn commands_can_be_sent_to_a_server() {
    let place = Place::pushed().await;
    let server = place
        .tier(&["serve", "--addr", "127.0.0.1:0"])
        .started()
        .await;
    let url = server.url();
    let away = Place::offline();
    away.write("pricing.json", PRICING);
    let at = |args: &[&str]| {
        away.tier(args)
            .without("STRIPE_API_KEY")
            .env("TIER_BASE_URL", &url)
    };
    let pushed = at(&["push", "pricing.json"]).ok().await;
    assert!(
        pushed
            .lines()
            .all(|line| line.ends_with("[feature already exists]")),
        "{pushed}"
    );
    at(&["subscribe", "org:acme", "plan:free@1"]).ok().await;
    at(&["report", "org:acme", "feature:convert", "2"])
        .ok()
        .await;
    // The commands behave the same in process and over HTTP.
    for args in [
        &["limits", "org:acme"][..],
        &["phases", "org:acme"],
        &["whois", "org:acme"],
        &["ls"],
        &["pull"],
        &["diff", "pricing.json"],
        &["whoami"],
        &["fetch", "/v1/limits?org=org:acme"],
    ] {
        let there = at(args).ok().await;
        assert_eq!(place.tier(args).ok().await, there, "{args:?}");
        let flag = [args, &["--base-url", &url]].concat();
        assert_eq!(away.tier(&flag).ok().await, there, "{flag:?}");
    }
    for args in [
        &["limits", "org:none"][..],
        &["subscribe", "org:acme", "plan:fre@1"],
    ] {
        let there = at(args).fault().await;
        assert_eq!(place.tier(args).fault().await, there, "{args:?}");
    }
    let live = at(&["--live", "whoami"]).fault().await;
    assert!(
        live.contains("--live cannot be used with TIER_BASE_URL"),
        "{live}"
    );
}

#[tokio::test]
async fn a_push_to_a_server_cannot_switch_accounts() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let run = place.tier(&["push", "-c", "pricing.json"]);
    let fault = run.env("TIER_BASE_URL", "http://127.0.0.1:9").fault().await;
    assert!(
        fault.contains("-c cannot be used with TIER_BASE_URL"),
        "{fault}"
    );
    assert!(!place.path().join("tier.state").exists());
}

#[tokio::test]
async fn a_server_may_require_a_key() {
    let place = Place::start().await;
    let run = place.tier(&["serve", "--addr", "127.0.0.1:0"]);
    let server = run.env("TIER_API_KEY", "server-secret").started().await;
    let url = server.url();
    let fault = place.tier(&["whoami", "--base-url", &url]).fault().await;
    assert_eq!(
        fault,
        "tier: Unauthorized (unauthorized)\nput one of the server's keys into TIER_API_KEY\n"
    );
    let run = place
        .tier(&["whoami", "--base-url", &url])
        .env("TIER_API_KEY", "server-secret");
    run.ok().await;
}

#[tokio::test]
async fn an_unreachable_server_is_reported_as_such() {
    let place = Place::offline();
    let run = place.tier(&["ls", "--base-url", "http://me:secret@127.0.0.1:9"]);
    let fault = run.fault().await;
    assert!(
        fault.starts_with("tier: cannot reach the tier server at http://127.0.0.1:9/"),
        "{fault}"
    );
    assert!(fault.contains("tier serve"), "{fault}");
    for (url, expected) in [
        ("localhost:8080", "must begin with http://"),
        ("::", "is not a URL"),
    ] {
        let fault = place.tier(&["ls"]).env("TIER_BASE_URL", url).fault().await;
        assert!(fault.contains(expected), "{fault}");
    }
    // The server at the URL may be another program.
    let web = Web::start(Router::new()).await;
    let fault = place.tier(&["ls", "--base-url", web.url()]).fault().await;
    assert!(
        fault.starts_with("tier: the server answered HTTP 404\ncheck that"),
        "{fault}"
    );
}

#[tokio::test]
async fn fetch_prints_any_answer() {
    let place = Place::pushed().await;
    let who = place.tier(&["fetch", "/v1/whoami"]).ok().await;
    assert!(who.starts_with("{\n\t\"id\": \"acct_"), "{who}");
    let body = r#"{"org":"org:acme","phases":[{"features":["plan:free@1"]}]}"#;
    assert_eq!(
        place
            .tier(&["fetch", "-d", body, "/v1/subscribe"])
            .ok()
            .await,
        "{}"
    );
    place.write(
        "body.json",
        r#"{"org":"org:acme","feature":"feature:convert","n":1}"#,
    );
    assert_eq!(
        place
            .tier(&["fetch", "-d", "@body.json", "/v1/report"])
            .ok()
            .await,
        "{}"
    );
    let run = place.tier(&["fetch", "-d", "@-", "-X", "POST", "/v1/report"]);
    let run = run.stdin(r#"{"org":"org:acme","feature":"feature:convert","n":2}"#);
    assert_eq!(run.ok().await, "{}");
    let limits = place.tier(&["fetch", "/v1/limits?org=org:acme"]).ok().await;
    assert_eq!(json(&limits)["usage"][0]["used"], 3);
    let clock = [
        "fetch",
        "-H",
        "Tier-Clock: clock_none",
        "/v1/phase?org=org:acme",
    ];
    assert_eq!(place.tier(&clock).end().await.code, Some(1));

    for (args, code, status) in [
        (&["fetch", "/v1/nothing"][..], "not_found", 404),
        (
            &["fetch", "-X", "DELETE", "/v1/pull"],
            "method_not_allowed",
            405,
        ),
        (&["fetch", "/v1/limits?org=org:none"], "org_not_found", 400),
    ] {
        let ended = place.tier(args).end().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(json(&ended.stdout)["status"], status, "{ended:?}");
        assert!(
            ended.stderr.starts_with("tier: ") && ended.stderr.contains(&format!("({code})")),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn healthcheck_tells_by_its_exit_status() {
    let place = Place::start().await;
    let run = place.tier(&["serve", "--addr", "127.0.0.1:0"]);
    let server = run.env("TIER_API_KEY", "server-secret").started().await;
    let url = server.url();
    let addr = url.strip_prefix("http://").unwrap();
    // Commands use no proxy for this machine.
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let run = place.tier(&["healthcheck", "--addr", addr]);
        assert_eq!(run.env(proxy, "http://127.0.0.1:9").ok().await, "");
    }
    let port = addr.rsplit_once(':').unwrap().1;
    assert_eq!(
        place
            .tier(&["healthcheck", "-addr", &format!(":{port}")])
            .ok()
            .await,
        ""
    );
    let fault = place
        .tier(&["healthcheck", "--addr", "127.0.0.1:9"])
        .fault()
        .await;
    assert!(
        fault.starts_with("tier: no healthy server at 127.0.0.1:9"),
        "{fault}"
    );
    let ill = Router::new().route(
        "/healthz",
        get(|| async { StatusCode::SERVICE_UNAVAILABLE }),
    );
    let web = Web::start(ill).await;
    let addr = web.url().strip_prefix("http://").unwrap();
    let fault = place.tier(&["healthcheck", "--addr", addr]).fault().await;
    assert!(fault.contains("is not healthy: HTTP 503"), "{fault}");
}

#[tokio::test]
async fn healthcheck_asks_a_server_with_a_certificate_over_tls() {
    let place = Place::start().await;
    let made = rcgen::generate_simple_self_signed(["tier.example".to_owned()]).unwrap();
    place.write("cert.pem", &made.cert.pem());
    place.write("key.pem", &made.signing_key.serialize_pem());
    let server = place.tier(&[
        "serve",
        "--addr",
        "127.0.0.1:0",
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
    ]);
    let server = server.started().await;
    let url = server.url();
    let addr = url.split_once("://").unwrap().1;
    let check = ["healthcheck", "--addr", addr];
    place.tier(&[&check[..], &["--tls"]].concat()).ok().await;
    // In a container, the health check has the server's environment.
    let in_container = place.tier(&check).env("TIER_TLS_CERT", "cert.pem");
    in_container.ok().await;
    let plain = place.tier(&check).fault().await;
    assert!(plain.starts_with("tier: no healthy server at"), "{plain}");
}

#[tokio::test]
async fn a_model_can_be_read_from_a_url() {
    let place = Place::start().await;
    let router = Router::new().route(
        "/pricing.json",
        get(|headers: HeaderMap| async move {
            assert_eq!(headers["accept"], "application/json");
            PRICING
        }),
    );
    let web = Web::start(router).await;
    let url = format!("{}/pricing.json?token=secret", web.url());
    let pushed = place.tier(&["push", &url]).ok().await;
    assert_eq!(pushed.lines().count(), 3);
    let valid = place.tier(&["validate", &url]).ok().await;
    assert_eq!(
        valid,
        format!("{}/pricing.json is valid: 2 plans, 3 features\n", web.url())
    );
    let fault = place
        .tier(&["push", &format!("{}/none.json?token=secret", web.url())])
        .fault()
        .await;
    assert_eq!(
        fault,
        format!(
            "tier: cannot read {}/none.json: HTTP 404 Not Found\n",
            web.url()
        )
    );
}

#[tokio::test]
async fn share_prints_the_link() {
    let place = Place::offline();
    place.write("pricing.json", PRICING);
    let router = Router::new()
        .route(
            "/models/upload",
            post(|headers: HeaderMap, body: String| async move {
                assert!(!headers.contains_key("authorization"));
                assert_eq!(headers["content-type"], "application/json");
                assert_eq!(headers["accept"], "application/json");
                assert_eq!(body, PRICING, "as it is");
                let origin = headers.get("tier-origin").map(|url| url.to_str().unwrap());
                let link = format!(
                    "https://example.com/m/1?from={}",
                    origin.unwrap_or_default()
                );
                axum::Json(object!({ "url": link }))
            }),
        )
        .route("/pricing.json", get(|| async { PRICING }))
        .route("/empty/upload", post(|| async {}))
        .route(
            "/broken/upload",
            post(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route(
            "/full/upload",
            post(|| async {
                (
                    StatusCode::INSUFFICIENT_STORAGE,
                    axum::Json(object!({ "message": "no room" })),
                )
            }),
        );
    let web = Web::start(router).await;
    let at = |path: &str, args: &[&str]| {
        place
            .tier(args)
            .without("STRIPE_API_KEY")
            .env("TIER_MODEL_URL", &format!("{}{path}", web.url()))
    };
    let link = at("/models", &["share", "pricing.json"]).ok().await;
    assert_eq!(link, "https://example.com/m/1?from=\n");
    let source = format!("{}/pricing.json", web.url());
    let url = format!("{source}?token=secret");
    let link = at("/models", &["share", &url]).ok().await;
    assert_eq!(link, format!("https://example.com/m/1?from={source}\n"));
    // The flag takes precedence over the variable.
    let flag = [
        "share",
        "pricing.json",
        "--base-url",
        &format!("{}/models/", web.url()),
    ];
    let link = at("/none", &flag).ok().await;
    assert_eq!(link, "https://example.com/m/1?from=\n");
    let machine = at("/models", &["share", "--json", "-"])
        .stdin(PRICING)
        .ok()
        .await;
    assert_eq!(json(&machine)["url"], "https://example.com/m/1?from=");
    for (path, expected) in [
        ("/empty", "its answer has no link"),
        ("/broken", "HTTP 500"),
        ("/full", "error from server: no room"),
    ] {
        let fault = at(path, &["share", "pricing.json"]).fault().await;
        assert!(
            fault.contains("cannot share the model at") && fault.contains(expected),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_model_is_sent_only_to_a_named_server() {
    let place = Place::offline();
    place.write("pricing.json", PRICING);
    let said = place.tier(&["share", "pricing.json"]).misused().await;
    assert!(
        said.contains("--base-url") && said.contains("TIER_MODEL_URL"),
        "{said}"
    );
    assert!(said.contains("tier serve"), "{said}");
}

#[tokio::test]
async fn a_server_that_accepts_no_models_is_reported_as_such() {
    let place = Place::offline();
    place.write("pricing.json", PRICING);
    let web = Web::start(Router::new()).await;
    let share = ["share", "--base-url", web.url(), "pricing.json"];
    assert_eq!(
        place.tier(&share).fault().await,
        format!(
            "tier: cannot share the model at {}/upload: HTTP 404 Not Found\n\
             check that a tier server is there, of this version or a later one\n",
            web.url()
        )
    );
}

#[tokio::test]
async fn a_shared_model_is_pushed_from_its_link() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let server = place
        .tier(&["serve", "--addr", "127.0.0.1:0"])
        .started()
        .await;
    let share = ["share", "--base-url", &server.url(), "pricing.json"];
    let link = place.tier(&share).ok().await;
    assert!(link.starts_with(&format!("{}/m/", server.url())), "{link}");
    let pushed = place.tier(&["push", link.trim()]).ok().await;
    assert_eq!(pushed.lines().count(), 3, "{pushed}");
    let gone = place.tier(&["push", "https://model.tier.run/edit/clx"]);
    let gone = gone.fault().await;
    assert!(gone.starts_with("tier: model.tier.run is gone"), "{gone}");
}

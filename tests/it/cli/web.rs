//! Commands that talk to others: a tier server, a web server with a model, Stripe's dashboard, the Model Builder.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::json as object;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{PRICING, Place, json};

/// A web server of the test's own, until it is dropped.
struct Web {
    url: String,
    _server: JoinSet<()>,
}

impl Web {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        Self::on(listener, |_| router)
    }

    /// A server whose answers have its own address in them.
    fn on(listener: TcpListener, router: impl FnOnce(&str) -> Router) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = router(&url);
        let mut server = JoinSet::new();
        let forever = CancellationToken::new().cancelled_owned();
        server.spawn(tier::server::serve(listener, router, forever));
        Self {
            url,
            _server: server,
        }
    }
}

/// `tier serve` over the Stripe of `place`, and its URL.
async fn serve(place: &Place, key: Option<&str>) -> (Child, String) {
    let mut run = place.tier(&["serve", "--addr", "127.0.0.1:0"]);
    if let Some(key) = key {
        run = run.env("TIER_API_KEY", key);
    }
    run.command.stderr(Stdio::null());
    let mut child = run.command.spawn().expect("the binary starts");
    let stdout = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next_line().await.expect("it prints").expect("a line");
    let address = line.strip_prefix("listening on ").expect("its address");
    let url = format!("http://{address}");
    (child, url)
}

#[tokio::test]
async fn commands_can_be_sent_to_a_server() {
    let place = Place::pushed().await;
    let (_server, url) = serve(&place, None).await;
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
    // One behaviour, here and there.
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
async fn a_server_may_want_a_key() {
    let place = Place::start().await;
    let (_server, url) = serve(&place, Some("server-secret")).await;
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
async fn a_server_that_is_not_there_is_told_as_such() {
    let place = Place::offline();
    let run = place.tier(&["ls", "--base-url", "http://me:secret@127.0.0.1:9"]);
    let fault = run.fault().await;
    assert!(
        fault.starts_with("tier: cannot reach the tier server at http://127.0.0.1:9/"),
        "{fault}"
    );
    assert!(fault.contains("tier serve"), "{fault}");
    for (url, expected) in [
        ("localhost:8080", "has to begin with http://"),
        ("::", "is not a URL"),
    ] {
        let fault = place.tier(&["ls"]).env("TIER_BASE_URL", url).fault().await;
        assert!(fault.contains(expected), "{fault}");
    }
    // Not every server is one of ours.
    let web = Web::start(Router::new()).await;
    let fault = place.tier(&["ls", "--base-url", &web.url]).fault().await;
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
    let (_server, url) = serve(&place, Some("server-secret")).await;
    let addr = url.strip_prefix("http://").unwrap();
    assert_eq!(place.tier(&["healthcheck", "--addr", addr]).ok().await, "");
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
    let addr = web.url.strip_prefix("http://").unwrap();
    let fault = place.tier(&["healthcheck", "--addr", addr]).fault().await;
    assert!(fault.contains("is not healthy: HTTP 503"), "{fault}");
}

#[tokio::test]
async fn a_model_can_be_on_the_web() {
    let place = Place::start().await;
    let router = Router::new().route(
        "/pricing.json",
        get(|headers: HeaderMap| async move {
            assert_eq!(headers["accept"], "application/json");
            PRICING
        }),
    );
    let web = Web::start(router).await;
    let url = format!("{}/pricing.json?token=secret", web.url);
    let pushed = place.tier(&["push", &url]).ok().await;
    assert_eq!(pushed.lines().count(), 3);
    let valid = place.tier(&["validate", &url]).ok().await;
    assert_eq!(
        valid,
        format!("{}/pricing.json is valid: 2 plans, 3 features\n", web.url)
    );
    let fault = place
        .tier(&["push", &format!("{}/none.json?token=secret", web.url)])
        .fault()
        .await;
    assert_eq!(
        fault,
        format!(
            "tier: cannot read {}/none.json: HTTP 404 Not Found\n",
            web.url
        )
    );
}

#[tokio::test]
async fn share_prints_the_link() {
    let place = Place::offline();
    place.write("pricing.json", PRICING);
    let router = Router::new()
        .route(
            "/models",
            post(|headers: HeaderMap, body: String| async move {
                assert!(!headers.contains_key("authorization"));
                assert_eq!(json(&body)["plans"]["plan:pro@1"]["title"], "Pro");
                axum::Json(object!({ "url": "https://example.com/m/1" }))
            }),
        )
        .route("/empty", post(|| async {}))
        .route(
            "/broken",
            post(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        );
    let web = Web::start(router).await;
    let at = |path: &str, args: &[&str]| {
        place
            .tier(args)
            .without("STRIPE_API_KEY")
            .env("TIER_MODEL_URL", &format!("{}{path}", web.url))
    };
    let link = at("/models", &["share", "pricing.json"]).ok().await;
    assert_eq!(link, "https://example.com/m/1\n");
    let machine = at("/models", &["share", "--json", "-"])
        .stdin(PRICING)
        .ok()
        .await;
    assert_eq!(json(&machine)["url"], "https://example.com/m/1");
    for (path, expected) in [
        ("/empty", "its answer has no link"),
        ("/broken", "HTTP 500"),
    ] {
        let fault = at(path, &["share", "pricing.json"]).fault().await;
        assert!(
            fault.contains("cannot share the model at") && fault.contains(expected),
            "{fault}"
        );
    }
}

/// A dashboard that lets the person in at the third time of asking.
async fn dashboard() -> Web {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    Web::on(listener, |url| {
        let poll_url = format!("{url}/poll");
        let auth = post(move |body: String| async move {
            assert!(body.starts_with("device_name="), "{body}");
            axum::Json(object!({
                "browser_url": "https://dashboard.example/confirm?t=1",
                "poll_url": poll_url,
                "verification_code": "excels-win-bright",
            }))
        });
        let poll = get(|State(asked): State<Arc<AtomicUsize>>| async move {
            axum::Json(match asked.fetch_add(1, Ordering::SeqCst) {
                0 => object!({ "redeemed": false }),
                _ => object!({
                    "redeemed": true,
                    "account_id": "acct_1",
                    "account_display_name": "Acme",
                    "livemode_key_secret": "rk_live_secret",
                    "livemode_key_publishable": "pk_live_1",
                    "testmode_key_secret": "rk_test_secret",
                    "testmode_key_publishable": "pk_test_1",
                }),
            })
        });
        Router::new()
            .route("/stripecli/auth", auth)
            .route("/poll", poll)
            .with_state(Arc::default())
    })
}

#[tokio::test]
async fn connect_saves_the_keys() {
    let place = Place::start().await;
    let web = dashboard().await;
    let run = place.tier(&["connect"]).without("STRIPE_API_KEY");
    let said = run.env("TIER_DASHBOARD_URL", &web.url).ok().await;
    assert_eq!(
        said,
        "1. Open https://dashboard.example/confirm?t=1 in your browser.\n\
         2. Check that it shows the code: excels-win-bright\n\
         3. Allow access; tier waits here.\n\
         Connected to Acme (acct_1).\n"
    );
    let path = place.path().join(".config/tier/config.json");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let profile = &json(&place.read(".config/tier/config.json"))["profiles"]["tier"];
    assert_eq!(profile["testmode_key_secret"], "rk_test_secret");
    assert_eq!(profile["redeemed"], true);
    // And they are used.
    let who = place
        .tier(&["whoami", "--json"])
        .without("STRIPE_API_KEY")
        .ok()
        .await;
    assert_eq!(json(&who)["key_source"], path.display().to_string());

    let again = place
        .tier(&["connect", "--json"])
        .env("TIER_DASHBOARD_URL", &web.url)
        .end()
        .await;
    assert_eq!(json(&again.stdout)["account_id"], "acct_1", "{again:?}");
    assert!(again.stderr.contains("excels-win-bright"), "{again:?}");
}

#[tokio::test]
async fn connect_does_not_lose_what_it_cannot_read() {
    let place = Place::offline();
    let web = dashboard().await;
    place.write(".config/tier/config.json", "{ broken");
    let fault = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", &web.url)
        .fault()
        .await;
    assert!(
        fault.contains("config.json is not valid JSON (line 1, column"),
        "{fault}"
    );
    assert_eq!(place.read(".config/tier/config.json"), "{ broken");
}

#[tokio::test]
async fn connect_tells_what_the_dashboard_did_not_do() {
    let place = Place::offline();
    let web = Web::start(Router::new()).await;
    let fault = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", &web.url)
        .fault()
        .await;
    assert!(
        fault.contains("cannot ask Stripe's dashboard for access: HTTP 404"),
        "{fault}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = Web::on(listener, |url| {
        let links = object!({
            "browser_url": "https://dashboard.example/", "poll_url": format!("{url}/poll"), "verification_code": "a",
        });
        Router::new()
            .route("/stripecli/auth", post(|| async move { axum::Json(links) }))
            .route(
                "/poll",
                get(|| async { (StatusCode::FORBIDDEN, "rk_test_secret") }),
            )
    });
    let ended = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", &web.url)
        .end()
        .await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("did not grant access: HTTP 403"),
        "{ended:?}"
    );
    assert!(!place.path().join(".config").exists());
}

//! The actions of the viewer's buttons. They are plain forms, so scripts can send them, too.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::html;

use crate::engine;
use crate::error::{Error, Result};
use crate::money::period::{BillingInterval, IntervalUnit};
use crate::pages::{layout, owner, redirect};
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::test_clock::{self, MAX_WITHOUT_SUBSCRIPTIONS};
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::accounts::LockedAccount;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// `POST /_sandbox/advance`: advances a `test_clock`, or the clock of a `customer`, `by` a `day` or a `month`.
pub(crate) async fn advance(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let read = || {
        let form = form(&body)?;
        let params = Params::new(&form);
        let by = params.one_of("by", &["day", "month"])?;
        let unit = match by.ok_or_else(|| params.missing("by"))? {
            "day" => IntervalUnit::Day,
            _ => IntervalUnit::Month,
        };
        let object = match (params.string("customer")?, params.string("test_clock")?) {
            (Some(customer), None) => ActedOn::Customer(customer.to_owned()),
            (None, Some(clock)) => ActedOn::Clock(clock.to_owned()),
            _ => {
                return Err(Error::malformed(
                    "customer",
                    "Give `customer` or `test_clock`.",
                ));
            }
        };
        params.finish()?;
        Ok((object, BillingInterval { unit, count: 1 }))
    };
    match read() {
        Ok((object, interval)) => {
            let work = move |ctx: &mut Ctx<'_>, object: &ActedOn| pass_time(ctx, object, interval);
            act(sandbox, &headers, object, work).await
        }
        Err(error) => refused(&error),
    }
}

/// `POST /_sandbox/next_payment`: sets the `outcome` of a `customer`'s next payment: `fails` or `succeeds`.
pub(crate) async fn next_payment(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let read = || {
        let form = form(&body)?;
        let params = Params::new(&form);
        let customer = params.required("customer")?.to_owned();
        let outcome = params.one_of("outcome", &["fails", "succeeds"])?;
        let outcome = outcome.ok_or_else(|| params.missing("outcome"))?;
        params.finish()?;
        Ok((ActedOn::Customer(customer), outcome == "fails"))
    };
    match read() {
        Ok((object, fails)) => {
            let work = move |ctx: &mut Ctx<'_>, object: &ActedOn| {
                if let Some(customer) = ctx.account.customers.get_mut(object.id()) {
                    customer.set_next_payment_fails(fails);
                }
                Ok(())
            };
            act(sandbox, &headers, object, work).await
        }
        Err(error) => refused(&error),
    }
}

/// The object that a button acts on.
#[derive(Debug)]
enum ActedOn {
    Customer(String),
    Clock(String),
}

impl ActedOn {
    fn id(&self) -> &str {
        let (Self::Customer(id) | Self::Clock(id)) = self;
        id
    }

    fn is_in(&self, account: &Account) -> bool {
        match self {
            Self::Customer(id) => account.customers.get(id).is_some(),
            Self::Clock(id) => account.clocks.contains(id),
        }
    }

    fn page(&self, account: &Id) -> String {
        match self {
            Self::Customer(id) => format!("/{account}/customers/{id}"),
            Self::Clock(id) => format!("/{account}/test-clocks/{id}"),
        }
    }
}

fn form(body: &[u8]) -> Result<Form> {
    let mut form = Form::default();
    form.read(body)?;
    Ok(form)
}

/// Runs `work` on the account that has the object, and redirects to the object's page. Like an API call, the work
/// continues if the client hangs up.
async fn act(
    sandbox: Sandbox,
    headers: &HeaderMap,
    object: ActedOn,
    work: impl FnOnce(&mut Ctx<'_>, &ActedOn) -> Result<()> + Send + 'static,
) -> Response {
    let Some(account) = owner(&sandbox, |account| object.is_in(account)).await else {
        let what = match object {
            ActedOn::Customer(_) => "customer",
            ActedOn::Clock(_) => "test clock",
        };
        return super::unknown(what, object.id());
    };
    let settings = sandbox.call_settings(headers);
    let page = object.page(&account.id);
    let tasks = sandbox.0.tasks.clone();
    let task = tasks.spawn(async move {
        let _turn = account.turn().await;
        let at_work: Arc<LockedAccount> = account.clone();
        // This thread must stay free for calls to other accounts.
        let work =
            move || sandbox.in_turn(&at_work, Vec::new(), settings, |ctx| work(ctx, &object));
        tokio::task::spawn_blocking(work).await
    });
    match task.await {
        Ok(Ok(Ok(()))) => redirect(&page),
        Ok(Ok(Err(error))) => refused(&error),
        Ok(Err(error)) | Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Advances the clock, in steps within Stripe's limit of two intervals.
fn pass_time(ctx: &mut Ctx<'_>, object: &ActedOn, interval: BillingInterval) -> Result<()> {
    let clock = match object {
        ActedOn::Clock(id) => Some(id.as_str()),
        ActedOn::Customer(id) => {
            let customer = ctx.account.customers.get(id);
            customer.and_then(|customer| customer.test_clock.as_deref())
        }
    };
    let clock = clock.and_then(|id| ctx.account.clocks.get(id));
    let Some(clock) = clock else {
        return Err(Error::invalid(
            "This customer is not on a test clock: its time is that of the sandbox, which only passes by itself.",
        ));
    };
    let (id, mut at) = (clock.id.clone(), clock.frozen_time);
    let end = interval.boundary(at, 1);
    while at < end {
        let farthest =
            engine::two_intervals(ctx, &id, at).unwrap_or(at + MAX_WITHOUT_SUBSCRIPTIONS);
        at = end.min(farthest);
        test_clock::routes::advance_to(ctx, &id, at)?;
    }
    Ok(())
}

fn refused(error: &Error) -> Response {
    let body = html! {
        h1 { "That does not work" }
        p class="error" role="alert" { (error.message) }
        p { a href="/" { "To the overview" } }
    };
    layout::viewer(StatusCode::CONFLICT, "That does not work", &body)
}

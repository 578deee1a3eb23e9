//! `tier subscribe`: changes an org's plan, or its details.

use chrono::{SecondsFormat, TimeDelta};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::confirm::Confirmation;
use super::error::{CliError, usage};
use super::{Context, output, suggest};
use clock::Clock;

/// Arguments of `tier subscribe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a plan, only the customer's details are written. An org that does not exist yet is created.

Examples:
  tier subscribe org:acme plan:free@1
  tier subscribe --email ops@acme.com org:acme
  tier subscribe --trial 14 org:acme plan:pro@1     two weeks free, then plan:pro@1
  tier subscribe org:acme plan:pro@1 feature:support@plan:extra@1
  tier subscribe --checkout https://example.com/thanks org:acme plan:pro@1
  tier subscribe --checkout https://example.com/thanks --link org:acme plan:pro@1     a link to send by mail
  tier subscribe --cancel org:acme")]
pub(super) struct Subscribe {
    /// E-mail address of the org
    #[arg(long)]
    email: Option<String>,

    /// Days of a free trial before the plan is paid for; less than 0: a trial without end
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true,
        conflicts_with = "cancel"
    )]
    trial: i64,

    /// End the subscription at once
    #[arg(long)]
    cancel: bool,

    /// Print the URL of a checkout page for the org's browser, which goes to this URL afterwards
    #[arg(long, value_name = "URL", conflicts_with_all = ["cancel", "paymentmethod"])]
    checkout: Option<String>,

    /// Where the browser goes if the customer cancels, with --checkout
    #[arg(
        long = "cancel_url",
        alias = "cancel-url",
        value_name = "URL",
        requires = "checkout"
    )]
    cancel_url: Option<String>,

    /// Ask for an address, with --checkout
    #[arg(
        long = "require_billing_address",
        alias = "require-billing-address",
        requires = "checkout"
    )]
    require_billing_address: bool,

    /// Print a link that opens a new checkout page at each visit, with --checkout. It can be sent by mail, since it
    /// lasts longer than a page, which ends after a day. The server needs `TIER_LINK_SECRET`
    #[arg(long, requires = "checkout")]
    link: bool,

    /// After how many days the link ends
    #[arg(long = "link-days", value_name = "DAYS", requires = "link", value_parser = clap::value_parser!(u16).range(1..=366))]
    link_days: Option<u16>,

    /// The payment method of future invoices
    #[arg(long, alias = "payment-method", value_name = "pm_…")]
    paymentmethod: Option<String>,

    /// Let Stripe compute tax
    #[arg(long, value_name = "auto")]
    tax: Option<String>,

    /// The org, as org:NAME
    org: String,

    /// Plans, and single features of plans
    #[arg(value_name = "PLAN|FEATURE")]
    features: Vec<String>,

    #[command(flatten)]
    confirmation: Confirmation,
}

/// Subscribes, cancels, updates the customer, or opens a checkout page.
pub(super) async fn run(context: &Context, arguments: &Subscribe) -> anyhow::Result<()> {
    arguments.check()?;
    let client = context.client().await?;
    if arguments.cancel {
        let question = format!("End the subscription of {} in live mode?", arguments.org);
        arguments.confirmation.ask(client.is_live(), &question)?;
    }
    let done = match &arguments.checkout {
        Some(success_url) => checkout(context, &client, arguments, success_url).await,
        None => subscribe(context, &client, arguments).await,
    };
    match done {
        Ok(()) => Ok(()),
        Err(error) => Err(suggest::for_references(&client, &arguments.features, error).await),
    }
}

impl Subscribe {
    fn check(&self) -> anyhow::Result<()> {
        if let Some(tax) = self.tax.as_deref().filter(|tax| *tax != "auto") {
            let fault = CliError::new(format!("invalid tax rate {tax:?}"));
            return Err(fault.advise("the only one is auto").wrong_usage().into());
        }
        if self.cancel && !self.features.is_empty() {
            return Err(usage("subscribe", "--cancel takes no plans or features"));
        }
        if self.trial != 0 && self.features.is_empty() {
            return Err(usage("subscribe", "--trial needs a plan or feature to try"));
        }
        if self.trial < 0 && self.checkout.is_some() {
            return Err(usage("subscribe", "--checkout takes no trial without end"));
        }
        Ok(())
    }

    /// The phases of the request. Empty leaves the subscription as it is.
    fn phases(&self) -> anyhow::Result<Vec<Value>> {
        let features = &self.features;
        if features.is_empty() {
            return Ok(if self.cancel {
                vec![json!({})]
            } else {
                Vec::new()
            });
        }
        if self.trial == 0 {
            return Ok(vec![json!({ "features": features })]);
        }
        let trial = json!({ "trial": true, "features": features });
        if self.trial < 0 {
            return Ok(vec![trial]);
        }
        let end = TimeDelta::try_days(self.trial)
            .and_then(|length| Clock::system().now().checked_add_signed(length))
            .ok_or_else(|| usage("subscribe", "--trial is too long"))?;
        let end = end.to_rfc3339_opts(SecondsFormat::Secs, true);
        Ok(vec![
            trial,
            json!({ "effective": end, "features": features }),
        ])
    }

    /// The message for people after a success.
    fn done(&self) -> String {
        let org = &self.org;
        match (self.cancel, self.features.as_slice(), self.trial) {
            (true, ..) => format!("{org} has no subscription any more"),
            (false, [], _) => format!("{org} is written to Stripe"),
            (false, features, 0) => format!("{org} is subscribed to {}", features.join(" ")),
            (false, features, _) => format!("{org} is on trial of {}", features.join(" ")),
        }
    }

    fn tax(&self) -> Option<Value> {
        self.tax.as_ref().map(|_| json!({ "automatic": true }))
    }

    fn info(&self) -> Value {
        json!({ "email": self.email.as_deref().unwrap_or_default() })
    }
}

async fn subscribe(
    context: &Context,
    client: &Client,
    arguments: &Subscribe,
) -> anyhow::Result<()> {
    let phases = arguments.phases()?;
    let mut body = Map::from_iter([("org".to_owned(), json!(arguments.org))]);
    if arguments.email.is_some() || phases.is_empty() {
        body.insert("info".to_owned(), arguments.info());
    }
    if !phases.is_empty() {
        body.insert("phases".to_owned(), phases.into());
    }
    if let Some(method) = &arguments.paymentmethod {
        body.insert("payment_method_id".to_owned(), json!(method));
    }
    if let Some(tax) = arguments.tax() {
        body.insert("tax".to_owned(), tax);
    }
    let request = client.post("/v1/subscribe", &body);
    let answer = output::with_spinner("subscribing", request).await?;
    context.print_done(&answer, arguments.done())
}

async fn checkout(
    context: &Context,
    client: &Client,
    arguments: &Subscribe,
    success_url: &str,
) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Page {
        url: String,
    }
    if arguments.link && !client.is_remote() {
        let fault =
            CliError::new("--link needs a server, which opens the link: name it in TIER_BASE_URL");
        return Err(fault.wrong_usage().into());
    }
    if arguments.email.is_some() {
        let body = json!({ "org": arguments.org, "info": arguments.info() });
        client.post("/v1/subscribe", &body).await?;
    }
    let mut body = json!({
        "org": arguments.org,
        "success_url": success_url,
        "features": arguments.features,
        "trial_days": arguments.trial,
        "require_billing_address": arguments.require_billing_address,
    });
    if let Some(cancel_url) = &arguments.cancel_url {
        body["cancel_url"] = json!(cancel_url);
    }
    if let Some(tax) = arguments.tax() {
        body["tax"] = tax;
    }
    if arguments.link {
        body["link"] = true.into();
    }
    if let Some(days) = arguments.link_days {
        body["link_days"] = days.into();
    }
    let answer = client.post("/v1/checkout", &body).await?;
    if context.global.json {
        return output::bytes(&answer.body);
    }
    output::line(answer.decode::<Page>()?.url)
}

//! `/console`: what an org has, uses and pays.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::IntoResponse;

use crate::api::error::Error;
use crate::api::extract::{Org, parameter};
use crate::api::layers::RequestContext;
use crate::api::operation::{Access, Operation};
use crate::api::{Role, Shared};
use crate::domain::pricing::Model;
use crate::domain::refs::PlanName;
use crate::domain::{
    self, ClockState, Domain, Exchange, InvoicesQuery, Lane, Migrate, MigrateAt, OrgSearch,
    PricedPlan,
};
use crate::web::{self, Change, Fragment, OrgView, OrgsView};

/// How many orgs or invoices are shown at a time.
const PAGE_SIZE: usize = 50;

pub(super) fn operations() -> [Operation; 5] {
    let orgs_access = Access::Account(Lane::Bulk, Role::Read);
    let access = |role| Access::Account(Lane::Interactive, role);
    [
        Operation::get("console", "/console", Access::Everybody, console),
        Operation::get("consoleOrgs", "/console/orgs", orgs_access, orgs),
        Operation::get("consoleOrg", "/console/org", access(Role::Read), org),
        Operation::get(
            "consoleInvoices",
            "/console/invoices",
            access(Role::Admin),
            older_invoices,
        ),
        Operation::get(
            "consoleChange",
            "/console/change",
            access(Role::Admin),
            change,
        ),
    ]
}

async fn console(State(app): State<Shared>) -> impl IntoResponse {
    web::console(app.accounts.is_live())
}

impl FromRequestParts<Shared> for OrgSearch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let text = parameter(parts, "text").unwrap_or_default();
        Ok(Self {
            text: text.trim().to_owned(),
            limit: PAGE_SIZE,
            after: parameter(parts, "after").map(Cow::into_owned),
        })
    }
}

/// The test clock that the request names.
async fn clock(domain: &Domain) -> domain::Result<Option<ClockState>> {
    match domain.test_clock_id() {
        Some(id) => domain.clock(id).await.map(Some),
        None => Ok(None),
    }
}

async fn orgs(
    State(app): State<Shared>,
    domain: Domain,
    search: OrgSearch,
) -> Result<Fragment, Error> {
    let (clock, found) = tokio::try_join!(clock(&domain), domain.find_orgs(&search))?;
    Ok(web::orgs(&OrgsView {
        text: &search.text,
        clock: clock.as_ref(),
        has_clocks: !app.accounts.is_live(),
        is_first: search.after.is_none(),
        found: &found,
    }))
}

async fn org(
    State(app): State<Shared>,
    domain: Domain,
    context: RequestContext,
    Org(org): Org,
) -> Result<Fragment, Error> {
    let (phases, usage, clock) =
        tokio::try_join!(domain.phases(&org), domain.limits(&org), clock(&domain))?;
    let may_change = context
        .caller()
        .is_some_and(|caller| caller.has(Role::Admin));
    let details = if may_change {
        let query = InvoicesQuery {
            limit: PAGE_SIZE,
            after: None,
            upcoming: true,
        };
        let invoices = domain.invoices(&org, &query);
        let account = domain.lookup_org_account(&org);
        let (invoices, account, model) =
            tokio::try_join!(invoices, account, app.recent_model(&domain))?;
        Some((invoices, account, plans(&model)))
    } else {
        None
    };
    let (invoices, account, plans) = match &details {
        Some((invoices, account, plans)) => (Some(invoices), Some(account), Some(&plans[..])),
        None => (None, None, None),
    };
    Ok(web::org(&OrgView {
        org: &org,
        clock: clock.as_ref(),
        url: account.and_then(|account| account.url.as_deref()),
        phases: &phases,
        usage: &usage.value,
        invoices,
        plans,
    }))
}

/// The plans that are on sale, in words.
fn plans(model: &Model) -> Vec<PricedPlan> {
    let plans = model.plans.iter();
    plans.map(|(id, plan)| PricedPlan::of(id, plan)).collect()
}

/// The last invoice that is shown already.
struct After(String);

impl FromRequestParts<Shared> for After {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let after = parameter(parts, "after").filter(|after| !after.is_empty());
        let after = after.ok_or_else(|| Error::invalid("after must be the id of an invoice"))?;
        Ok(Self(after.into_owned()))
    }
}

async fn older_invoices(
    domain: Domain,
    Org(org): Org,
    After(after): After,
) -> Result<Fragment, Error> {
    let query = InvoicesQuery {
        limit: PAGE_SIZE,
        after: Some(after),
        upcoming: false,
    };
    let invoices = domain.invoices(&org, &query).await?;
    Ok(web::older_invoices(&org, &invoices))
}

/// The plan to change to, and when.
struct Parameters {
    plan: PlanName,
    at: MigrateAt,
}

impl FromRequestParts<Shared> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let plan = parameter(parts, "plan").unwrap_or_default();
        let at = match parameter(parts, "at").as_deref() {
            None | Some("now") => MigrateAt::Now,
            Some("period_end") => MigrateAt::PeriodEnd,
            Some(other) => {
                let message = format!("at must be now or period_end, not {other:?}");
                return Err(Error::invalid(message));
            }
        };
        Ok(Self {
            plan: plan.parse().map_err(domain::Error::from)?,
            at,
        })
    }
}

async fn change(domain: Domain, Org(org): Org, parameters: Parameters) -> Result<Fragment, Error> {
    let Parameters { plan, at } = parameters;
    let (phases, model) = tokio::try_join!(domain.phases(&org), domain.pull())?;
    let to = model.plans.get(&plan);
    let to = to.ok_or_else(|| domain::Error::FeatureOrPlanNotFound(plan.to_string()))?;
    let to = &PricedPlan::of(&plan, to);
    let current_phase = phases
        .current_index
        .and_then(|index| phases.phases.get(index));
    let has_features = current_phase.filter(|phase| !phase.features.is_empty());
    let Some(phase) = has_features else {
        return Ok(web::planned_change(&org, to, &Change::Start));
    };
    let ([from], []) = (&phase.plans[..], &phase.fragments[..]) else {
        return Err(Error::invalid(
            "it has more than one plan, or single features of plans: change it with `tier subscribe`",
        ));
    };
    let request = Migrate {
        exchange: Exchange::Plan {
            from: from.clone(),
            to: plan,
        },
        at,
        orgs: Some([org.clone()].into()),
    };
    let planned = domain.plan_migration(&request, 1, None).await?;
    let change = Change::Move {
        from,
        at_period_end: at == MigrateAt::PeriodEnd,
        planned: &planned,
    };
    Ok(web::planned_change(&org, to, &change))
}

//! The products and prices of a case, and the form parameters for them.

use super::super::super::World;
use super::case::{Coupon, Formula, METERED, METERS, Mode, SEAT};
use crate::meters::meter;

/// The ids of the prices.
pub(super) struct Catalogue {
    mode: Mode,
    seat: String,
    pub(super) metered: Vec<String>,
}

impl Catalogue {
    pub(super) async fn create(world: &World, mode: Mode) -> Self {
        let seat = world.price(&format!("unit_amount={SEAT}")).await;
        let mut usage = Vec::new();
        for (name, formula) in METERS {
            usage.push(usage_form(world, mode, name, formula).await);
        }
        let mut metered = Vec::new();
        for price in &METERED {
            let form = format!("{}&{}", usage[price.meter], price.form);
            metered.push(world.metered(&form).await);
        }
        Self {
            mode,
            seat,
            metered,
        }
    }

    /// The parameter of a new subscription or schedule.
    pub(super) fn billing_mode(&self) -> &'static str {
        match self.mode {
            Mode::Records => "",
            Mode::ClassicMeters => "&billing_mode[type]=classic",
            Mode::FlexibleMeters => "&billing_mode[type]=flexible",
        }
    }

    /// The items of a new subscription, or of the phase that `within` names.
    pub(super) fn items(&self, within: &str, seats: i64, metered: &[usize]) -> String {
        let key = |index: usize, field: &str| nested(within, &format!("items[{index}][{field}]"));
        let metered = metered.iter().enumerate();
        let metered = metered.map(|(index, price)| {
            let key = key(index + 1, "price");
            format!("&{key}={}", self.metered[*price])
        });
        let seat = format!(
            "&{}={}&{}={seats}",
            key(0, "price"),
            self.seat,
            key(0, "quantity")
        );
        std::iter::once(seat).chain(metered).collect()
    }

    /// The parameter for a coupon, or for none.
    pub(super) async fn coupon(
        &self,
        world: &World,
        within: &str,
        coupon: Option<Coupon>,
    ) -> String {
        let key = match self.mode {
            Mode::Records => "coupon",
            Mode::ClassicMeters | Mode::FlexibleMeters => "discounts",
        };
        let id = match coupon {
            None => return format!("&{}=", nested(within, key)),
            Some(Coupon::Percent(percent)) => world.coupon(&format!("percent_off={percent}")).await,
            Some(Coupon::Amount(cents)) => {
                let form = format!("amount_off={cents}&currency=usd");
                world.coupon(&form).await
            }
        };
        let key = nested(within, key);
        match self.mode {
            Mode::Records => format!("&{key}={id}"),
            Mode::ClassicMeters | Mode::FlexibleMeters => format!("&{key}[0][coupon]={id}"),
        }
    }
}

/// The parameter of a price for how usage is aggregated.
async fn usage_form(world: &World, mode: Mode, name: &str, formula: Formula) -> String {
    match (mode, formula) {
        (Mode::Records, Formula::Sum) => "recurring[aggregate_usage]=sum".to_owned(),
        (Mode::Records, Formula::Last) => {
            "recurring[aggregate_usage]=last_during_period".to_owned()
        }
        (_, Formula::Sum) => format!("recurring[meter]={}", meter(world, name, "sum").await),
        (_, Formula::Last) => format!("recurring[meter]={}", meter(world, name, "last").await),
    }
}

/// The name of a parameter, of a subscription or within a phase.
fn nested(within: &str, key: &str) -> String {
    match (within, key.split_once('[')) {
        ("", _) => key.to_owned(),
        (_, None) => format!("{within}[{key}]"),
        (_, Some((first, rest))) => format!("{within}[{first}][{rest}"),
    }
}

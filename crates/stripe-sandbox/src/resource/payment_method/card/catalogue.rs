//! The test cards of Stripe's testing page.

use super::{Card, CardBehavior, Decline, OffSession};

const GENERIC: Decline = Decline::GENERIC;

const INSUFFICIENT_FUNDS: Decline =
    Decline::card_declined("insufficient_funds", "Your card has insufficient funds.");

const FRAUDULENT: Decline = Decline::card_declined("fraudulent", "Your card was declined.");

const PROCESSING_ERROR: Decline = Decline::other(
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    "",
);

const fn card(
    tokens: &'static [&'static str],
    number: &'static str,
    brand: &'static str,
    country: &'static str,
) -> Card {
    Card {
        tokens,
        number,
        brand,
        country,
        funding: "credit",
        behavior: CardBehavior::Pays,
    }
}

const fn visa(tokens: &'static [&'static str], number: &'static str) -> Card {
    card(tokens, number, "visa", "US")
}

impl Card {
    const fn funding(mut self, funding: &'static str) -> Self {
        self.funding = funding;
        self
    }

    const fn declines(mut self, decline: Decline) -> Self {
        self.behavior = CardBehavior::Declines(decline);
        self
    }

    const fn declines_charges(mut self, decline: Decline) -> Self {
        self.behavior = CardBehavior::DeclinesCharges(decline);
        self
    }

    const fn authenticates(mut self, off_session: OffSession, then: Option<Decline>) -> Self {
        self.behavior = CardBehavior::Authenticates { off_session, then };
        self
    }
}

/// If several cards have the same token at Stripe, only one of them has it here.
pub(crate) const CARDS: &[Card] = &[
    // By brand.
    visa(&["visa", "us", "bypassPending"], "4242424242424242"),
    visa(&["visa_debit"], "4000056655665556").funding("debit"),
    card(&["mastercard"], "5555555555554444", "mastercard", "US"),
    card(&[], "2223003122003222", "mastercard", "US"),
    card(&["mastercard_debit"], "5200828282828210", "mastercard", "US").funding("debit"),
    card(&["mastercard_prepaid"], "5105105105105100", "mastercard", "US").funding("prepaid"),
    card(&["amex"], "371449635398431", "amex", "US"),
    card(&["amex_threeDSecureNotSupported"], "378282246310005", "amex", "US"),
    card(&["discover"], "6011000990139424", "discover", "US"),
    card(&[], "6011111111111117", "discover", "US"),
    card(&[], "6011981111111113", "discover", "US").funding("debit"),
    card(&["diners"], "3056930009020004", "diners", "US"),
    card(&[], "36227206271667", "diners", "US"),
    card(&["jcb"], "3566002020360505", "jcb", "JP"),
    card(&["unionpay"], "6200000000000005", "unionpay", "CN"),
    card(&[], "6200000000000047", "unionpay", "CN").funding("debit"),
    card(&[], "6205500000000000004", "unionpay", "CN"),
    // By country.
    card(&["ae"], "4000007840000001", "visa", "AE"),
    card(&["at"], "4000000400000008", "visa", "AT"),
    card(&["au"], "4000000360000006", "visa", "AU"),
    card(&["be"], "4000000560000004", "visa", "BE"),
    card(&["bg"], "4000001000000000", "visa", "BG"),
    card(&["br"], "4000000760000002", "visa", "BR"),
    card(&["by"], "4000001120000005", "visa", "BY"),
    card(&["ca"], "4000001240000000", "visa", "CA"),
    card(&["ch"], "4000007560000009", "visa", "CH"),
    card(&["cn"], "4000001560000002", "visa", "CN"),
    card(&["cy"], "4000001960000008", "visa", "CY"),
    card(&["cz"], "4000002030000002", "visa", "CZ"),
    card(&["de"], "4000002760000016", "visa", "DE"),
    card(&["dk"], "4000002080000001", "visa", "DK"),
    card(&["ee"], "4000002330000009", "visa", "EE"),
    card(&["es"], "4000007240000007", "visa", "ES"),
    card(&["fi"], "4000002460000001", "visa", "FI"),
    card(&["fr"], "4000002500000003", "visa", "FR"),
    card(&["gb"], "4000008260000000", "visa", "GB"),
    card(&["gb_debit"], "4000058260000005", "visa", "GB").funding("debit"),
    card(&["gr"], "4000003000000030", "visa", "GR"),
    card(&["hk"], "4000003440000004", "visa", "HK"),
    card(&["hr"], "4000001910000009", "visa", "HR"),
    card(&["hu"], "4000003480000005", "visa", "HU"),
    card(&["ie"], "4000003720000005", "visa", "IE"),
    card(&["in"], "4000003560000008", "visa", "IN"),
    card(&["it"], "4000003800000008", "visa", "IT"),
    card(&["jp"], "4000003920000003", "visa", "JP"),
    card(&["lt"], "4000004400000000", "visa", "LT"),
    card(&["lu"], "4000004420000006", "visa", "LU"),
    card(&["lv"], "4000004280000005", "visa", "LV"),
    card(&["mt"], "4000004700000007", "visa", "MT"),
    card(&["mx"], "4000004840008001", "visa", "MX"),
    card(&["my"], "4000004580000002", "visa", "MY"),
    card(&["nl"], "4000005280000002", "visa", "NL"),
    card(&["no"], "4000005780000007", "visa", "NO"),
    card(&["nz"], "4000005540000008", "visa", "NZ"),
    card(&["pl"], "4000006160000005", "visa", "PL"),
    card(&["pt"], "4000006200000007", "visa", "PT"),
    card(&["ro"], "4000006420000001", "visa", "RO"),
    card(&["se"], "4000007520000008", "visa", "SE"),
    card(&["sg"], "4000007020000003", "visa", "SG"),
    card(&["si"], "4000007050000006", "visa", "SI"),
    card(&["sk"], "4000007030000001", "visa", "SK"),
    card(&["th_credit"], "4000007640000003", "visa", "TH"),
    card(&["tw"], "4000001580000008", "visa", "TW"),
    // Declined.
    visa(&["visa_chargeDeclined", "chargeDeclined"], "4000000000000002").declines(GENERIC),
    visa(
        &["visa_chargeDeclinedInsufficientFunds", "chargeDeclinedInsufficientFunds"],
        "4000000000009995",
    )
    .declines(INSUFFICIENT_FUNDS),
    visa(
        &["visa_chargeDeclinedLostCard", "chargeDeclinedLostCard"],
        "4000000000009987",
    )
    .declines(Decline::card_declined("lost_card", "Your card was declined.")),
    visa(
        &["visa_chargeDeclinedStolenCard", "chargeDeclinedStolenCard"],
        "4000000000009979",
    )
    .declines(Decline::card_declined("stolen_card", "Your card was declined.")),
    visa(
        &["visa_chargeDeclinedVelocityLimitExceeded", "chargeDeclinedVelocityLimitExceeded"],
        "4000000000006975",
    )
    .declines(Decline::card_declined(
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    )),
    visa(&["chargeDeclinedExpiredCard", "visa_chargeDeclinedExpiredCard"], "4000000000000069")
        .declines(Decline::other("expired_card", "Your card has expired.", "exp_month")),
    visa(&["chargeDeclinedIncorrectCvc", "visa_chargeDeclinedIncorrectCvc"], "4000000000000127")
        .declines(Decline::other(
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            "cvc",
        )),
    visa(
        &["chargeDeclinedProcessingError", "visa_chargeDeclinedProcessingError"],
        "4000000000000119",
    )
    .declines(PROCESSING_ERROR),
    visa(&["chargeDeclinedFraudulent", "radarBlock"], "4100000000000019").declines_charges(FRAUDULENT),
    visa(&["riskLevelHighest"], "4000000000004954").declines_charges(FRAUDULENT),
    visa(&["chargeCustomerFail"], "4000000000000341").declines_charges(GENERIC),
    // Authentication.
    card(&["authenticationRequiredOnSetup"], "4000002500003155", "visa", "FR")
        .authenticates(OffSession::UnlessSetUp, None),
    card(&["authenticationRequired"], "4000002760003184", "visa", "DE")
        .authenticates(OffSession::Always, None),
    card(&["authenticationRequiredSetupForOffSession"], "4000003800000446", "visa", "IT")
        .authenticates(OffSession::Never, None),
    card(
        &["authenticationRequiredChargeDeclinedInsufficientFunds"],
        "4000008260003178",
        "visa",
        "GB",
    )
    .authenticates(OffSession::Always, Some(INSUFFICIENT_FUNDS)),
    visa(&["threeDSecure2Required"], "4000000000003220").authenticates(OffSession::Always, None),
    visa(&["threeDSecureRequired"], "4000000000003063").authenticates(OffSession::Always, None),
    visa(&["threeDSecureRequiredChargeDeclined"], "4000008400001629")
        .authenticates(OffSession::Always, Some(GENERIC)),
    visa(&["threeDSecureRequiredProcessingError"], "4000008400001280")
        .declines_charges(PROCESSING_ERROR),
    // These support authentication but do not require it.
    visa(&["threeDSecureOptional"], "4000000000003055"),
    visa(&["threeDSecureOptionalProcessingError"], "4000000000003097"),
];

/// Cards whose behavior the sandbox does not model: disputes, failing refunds, and address checks.
pub(crate) const UNMODELLED: &[(&str, &str)] = &[
    ("avsFail", "4000000000000010"),
    ("avsLine1Fail", "4000000000000028"),
    ("avsUnchecked", "4000000000000044"),
    ("avsZipFail", "4000000000000036"),
    ("createDispute", "4000000000000259"),
    ("createDisputeInquiry", "4000000000001976"),
    ("createDisputeProductNotReceived", "4000000000002685"),
    ("createIssuerFraudRecord", "4000000000005423"),
    ("cvcCheckFail", "4000000000000101"),
    ("pendingRefund", "4000000000007726"),
    ("refundFail", "4000000000005126"),
    ("riskLevelElevated", "4000000000009235"),
];

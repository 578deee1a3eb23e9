//! The endpoints of `/v1`, with a file for each noun.

pub(super) mod account;
mod archive;
mod checkout;
mod clock;
pub(super) mod diff;
mod history;
mod invoices;
mod ledger;
mod migration;
pub(super) mod org;
mod orgs;
mod phases;
mod preview;
pub(super) mod pricing;
pub(super) mod pricing_page;
mod reports;
mod reservation;
mod schedule;
pub(super) mod setup;
pub(super) mod usage;
pub(super) mod validation;

use super::decode;
use super::operation::Operation;

/// The operations of all nouns.
pub(super) fn operations() -> impl Iterator<Item = Operation> {
    account::operations()
        .into_iter()
        .chain(archive::operations())
        .chain(checkout::operations())
        .chain(clock::operations())
        .chain(diff::operations())
        .chain(history::operations())
        .chain(invoices::operations())
        .chain(ledger::operations())
        .chain(migration::operations())
        .chain(org::operations())
        .chain(orgs::operations())
        .chain(phases::operations())
        .chain(preview::operations())
        .chain(pricing::operations())
        .chain(pricing_page::operations())
        .chain(reports::operations())
        .chain(reservation::operations())
        .chain(schedule::operations())
        .chain(setup::operations())
        .chain(usage::operations())
        .chain(validation::operations())
}

/// Decodes `body` as each kind of request, for fuzzing.
pub(super) fn decode_all(body: &[u8]) {
    use decode::exercise as read;
    read::<schedule::SubscribeRequest>(body);
    read::<checkout::CheckoutRequest>(body);
    read::<usage::ReportRequest>(body);
    read::<reports::ReportsRequest>(body);
    read::<reservation::ReserveRequest>(body);
    read::<reservation::CommitRequest>(body);
    read::<reservation::ReleaseRequest>(body);
    read::<ledger::ParkedRequest>(body);
    read::<clock::ClockRequest>(body);
    read::<archive::ArchiveRequest>(body);
    read::<setup::SetupRequest>(body);
    read::<setup::ConfirmSetupRequest>(body);
    read::<migration::MigrateRequest>(body);
}

#[cfg(test)]
mod tests {
    use super::checkout::CheckoutRequest;
    use super::clock::ClockRequest;
    use super::decode::from_slice;
    use super::schedule::SubscribeRequest;
    use super::usage::ReportRequest;
    use crate::api::values::OptionalTime;

    fn fault<T: serde::de::DeserializeOwned>(body: &str) -> String {
        match from_slice::<T>(body.as_bytes()) {
            Ok(_) => "accepted".to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn a_missing_reference_gets_the_message_of_an_empty_one() {
        let missing = "org is required: org must be prefixed with \"org:\"";
        for (body, org) in [
            ("", missing),
            ("null", missing),
            ("{}", missing),
            (r#"{"org":null}"#, missing),
            (r#"{"org":""}"#, missing),
            (r#"{"org":"acme"}"#, "org must be prefixed with \"org:\""),
        ] {
            assert_eq!(fault::<ReportRequest>(body), org, "{body}");
            assert_eq!(fault::<SubscribeRequest>(body), org, "{body}");
            assert_eq!(fault::<CheckoutRequest>(body), org, "{body}");
        }
        assert_eq!(
            fault::<ReportRequest>(r#"{"org":"org:a"}"#),
            "feature name must start with 'feature:': \"\""
        );
    }

    #[test]
    fn times_are_rfc_3339_and_the_year_1_is_unset() {
        let at = |at: &str| {
            let body = format!(r#"{{"present":{at}}}"#);
            from_slice::<ClockRequest>(body.as_bytes())
                .map(|request| request.present.0)
                .map_err(|fault| fault.to_string())
        };
        assert_eq!(at("null"), Ok(None));
        assert_eq!(at(r#""0001-01-01T00:00:00Z""#), Ok(None));
        assert_eq!(at(r#""2023-01-01T00:00:00Z""#), Ok(Some(1_672_531_200)));
        assert_eq!(
            at(r#""2023-01-01T01:00:00.999+01:00""#),
            Ok(Some(1_672_531_200))
        );
        assert_eq!(
            at(r#""tomorrow""#),
            Err(
                "present must be an RFC 3339 time like 2030-01-31T12:00:00Z, not \"tomorrow\""
                    .to_owned()
            )
        );
        assert_eq!(
            at("1672531200"),
            Err(
                "present must be an RFC 3339 time like 2030-01-31T12:00:00Z, not a number"
                    .to_owned()
            )
        );
    }

    #[test]
    fn the_go_clients_spelling_is_accepted() {
        let body = br#"{"ID":"clock_1","Name":"","Present":"2023-01-01T00:00:00Z"}"#;
        let clock: ClockRequest = from_slice(body).unwrap();
        assert_eq!(
            (clock.id.as_str(), clock.present.0),
            ("clock_1", Some(1_672_531_200))
        );
        assert_eq!(
            fault::<ReportRequest>(r#"{"Org":"org:a"}"#),
            "feature name must start with 'feature:': \"\""
        );
    }

    #[test]
    fn the_go_clients_unset_values_are_unset() {
        let body = br#"{"org":"org:a","payment_method_id":"","tax":{},"info":null,"phases":[
            {"trial":false,"effective":"0001-01-01T00:00:00Z","features":null,"coupon":"","coupon_data":null}]}"#;
        let request: SubscribeRequest = from_slice(body).unwrap();
        assert!(request.info.is_none());
        assert_eq!(request.phases.len(), 1);
        assert_eq!(request.phases[0].effective, OptionalTime(None));
        assert!(request.phases[0].features.is_empty());
    }
}

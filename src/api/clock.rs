//! Test clocks.

use super::answers::Clock;
use super::error::Error;
use super::extract::{Changing, ClockId};
use super::json::Json;
use super::types::ClockRequest;
use crate::domain::{ClockChange, Domain};

/// `GET /v1/clock`
pub(super) async fn get(domain: Domain, ClockId(id): ClockId) -> Result<Json<Clock>, Error> {
    Ok(Json(domain.clock(&id).await?.into()))
}

/// `POST /v1/clock`
pub(super) async fn change(
    domain: Domain,
    Changing(request): Changing<ClockRequest>,
) -> Result<Json<Clock>, Error> {
    let change = request.try_into()?;
    Ok(Json(domain.change_clock(change).await?.into()))
}

impl TryFrom<ClockRequest> for ClockChange {
    type Error = Error;

    fn try_from(ClockRequest { id, name, present }: ClockRequest) -> Result<Self, Error> {
        let Some(present) = present.0 else {
            return Err(Error::invalid(
                "present must be the time that the clock shall show",
            ));
        };
        Ok(if id.is_empty() {
            Self::Create { name, present }
        } else {
            Self::Advance { id, present }
        })
    }
}

//! Checks a model without Stripe and without a key.

use serde::Serialize;

use crate::api::anonymous::OpenBody;
use crate::api::error::Error;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::domain::pricing::{Fault, Faults, Model, PathStep};

pub(in crate::api) fn operations() -> [Operation; 1] {
    [Operation::for_own_pages(
        "validate",
        "/v1/validate",
        Access::Everybody,
        validate,
    )]
}

async fn validate(body: OpenBody) -> Result<Json<Validation>, Error> {
    Ok(Json(Validation::of(&Model::parse_bytes(&body.bytes))))
}

/// `POST /v1/validate`, and what `tier validate --json` prints.
#[derive(Serialize)]
pub struct Validation {
    /// Whether the model can be pushed.
    valid: bool,
    /// The faults of the model. If there are very many, only the first ones.
    faults: Vec<FaultJson>,
    /// Things that are valid, but may be mistakes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[derive(Serialize)]
struct FaultJson {
    line: Option<usize>,
    column: Option<usize>,
    place: String,
    path: Vec<PathStep>,
    message: String,
}

impl Validation {
    /// The result of parsing a model.
    pub fn of(read: &Result<Model, Faults>) -> Self {
        match read {
            Ok(model) => Self {
                valid: true,
                faults: Vec::new(),
                warnings: model.warnings(),
            },
            Err(faults) => Self {
                valid: false,
                faults: faults.iter().map(FaultJson::of).collect(),
                warnings: Vec::new(),
            },
        }
    }
}

impl FaultJson {
    fn of(fault: &Fault) -> Self {
        let message = match &fault.detail {
            Some(detail) => format!("{}: {detail}", fault.message),
            None => fault.message.clone(),
        };
        Self {
            line: fault.position.map(|position| position.line),
            column: fault.position.map(|position| position.column),
            place: fault.place.clone(),
            path: fault.path.clone(),
            message,
        }
    }
}

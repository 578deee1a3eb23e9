//! Operating a server: access, load, fairness, audit and monitoring.

mod audit;
mod fairness;
mod lanes;
mod load;
mod origins;
mod roles;
mod tenants;
mod watching;

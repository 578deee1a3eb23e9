//! What makes a server fit to be exposed: who may call and from where, how much at once, and what operators see.

mod audit;
mod fairness;
mod lanes;
mod load;
mod origins;
mod roles;
mod tenants;
mod watching;

//! What makes a server fit to be exposed: who may call and from where, how much at once, and what operators see.

mod fairness;
mod load;
mod origins;
mod tenants;
mod watching;

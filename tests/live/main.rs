//! Tests against a live PostgreSQL: private clusters on free ports, removed afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

mod admin;
mod analysis;
mod attached;
mod audit;
mod auth;
mod bouncer;
mod constructs;
mod copy;
mod copy_random;
mod ddl;
mod drain;
mod driver;
mod errors;
mod fixture;
mod frozen;
mod generated;
mod harness;
mod hostile;
mod large;
mod leak;
mod limits;
mod names;
mod operate;
mod page;
mod refusal;
mod reload;
mod settings;
mod slow;
mod sockets;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod target;
mod tls;
mod transcript;
mod twin;
mod versions;

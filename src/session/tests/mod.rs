//! Transcripts: scripted frames in, expected frames out, each also fed byte by byte.

mod copy;
mod extended;
mod harness;
mod knowledge;
mod login;
mod names;
mod refusals;
mod rows;
mod simple;
mod startup;
mod target;

//! Frames of either side: what is cut from a stream lies in it, and two ways of cutting agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::wire::{Head, Side, frame};

fuzz_target!(|data: &[u8]| {
    let Some((side, mut rest)) = data.split_first() else { return };
    let side = if side & 1 == 0 { Side::Client } else { Side::Server };
    while let Ok(Some(head)) = Head::peek(rest, side) {
        assert!(head.total >= frame::HEAD);
        let run = frame::run_of(head.tag, rest, side);
        let Some(body) = head.body(rest) else { break };
        assert_eq!(body.len() + frame::HEAD, head.total);
        if let Ok(run) = run {
            assert!(run.bytes <= rest.len());
        }
        rest = &rest[head.total..];
    }
});

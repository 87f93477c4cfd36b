//! The status page: one document, with its style and script in it, that asks `/status.json` every two seconds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::http::Response;

const HTML: &str = include_str!("page.html");

/// The document, and what a browser may do for it: its own style and script, and to ask this address.
pub(super) struct Page {
    policy: String,
}

impl Page {
    pub(super) fn new() -> Self {
        let hash = |tag: &str| {
            let inside = HTML
                .split_once(&format!("<{tag}>"))
                .and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
            STANDARD.encode(Sha256::digest(inside.map_or("", |(inside, _)| inside)))
        };
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash("style"),
            hash("script"),
        );
        Self { policy }
    }

    pub(super) fn response(&self) -> Response {
        Response {
            status: 200,
            content_type: "text/html; charset=utf-8",
            policy: self.policy.clone(),
            body: HTML.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colors of a scheme by their names.
    fn colors(block: &str) -> std::collections::BTreeMap<String, [f64; 3]> {
        let pairs = block.split(';').filter_map(|pair| pair.split_once("--")?.1.split_once(": #"));
        let channel = |hex: &str, at: usize| {
            let value = f64::from(u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap()) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let color = |hex: &str| [channel(hex, 0), channel(hex, 2), channel(hex, 4)];
        pairs.map(|(name, hex)| (name.to_owned(), color(hex))).collect()
    }

    /// As WCAG 2 defines it: text is readable from 4.5 on.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let light = |[red, green, blue]: [f64; 3]| 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
        light(a).max(light(b)) / light(a).min(light(b))
    }

    #[test]
    fn text_is_readable_in_both_schemes() {
        let blocks: Vec<_> =
            HTML.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(blocks.len(), 2);
        for block in blocks {
            let colors = colors(block);
            for (ink, ground) in
                ["ink", "soft", "good", "bad", "warn"].iter().flat_map(|ink| [(ink, "page"), (ink, "card")])
            {
                let ratio = contrast(colors[*ink], colors[ground]);
                assert!(ratio >= 4.5, "{ink} on {ground}: {ratio}");
            }
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        for outside in ["http://", "https://", "src=\"/", "@import", "url(", "innerHTML", "eval("] {
            let found = HTML.replace("http://www.w3.org/2000/svg", "").contains(outside);
            assert!(!found, "{outside}");
        }
        assert_eq!((HTML.matches("<style>").count(), HTML.matches("<script>").count()), (1, 1));
        assert!(!HTML.contains(" style=\"") && !HTML.contains(" onclick"), "the policy forbids these");
    }
}

//! pgseal's tokens, statements, literals and relations, judged by PostgreSQL's own grammar.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use pgseal::sql::lex::{self, BitString, Lexeme, LexemeKind, Number, StringForm};
use pgseal::sql::scan::{ProtectedNames, names_any};
use pgseal_oracle::{Accepted, judge, texts, walk};
use serde_json::Value as Json;

/// Every text, and PostgreSQL's trees where it has any.
static TEXTS: LazyLock<Vec<(String, String, Option<Accepted>)>> = LazyLock::new(|| {
    texts()
        .into_iter()
        .map(|(source, text)| {
            let accepted = judge(&source, &text);
            (source, text, accepted)
        })
        .collect()
});

fn accepted() -> impl Iterator<Item = &'static Accepted> {
    TEXTS.iter().filter_map(|(_, _, accepted)| accepted.as_ref())
}

/// Statements whose trees are compared: those that hold expressions over rows.
const QUERIES: [&str; 11] = [
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "ExplainStmt",
    "PrepareStmt",
    "DeclareCursorStmt",
    "CreateTableAsStmt",
    "ViewStmt",
    "ExecuteStmt",
];

/// Collects what is wrong, shows the first of it and fails at the end.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, source: &str, text: &str, what: &str) {
        self.0.push(format!("{source}: {what}\n    {}", text.trim().replace('\n', "\n    ")));
    }

    fn check(self) {
        let shown = std::env::var("SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
        for fault in self.0.iter().take(shown) {
            println!("{fault}");
        }
        assert!(self.0.is_empty(), "{} faults", self.0.len());
    }
}

#[test]
fn tokens_are_those_of_postgresql() {
    let mut faults = Faults::default();
    let (mut tokens, mut refused) = (0, 0);
    for (source, text, _) in TEXTS.iter() {
        let theirs = pg_query::scan(text).map(|result| result.tokens);
        let ours = lex::tokenize(text);
        match (theirs, ours) {
            (Err(_), Err(_)) => refused += 1,
            // Escapes are decoded when a string is read.
            (Err(_), Ok(lexemes)) => {
                let undecodable = lexemes
                    .iter()
                    .any(|l| matches!(l.kind, LexemeKind::String(_)) && lex::string_value(l, text).is_none());
                match undecodable {
                    true => refused += 1,
                    false => faults.add(source, text, "PostgreSQL refuses its tokens"),
                }
            }
            (Ok(_), Err(error)) => match pg_query::parse(text, pg_query::ParserOptions::DEFAULT) {
                Ok(_) => faults.add(source, text, &format!("refused: {error}")),
                // A character that no grammar takes, or UESCAPE, is refused by the parser there.
                Err(_) => refused += 1,
            },
            (Ok(theirs), Ok(lexemes)) => {
                tokens += lexemes.len();
                let theirs = joined(text, &theirs);
                let ours: Vec<_> = lexemes.iter().map(|l| (l.start, l.end)).collect();
                if theirs != ours {
                    let at = theirs.iter().zip(&ours).position(|(a, b)| a != b);
                    let differ = at.map(|at| {
                        format!(
                            "{:?} and {:?}",
                            &text[theirs[at].0..theirs[at].1],
                            &text[ours[at].0..ours[at].1]
                        )
                    });
                    faults.add(source, text, &format!("tokens differ: {differ:?}"));
                }
            }
        }
    }
    println!("{} texts, {tokens} tokens; {refused} texts refused by both", TEXTS.len());
    faults.check();
}

/// PostgreSQL's tokens without comments, with N'' and UESCAPE joined as ours are.
fn joined(text: &str, tokens: &[pg_query::protobuf::ScanToken]) -> Vec<(usize, usize)> {
    use pg_query::protobuf::Token;
    let mut out: Vec<(usize, usize, i32)> = Vec::new();
    for token in tokens {
        let (start, end) = (token.start as usize, token.end as usize);
        let kind = token.token;
        if kind == Token::CComment as i32 || kind == Token::SqlComment as i32 {
            continue;
        }
        let is_string = kind == Token::Sconst as i32;
        let before = out.len().checked_sub(1).map(|at| out[at]);
        let before_that = out.len().checked_sub(2).map(|at| out[at]);
        match (before, before_that) {
            (Some((n, end_of_n, _)), _)
                if is_string && end_of_n == start && text[n..end_of_n].eq_ignore_ascii_case("n") =>
            {
                out.pop();
                out.push((n, end, kind));
            }
            (Some((u, end_of_u, _)), Some((from, _, unicode)))
                if is_string
                    && text[u..end_of_u].eq_ignore_ascii_case("uescape")
                    && (unicode == Token::Usconst as i32 || unicode == Token::Uident as i32) =>
            {
                out.truncate(out.len() - 2);
                out.push((from, end, kind));
            }
            _ => out.push((start, end, kind)),
        }
    }
    out.into_iter().map(|(start, end, _)| (start, end)).collect()
}

#[test]
fn statements_are_split_as_by_postgresql() {
    let mut faults = Faults::default();
    let mut statements = 0;
    let check = |accepted: &Accepted, faults: &mut Faults| {
        let text = &accepted.text;
        let Ok(lexemes) = lex::tokenize(text) else { return faults.add(&accepted.source, text, "no tokens") };
        let ours: Vec<_> = lex::split(text, &lexemes)
            .into_iter()
            .map(|range| (lexemes[range.start].start, lexemes[range.end - 1].end))
            .collect();
        let theirs: Vec<_> = accepted
            .statements
            .iter()
            .map(|statement| {
                let inside = |l: &&Lexeme| statement.range.contains(&l.start) && !l.is_symbol(b';');
                let first = lexemes.iter().find(inside).map_or(0, |l| l.start);
                let last =
                    lexemes.iter().rev().find(|l| statement.range.contains(&l.start)).map_or(0, |l| l.end);
                (first, last)
            })
            .collect();
        if ours != theirs {
            faults.add(&accepted.source, text, &format!("split at {ours:?}, not {theirs:?}"));
        }
    };
    for accepted in accepted() {
        statements += accepted.statements.len();
        check(accepted, &mut faults);
    }
    // Many at once, too.
    let all: Vec<_> = accepted().collect();
    for group in all.chunks(20) {
        let text: Vec<_> = group.iter().map(|a| a.text.trim_end().trim_end_matches(';')).collect();
        if let Some(together) = judge("together", &text.join("\n;\n")) {
            check(&together, &mut faults);
        }
    }
    println!("{statements} statements");
    faults.check();
}

/// What PostgreSQL says a constant is.
#[derive(Debug, PartialEq)]
enum Constant {
    Int(i64),
    Other(String),
    Text(String),
    Bits(String),
    Parameter(i64),
}

/// Constants and parameters of a tree with their places; those that the grammar makes up are left out.
fn constants(tree: &Json) -> Vec<(usize, Constant)> {
    let mut found = Vec::new();
    walk(tree, &mut |fields| {
        let Some(location) = fields.get("location").and_then(Json::as_u64) else { return };
        let location = location as usize;
        if let Some(constant) = fields.get("val").filter(|_| fields.contains_key("isnull")) {
            let text = |kind: &str, field: &str| constant[kind][field].as_str().map(str::to_owned);
            if let Some(value) = constant["Ival"]["ival"].as_i64() {
                found.push((location, Constant::Int(value)));
            } else if let Some(value) = text("Fval", "fval") {
                found.push((location, Constant::Other(value)));
            } else if let Some(value) = text("Sval", "sval") {
                found.push((location, Constant::Text(value)));
            } else if let Some(value) = text("Bsval", "bsval") {
                found.push((location, Constant::Bits(value)));
            }
        } else if let (Some(number), 2) = (fields.get("number").and_then(Json::as_i64), fields.len()) {
            found.push((location, Constant::Parameter(number)));
        }
    });
    found
}

fn lexeme_at(lexemes: &[Lexeme], at: usize) -> Option<(usize, &Lexeme)> {
    let index = lexemes.binary_search_by_key(&at, |lexeme| lexeme.start).ok()?;
    Some((index, &lexemes[index]))
}

#[test]
fn literals_have_the_values_of_postgresql() {
    let mut faults = Faults::default();
    let mut kinds = BTreeMap::<&str, usize>::new();
    for accepted in accepted() {
        let text = &accepted.text;
        let Ok(lexemes) = lex::tokenize(text) else { continue };
        for (at, constant) in accepted.statements.iter().flat_map(|s| constants(&s.tree)) {
            // N'' is one token of ours.
            let found = lexeme_at(&lexemes, at).or_else(|| lexeme_at(&lexemes, at - 1));
            let Some((first, mut lexeme)) = found else {
                faults.add(&accepted.source, text, &format!("no token at {at}: {constant:?}"));
                continue;
            };
            // A constant that a sign was folded into stands at the sign.
            let (mut negative, mut index) = (false, first);
            while lexeme.is_symbol(b'-') || (lexeme.is_symbol(b'(') && index > first) {
                negative ^= lexeme.is_symbol(b'-');
                index += 1;
                lexeme = &lexemes[index];
            }
            // Words that the grammar turns into constants: TRUE, interval fields, SET values, defaults.
            if lexeme.is_identifier() || (!lexeme.is_value() && !negative) {
                *kinds.entry("made up by the grammar").or_default() += 1;
                continue;
            }
            let (kind, ours) = match lexeme.kind {
                LexemeKind::String(form) => (
                    match form {
                        StringForm::Plain => "''",
                        StringForm::Escaped => "E''",
                        StringForm::Unicode => "U&''",
                        StringForm::Dollar => "$$",
                        StringForm::National => "N''",
                    },
                    lex::string_value(lexeme, text).map(Constant::Text),
                ),
                LexemeKind::Bits | LexemeKind::Hex => (
                    "bits",
                    BitString::of(lexeme, text).map(|bits| {
                        Constant::Bits(format!("{}{}", if bits.is_hex { 'x' } else { 'b' }, bits.digits))
                    }),
                ),
                LexemeKind::Parameter(number) => ("parameter", Some(Constant::Parameter(number.into()))),
                _ => match lex::number(lexeme, text, negative) {
                    Some(Number::Int4(value)) => ("int4", Some(Constant::Int(value.into()))),
                    Some(Number::Int8(value)) => ("int8", Some(Constant::Other(value.to_string()))),
                    Some(Number::Numeric(value)) => ("numeric", Some(Constant::Other(value))),
                    None => ("number", None),
                },
            };
            *kinds.entry(kind).or_default() += 1;
            // PostgreSQL keeps larger integers as they are written, and folds in the sign later.
            let same = match (&ours, &constant) {
                (Some(Constant::Other(a)), Constant::Other(b)) => {
                    let plain = |s: &str| s.replace('_', "");
                    let value = |s: &str| {
                        let s = plain(s);
                        let (sign, body) = s.strip_prefix('-').map_or(("", s.as_str()), |b| ("-", b));
                        let radix = match body.get(..2) {
                            Some("0x" | "0X") => Some(16),
                            Some("0o" | "0O") => Some(8),
                            Some("0b" | "0B") => Some(2),
                            _ => None,
                        };
                        radix
                            .and_then(|r| i64::from_str_radix(&format!("{sign}{}", &body[2..]), r).ok())
                            .map_or(s.trim_start_matches('0').to_owned(), |v| v.to_string())
                    };
                    value(a) == value(b)
                }
                (Some(Constant::Int(a)), Constant::Other(b)) => a.to_string() == *b,
                (Some(ours), theirs) => ours == theirs,
                (None, Constant::Bits(_)) => true,
                (None, _) => false,
            };
            if !same {
                faults.add(&accepted.source, text, &format!("at {at}: {ours:?}, not {constant:?}"));
            }
        }
    }
    println!("{kinds:?}");
    faults.check();
}

#[test]
fn what_parses_has_the_parts_that_postgresql_sees() {
    let mut faults = Faults::default();
    let mut shares = BTreeMap::<String, (usize, usize)>::new();
    let mut groups = 0;
    let mut unparsed = Vec::new();
    let mut misread = HashSet::new();
    for accepted in accepted() {
        let text = &accepted.text;
        let Ok(lexemes) = lex::tokenize(text) else { continue };
        for (chunk, judged) in lex::split(text, &lexemes).into_iter().zip(&accepted.statements) {
            let share = shares.entry(judged.kind().to_owned()).or_default();
            share.1 += 1;
            let Ok(parsed) = lex::parse(text, &lexemes[chunk]) else {
                unparsed.push(format!("{}: {}", judged.kind(), text.trim()));
                continue;
            };
            share.0 += 1;
            if !QUERIES.contains(&judged.kind()) {
                continue;
            }
            let ours = serde_json::to_value(&parsed.statement).unwrap();
            // What sqlparser is known to misread, harmlessly; each with its reason.
            let known = accepted.source == "misread.sql";
            let mut add = |what: &str| match known {
                true => _ = misread.insert(text.clone()),
                false => faults.add(&accepted.source, text, what),
            };
            compare_parts(&parsed, &ours, &judged.tree, &mut add);
            groups += compare_groups(&parsed, &ours, &judged.tree, &mut add);
        }
    }
    for (kind, (parsed, all)) in &shares {
        if *all > 20 {
            println!("{kind}: {parsed} of {all} parse, {:.1}%", *parsed as f64 * 100.0 / *all as f64);
        }
    }
    println!("{groups} operators, casts and tests compared");
    let known = TEXTS.iter().filter(|(source, ..)| source == "misread.sql").count();
    assert_eq!(misread.len(), known, "a statement of misread.sql is not misread any more: move it");
    if let Ok(path) = std::env::var("UNPARSED") {
        std::fs::write(path, unparsed.join("\n%%\n")).unwrap();
    }
    faults.check();
}

/// Every constant, parameter and column of PostgreSQL's is a value or an identifier of ours at the same place.
fn compare_parts(parsed: &lex::Parsed, ours: &Json, theirs: &Json, add: &mut dyn FnMut(&str)) {
    let mut values = HashSet::new();
    let mut identifiers = BTreeMap::new();
    walk(ours, &mut |fields| {
        let Some(range) = fields.get("span").and_then(range) else { return };
        if fields.contains_key("quote_style") {
            identifiers.insert(range.0, fields["value"].as_str().unwrap_or_default());
        } else {
            values.insert(range.0);
        }
    });
    for (at, constant) in constants(theirs) {
        let Some(lexeme) = value_at(parsed.lexemes(), at) else { continue };
        let at = lexeme.start;
        if !values.contains(&at) {
            add(&format!("no value at {at}: {constant:?}"));
        }
    }
    walk(theirs, &mut |fields| {
        let (Some(names), Some(at)) = (fields.get("fields"), fields.get("location").and_then(Json::as_u64))
        else {
            return;
        };
        let first = names[0]["node"]["String"]["sval"].as_str();
        if let Some(first) = first
            && identifiers.get(&(at as usize)) != Some(&first)
        {
            add(&format!("no column {first} at {at}"));
        }
    });
    walk(theirs, &mut |fields| {
        let (Some(name), Some(at)) =
            (fields.get("relname").and_then(Json::as_str), fields.get("location").and_then(Json::as_u64))
        else {
            return;
        };
        if !identifiers.iter().any(|(place, ident)| *place >= at as usize && *ident == name) {
            add(&format!("no relation {name} at {at}"));
        }
    });
}

/// The bytes of a span.
fn range(span: &Json) -> Option<(usize, usize)> {
    let column = |end: &str| span[end]["column"].as_u64()?.checked_sub(1);
    Some((usize::try_from(column("start")?).ok()?, usize::try_from(column("end")?).ok()?))
}

/// Where an operand begins and ends: its first and last constant, parameter or column.
type Bounds = Option<(usize, usize)>;

/// Both trees group operands alike: every operator, cast and test of PostgreSQL's tree has one in ours with the same
/// operands. Returns how many there are.
fn compare_groups(parsed: &lex::Parsed, ours: &Json, theirs: &Json, add: &mut dyn FnMut(&str)) -> usize {
    let shared: HashSet<usize> = our_leaves(ours).into_iter().collect();
    let shared: HashSet<usize> =
        their_leaves(parsed, theirs).into_iter().filter(|at| shared.contains(at)).collect();
    let bounds = |leaves: Vec<usize>| {
        let leaves: Vec<_> = leaves.into_iter().filter(|at| shared.contains(at)).collect();
        Some((*leaves.iter().min()?, *leaves.iter().max()?))
    };
    let found: HashSet<_> = our_groups(ours, &|tree| bounds(our_leaves(tree))).into_iter().collect();
    let groups = their_groups(theirs, &|tree| bounds(their_leaves(parsed, tree)));
    for group in &groups {
        if !found.contains(group) {
            let near: Vec<_> =
                found.iter().filter(|g| g.0 == group.0 && g.1.iter().any(|b| group.1.contains(b))).collect();
            add(&format!("group {group:?}; ours {near:?}"));
        }
    }
    groups.len()
}

type Group = (&'static str, Vec<Bounds>);

fn their_groups(tree: &Json, bounds: &dyn Fn(&Json) -> Bounds) -> Vec<Group> {
    let mut groups = Vec::new();
    walk(tree, &mut |fields| {
        let kind = fields.get("kind").and_then(Json::as_i64);
        if let (Some(left), Some(right), Some(kind)) = (fields.get("lexpr"), fields.get("rexpr"), kind) {
            // AEXPR_OP, OP_ANY, OP_ALL, DISTINCT, NOT_DISTINCT, NULLIF, IN, LIKE, ILIKE, SIMILAR, BETWEEN...
            match kind {
                6 => {}
                1 if left.is_null() => groups.push(("prefix", vec![bounds(right)])),
                _ => groups.push(("operator", vec![bounds(left), bounds(right)])),
            }
        } else if let (Some(args), Some(kind)) =
            (fields.get("args"), fields.get("boolop").and_then(Json::as_i64))
        {
            let name = ["", "and", "or", "not"][kind as usize];
            let is_subquery = args[0]["node"]["SubLink"].is_object();
            if name != "not" || !is_subquery {
                groups.push((name, args.as_array().unwrap().iter().map(bounds).collect()));
            }
        } else if let (Some(arg), true) =
            (fields.get("arg"), fields.contains_key("nulltesttype") || fields.contains_key("booltesttype"))
        {
            groups.push(("test", vec![bounds(arg)]));
        } else if let (Some(arg), true) = (fields.get("arg"), fields.contains_key("collname")) {
            groups.push(("collate", vec![bounds(arg)]));
        } else if let (Some(arg), Some(place)) = (fields.get("arg"), fields.get("type_name")) {
            // TRUE and FALSE are casts there, and interval '1' day has its own form.
            if place["location"] != -1 {
                groups.push(("cast", vec![bounds(arg)]));
            }
        }
    });
    // An operand without a leaf (a subquery without constants, a star) cannot be compared.
    groups.retain(|(_, operands)| operands.iter().all(Option::is_some));
    groups
}

fn our_groups(tree: &Json, bounds: &dyn Fn(&Json) -> Bounds) -> Vec<Group> {
    let mut groups = Vec::new();
    let both = |a: Bounds, b: Bounds| match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    };
    walk(tree, &mut |fields| {
        for (name, node) in fields {
            match name.as_str() {
                "BinaryOp" if matches!(node["op"].as_str(), Some("And" | "Or")) => {
                    let op = node["op"].as_str().unwrap();
                    let mut operands = vec![bounds(&node["right"])];
                    let mut left = &node["left"];
                    loop {
                        while left["Nested"].is_object() {
                            left = &left["Nested"];
                        }
                        match &left["BinaryOp"] {
                            inner if inner["op"].as_str() == Some(op) => {
                                operands.push(bounds(&inner["right"]));
                                left = &inner["left"];
                            }
                            _ => break,
                        }
                        // PostgreSQL flattens on the left as we do, and only there.
                    }
                    operands.push(bounds(left));
                    operands.reverse();
                    groups.push((if op == "And" { "and" } else { "or" }, operands));
                }
                "BinaryOp" | "AnyOp" | "AllOp" => {
                    groups.push(("operator", vec![bounds(&node["left"]), bounds(&node["right"])]));
                }
                "Like" | "ILike" | "SimilarTo" => {
                    let right = both(bounds(&node["pattern"]), bounds(&node["escape_char"]));
                    groups.push(("operator", vec![bounds(&node["expr"]), right]));
                }
                "In" => groups.push(("operator", vec![bounds(&node["expr"]), bounds(&node["target"])])),
                "Between" => {
                    let right = both(bounds(&node["low"]), bounds(&node["high"]));
                    groups.push(("operator", vec![bounds(&node["expr"]), right]));
                }
                "IsDistinctFrom" | "IsNotDistinctFrom" => {
                    groups.push(("operator", vec![bounds(&node[0]), bounds(&node[1])]));
                }
                "UnaryOp" if node["op"].as_str() == Some("Not") => {
                    groups.push(("not", vec![bounds(&node["expr"])]))
                }
                "UnaryOp" => groups.push(("prefix", vec![bounds(&node["expr"])])),
                "IsNull" | "IsNotNull" | "IsTrue" | "IsNotTrue" | "IsFalse" | "IsNotFalse" | "IsUnknown"
                | "IsNotUnknown" => {
                    groups.push(("test", vec![bounds(node)]));
                }
                "Collate" => groups.push(("collate", vec![bounds(&node["expr"])])),
                "Cast" => groups.push(("cast", vec![bounds(&node["expr"])])),
                // N'' is a cast to bpchar.
                "value" if node["NationalStringLiteral"].is_string() => {
                    groups.push(("cast", vec![bounds(&Json::Object(fields.clone()))]));
                }
                "TypedString" | "Interval" => groups.push(("cast", vec![bounds(&node["value"])])),
                _ => {}
            }
        }
    });
    groups
}

/// Places of constants (signs taken off), parameters and columns.
fn their_leaves(parsed: &lex::Parsed, tree: &Json) -> Vec<usize> {
    let mut leaves: Vec<usize> = constants(tree)
        .into_iter()
        .filter_map(|(at, _)| value_at(parsed.lexemes(), at))
        .map(|l| l.start)
        .collect();
    walk(tree, &mut |fields| {
        if let (Some(_), Some(at)) = (fields.get("fields"), fields.get("location").and_then(Json::as_u64)) {
            leaves.push(at as usize);
        }
    });
    leaves
}

fn our_leaves(tree: &Json) -> Vec<usize> {
    let mut leaves = Vec::new();
    walk(tree, &mut |fields| leaves.extend(fields.get("span").and_then(range).map(|(start, _)| start)));
    leaves
}

/// The value token of a constant, behind the signs and parentheses that were folded into it.
fn value_at(lexemes: &[Lexeme], at: usize) -> Option<&Lexeme> {
    let (index, _) = lexeme_at(lexemes, at).or_else(|| lexeme_at(lexemes, at.checked_sub(1)?))?;
    lexemes[index..].iter().find(|l| !l.is_symbol(b'-') && !l.is_symbol(b'(')).filter(|l| l.is_value())
}

#[test]
fn the_scan_misses_no_relation() {
    let mut faults = Faults::default();
    let mut relations = 0;
    for accepted in accepted() {
        let text = &accepted.text;
        let Ok(lexemes) = lex::tokenize(text) else { continue };
        for (chunk, judged) in lex::split(text, &lexemes).into_iter().zip(&accepted.statements) {
            walk(&judged.tree, &mut |fields| {
                let Some(name) = fields.get("relname").and_then(Json::as_str).filter(|name| !name.is_empty())
                else {
                    return;
                };
                relations += 1;
                let names: ProtectedNames = [name].into_iter().collect();
                if names_any(text, &lexemes[chunk.clone()], &names).is_none() {
                    faults.add(&accepted.source, text, &format!("{name} is not found"));
                }
            });
        }
    }
    println!("{relations} relations");
    faults.check();
}

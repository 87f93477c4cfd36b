use std::fs;

use super::super::SealingArgs;
use super::*;

/// Parses `serve` under a file; the folder is where the file is.
fn parse_with(file: &str, command: &[&str]) -> (tempfile::TempDir, Result<Parsed, String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgseal.toml");
    fs::write(&path, file).unwrap();
    let mut arguments = vec!["pgseal".to_owned()];
    arguments.extend(command.iter().map(|argument| (*argument).to_owned()));
    arguments.push(format!("--config={}", path.display()));
    let parsed = parse(arguments.into_iter().map(OsString::from).collect());
    let message = |error: ParseError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    let parsed = parsed.map_err(message);
    (folder, parsed)
}

fn printed(parsed: &Parsed) -> String {
    let mut out = Vec::new();
    print(&parsed.given, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What a setting can be in a file, and how it is printed.
fn example(flag: &Arg) -> String {
    let possible = flag.get_possible_values();
    if !flag.get_action().takes_values() {
        "true".to_owned()
    } else if is_number(flag.get_value_parser()) {
        // In the range of each.
        match flag.get_long() {
            Some("max-message-size") => "20000".to_owned(),
            _ => "7".to_owned(),
        }
    } else if let Some(last) = possible.last() {
        format!("{:?}", last.get_name())
    } else if matches!(flag.get_action(), ArgAction::Append) {
        "[\"10.0.0.1:1\", \"10.0.0.2:2\"]".to_owned()
    } else if flag.get_long() == Some("listen-permissions") {
        "\"0700\"".to_owned()
    } else if flag.get_long() == Some("log") {
        "\"debug\"".to_owned()
    } else {
        format!("\"/value/of/{}\"", flag.get_id())
    }
}

#[test]
fn each_flag_of_serve_can_be_set_in_the_file() {
    let mut command = Cli::command();
    command.build();
    let serve = command.find_subcommand("serve").unwrap();
    let flags =
        serve.get_arguments().filter(|flag| !["help", "version", FILE].contains(&flag.get_id().as_str()));
    let lines: Vec<_> =
        flags.map(|flag| format!("{} = {}", flag.get_long().unwrap(), example(flag))).collect();
    assert!(lines.len() > 30, "{lines:?}");
    let (folder, parsed) = parse_with(&lines.join("\n"), &["config"]);
    let (parsed, file) = (parsed.unwrap(), folder.path().join("pgseal.toml"));
    let text = printed(&parsed);
    for (at, line) in lines.iter().enumerate() {
        let found = text.lines().find(|printed| printed.starts_with(&format!("{line} ")));
        let expected = format!("# {}:{}", file.display(), at + 1);
        assert!(found.is_some_and(|found| found.ends_with(&expected)), "{line}\n{text}");
    }
    assert_eq!(text.lines().count(), lines.len());
}

#[test]
fn each_setting_has_a_variable_of_its_name() {
    let mut command = Cli::command();
    command.build();
    for flag in known(&command) {
        let long = flag.get_long().unwrap();
        let name = format!("PGSEAL_{}", long.to_uppercase().replace('-', "_"));
        // PGSEAL_KEK may hold the key itself.
        let name = if long == "kek" { "PGSEAL_KEK_URI" } else { &name };
        assert_eq!(flag.get_env().unwrap(), name);
    }
}

#[test]
fn what_another_command_takes_from_the_file_means_the_same_there() {
    let mut command = Cli::command();
    command.build();
    let settings = known(&command);
    let mut leaves = vec![&command];
    let mut shared = 0;
    while let Some(leaf) = leaves.pop() {
        leaves.extend(leaf.get_subcommands().filter(|below| below.get_name() != "help"));
        for flag in leaf.get_arguments() {
            let Some(setting) = settings.iter().find(|setting| setting.get_id() == flag.get_id()) else {
                continue;
            };
            shared += 1;
            assert_eq!(
                (flag.get_long(), flag.get_env(), flag.is_hide_env_values_set()),
                (setting.get_long(), setting.get_env(), setting.is_hide_env_values_set()),
                "{} of {}",
                flag.get_id(),
                leaf.get_name()
            );
        }
    }
    assert!(shared > 100);
}

#[test]
fn a_flag_wins_over_the_file_and_paths_start_at_its_folder() {
    let file = "upstream = \"file:1\"\npolicy = \"p.toml\"\nkeyring = \"/k/keyring.toml\"\nmax-sessions = 5\n\
                kek = \"file:kek\"\nupstream-ca = \"system\"\ntls-cert = \"c\"\ntls-key = \"k\"\nworkers = 3\n\
                admin-exposed = false";
    let (folder, parsed) = parse_with(file, &["serve", "--upstream", "flag:1", "--workers=4"]);
    let super::super::Command::Serve(args) = parsed.unwrap().cli.command else { panic!("another command") };
    let SealingArgs { policy, keyring, kek } = args.sealing;
    assert_eq!(args.upstream, ["flag:1"]);
    assert_eq!((args.workers, args.max_sessions, args.drain_timeout), (4, 5, 25));
    assert_eq!(policy.policy, folder.path().join("p.toml"));
    assert_eq!(keyring.keyring, Path::new("/k/keyring.toml"));
    assert_eq!(kek.kek.as_deref(), Some("file:kek"));
    assert_eq!(args.upstream_ca.unwrap().file(), None);
    assert_eq!(args.tls_cert, Some(folder.path().join("c")));
}

#[test]
fn other_commands_take_what_they_know() {
    let file = "upstream = \"u:1\"\npolicy = \"p.toml\"\nkeyring = \"k.toml\"\nworkers = 3\nkek = \"file:kek\"\n\
                database = \"postgres://db\"";
    let (_folder, parsed) = parse_with(file, &["rotate", "app.t.c"]);
    let super::super::Command::Rotate(args) = parsed.unwrap().cli.command else { panic!("another command") };
    // Threads that serve sessions are not connections that move rows.
    assert_eq!(args.workers.get(), 1);
    // Nor is the key-encryption key in use the one to change to.
    let (_folder, parsed) = parse_with(file, &["keys", "rewrap"]);
    assert!(parsed.is_err_and(|error| error.contains("--kek <KEK>|--finish")));
    let (_folder, parsed) = parse_with(file, &["explain", "--", "--SELECT"]);
    // What stands behind `--` here is the file's name, too many.
    assert!(parsed.is_err());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (file, expected) in [
        (
            "policy = \"p\"\nmax_sessions = 1",
            "pgseal.toml:2:1: there is no setting \"max_sessions\"; \"max-sessions\" is the nearest",
        ),
        ("q7 = 1", "pgseal.toml:1:1: there is no setting \"q7\"; `pgseal config` prints all that there are"),
        ("config = \"other\"", "pgseal.toml:1:1: there is no setting \"config\""),
        ("[tls]\nmode = 1", "pgseal.toml:1:1: tls is a string, not table"),
        ("workers = \"2\"", "pgseal.toml:1:11: workers is a number, not string"),
        ("listen-permissions = 0o770", "pgseal.toml:1:22: listen-permissions is a string, not integer"),
        ("policy = [\"a\"]", "pgseal.toml:1:10: policy is a string, not array"),
        ("listen = [1]", "pgseal.toml:1:10: listen is a string, or a list of strings, not array"),
        ("admin-exposed = \"yes\"", "pgseal.toml:1:17: admin-exposed is true or false, not string"),
        (
            "tls = \"on\"",
            "pgseal.toml:1:7: invalid value 'on' for tls [possible values: off, optional, required, mutual]",
        ),
        ("catalog-lease = 31", "pgseal.toml:1:17: invalid value '31' for catalog-lease: 31 is not in 1..=30"),
        ("workers = ", "pgseal.toml:1:11: string values must be quoted"),
        ("workers = 1\nworkers = 2", "pgseal.toml:2:1: duplicate key"),
    ] {
        let (_folder, parsed) = parse_with(file, &["serve"]);
        let error = parsed.err().unwrap();
        assert!(error.contains(expected), "{file}:\n{error}\n{expected}");
    }
    let missing = parse(["pgseal", "serve", "--config=/nowhere"].map(OsString::from).to_vec()).err().unwrap();
    assert!(missing.to_string().contains("/nowhere cannot be read"));
}

#[test]
fn help_needs_no_file() {
    let error = parse(["pgseal", "serve", "--config=/nowhere", "--help"].map(OsString::from).to_vec()).err();
    assert!(matches!(error, Some(ParseError::CommandLine(error)) if !error.use_stderr()));
}

#[test]
fn what_is_printed_says_where_it_comes_from_and_hides_passwords() {
    let file = "upstream = \"u:1\"\npolicy = \"/p.toml\"\nkeyring = \"/k.toml\"\ndatabase = \"postgres://me:secret@db\"";
    let (_folder, parsed) = parse_with(file, &["config", "--tls", "optional"]);
    let text = printed(&parsed.unwrap());
    let has =
        |start: &str, end: &str| text.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(has("database = \"postgres://me:***@db\"", "pgseal.toml:4"), "{text}");
    assert!(has("tls = \"optional\"", "# --tls"), "{text}");
    assert!(has("listen = [\"127.0.0.1:6432\"]", "# default"), "{text}");
    assert!(has("# tls-cert", "# not set"), "{text}");
    assert!(!text.contains("secret"));
}

#[test]
fn the_services_own_file_can_be_read() {
    let (_folder, parsed) = parse_with(include_str!("../../../packaging/pgseal.toml"), &["serve"]);
    assert!(parsed.is_ok_and(|parsed| matches!(parsed.cli.command, super::super::Command::Serve(_))));
}

//! The file of settings, and how it meets flags and variables.
//!
//! Which settings there are, what they are called and what they may be is asked of clap: a setting is a flag of
//! `serve` that has a variable. What the file says becomes a flag that nobody has given, on the command line and in
//! the environment, so each rule about flags holds for it too. Another command takes from the file what it has a flag
//! for with the same id.

mod print;

use std::any::TypeId;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory as _, FromArgMatches as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use self::print::print;
use super::settings::Authorities;
use super::{Cli, ServeArgs};
use crate::policy::{Place, Problem};

/// The setting that says where the others are.
const FILE: &str = "config";

/// A name is told as what was meant from this likeness on.
const ALIKE: f64 = 0.7;

/// Print the settings of `serve`, and where each comes from
///
/// Takes the flags, variables and file that `serve` takes, and starts nothing. What is printed can be a file itself;
/// passwords in it are hidden.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal config --config pgseal.toml
  PGSEAL_MAX_SESSIONS=200 pgseal config --config pgseal.toml --log debug")]
pub(super) struct ConfigArgs {
    /// What `serve` takes.
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

/// The command line, with what the file adds to it.
pub(super) struct Parsed {
    pub(super) cli: Cli,
    pub(super) given: Given,
}

/// What was given, where.
pub(super) struct Given {
    /// Of all commands.
    command: Command,
    matches: ArgMatches,
    file: Settings,
    /// Ids of the settings that come from the file.
    taken: Vec<String>,
}

/// Why there is no command to run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParseError {
    /// Help was asked for, or the command line is wrong.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// The file is.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is wrong with a file of settings.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It cannot be read.
    #[error("the file of settings {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It says what cannot be.
    #[error("{0}")]
    Problems(Problems),
}

/// Everything that is wrong in a file.
#[derive(Debug)]
pub(super) struct Problems {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file of settings is wrong")?;
        for Problem { place, message } in &self.problems {
            write!(f, "\n{}:{}:{}: {message}", self.path.display(), place.line, place.column)?;
        }
        Ok(())
    }
}

/// What a file says; nothing if there is none.
#[derive(Debug, Default)]
struct Settings {
    path: PathBuf,
    settings: Vec<Setting>,
}

#[derive(Debug, PartialEq, Eq)]
struct Setting {
    id: String,
    line: usize,
    /// As they stand on a command line.
    flags: Vec<String>,
}

/// Reads the command line and the file that it or the environment names.
///
/// # Errors
/// Help was asked for, or one of both is wrong.
pub(super) fn parse(arguments: Vec<OsString>) -> Result<Parsed, ParseError> {
    let mut command = Cli::command();
    command.build();
    // What the file has to add is still missing.
    let asked = command.clone().ignore_errors(true).try_get_matches_from(&arguments)?;
    let (leaf, asked) = leaf(&command, &asked);
    let file = match asked.get_one::<PathBuf>(FILE) {
        Some(path) => Settings::read(path, &command)?,
        None => Settings::default(),
    };
    let is_given = |id: &str| {
        matches!(asked.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let has_flag = |id: &str| leaf.get_arguments().any(|flag| flag.get_id() == id);
    let taken: Vec<&Setting> =
        file.settings.iter().filter(|setting| has_flag(&setting.id) && !is_given(&setting.id)).collect();
    let mut all = arguments;
    let end = all.iter().position(|argument| argument == "--").unwrap_or(all.len());
    all.splice(end..end, taken.iter().flat_map(|setting| setting.flags.iter().map(OsString::from)));
    let taken = taken.iter().map(|setting| setting.id.clone()).collect();
    let matches = command.try_get_matches_from_mut(&all)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Parsed { cli, given: Given { command, matches, file, taken } })
}

/// The command that runs, and what was given to it.
fn leaf<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    match matches.subcommand() {
        Some((name, below)) => match command.find_subcommand(name) {
            Some(command) => leaf(command, below),
            None => (command, matches),
        },
        None => (command, matches),
    }
}

/// All settings that there are.
fn known(command: &Command) -> Vec<&Arg> {
    let serve = command.find_subcommand("serve").into_iter();
    let flags = serve.flat_map(Command::get_arguments);
    flags.filter(|flag| flag.get_env().is_some() && flag.get_id() != FILE).collect()
}

impl Settings {
    fn read(path: &Path, command: &Command) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        match parse_file(&text, folder, &known(command)) {
            Ok(settings) => Ok(Self { path: path.to_owned(), settings }),
            Err(problems) => Err(FileError::Problems(Problems { path: path.to_owned(), problems })),
        }
    }
}

fn parse_file(text: &str, folder: &Path, known: &[&Arg]) -> Result<Vec<Setting>, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<_> = errors
        .iter()
        .filter(|error| !error.message().trim_end().is_empty())
        .map(|error| Problem {
            place: Place::at(text, error.span().unwrap_or_default().start),
            message: error.message().trim_end().to_owned(),
        })
        .collect();
    let mut settings = Vec::new();
    // A tree that was patched up after a syntax error would be blamed for what it does not say.
    for (key, value) in document.get_ref().iter().filter(|_| errors.is_empty()) {
        let at = |span: std::ops::Range<usize>| Place::at(text, span.start);
        let name = key.get_ref().as_ref();
        let Some(flag) = known.iter().find(|flag| flag.get_long() == Some(name)) else {
            problems.push(Problem { place: at(key.span()), message: unknown(name, known) });
            continue;
        };
        match flags(flag, value, folder) {
            Ok(flags) => {
                let id = flag.get_id().to_string();
                settings.push(Setting { id, line: at(key.span()).line, flags });
            }
            Err(message) => problems.push(Problem { place: at(value.span()), message }),
        }
    }
    problems.sort();
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn unknown(name: &str, known: &[&Arg]) -> String {
    let names = known.iter().filter_map(|flag| flag.get_long());
    let nearest =
        names.map(|known| (strsim::jaro_winkler(name, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest.filter(|(likeness, _)| *likeness > ALIKE) {
        Some((_, nearest)) => format!("there is no setting {name:?}; {nearest:?} is the nearest"),
        None => format!("there is no setting {name:?}; `pgseal config` prints all that there are"),
    }
}

/// A setting as flags.
fn flags(flag: &Arg, value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<Vec<String>, String> {
    let long = flag.get_long().unwrap_or_default();
    let wrong = |expected: &str| Err(format!("{long} is {expected}, not {}", value.get_ref().type_str()));
    if !flag.get_action().takes_values() {
        return match value.get_ref().as_bool() {
            Some(true) => Ok(vec![format!("--{long}")]),
            Some(false) => Ok(Vec::new()),
            None => wrong("true or false"),
        };
    }
    let is_list = matches!(flag.get_action(), ArgAction::Append);
    let is_number = is_number(flag.get_value_parser());
    let values: Vec<&DeValue<'_>> = match value.get_ref() {
        DeValue::Array(list) if is_list => list.iter().map(Spanned::get_ref).collect(),
        one => vec![one],
    };
    let mut flags = Vec::new();
    for value in values {
        let text = match value {
            DeValue::Integer(number) if is_number && number.radix() == 10 => number.as_str().to_owned(),
            DeValue::String(text) if !is_number => resolved(flag.get_value_parser(), text, folder),
            _ if is_number => return wrong("a number"),
            _ if is_list => return wrong("a string, or a list of strings"),
            _ => return wrong("a string"),
        };
        flags.push(format!("--{long}={text}"));
    }
    accepts(flag, &flags)?;
    Ok(flags)
}

fn is_number(parser: &ValueParser) -> bool {
    let numbers = [TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()];
    numbers.into_iter().any(|number| parser.type_id() == number)
}

/// A path in the file starts at the file's folder, wherever the program was started.
fn resolved(parser: &ValueParser, text: &str, folder: &Path) -> String {
    let is_path = parser.type_id() == TypeId::of::<PathBuf>();
    let is_file =
        parser.type_id() == TypeId::of::<Authorities>() && Authorities(text.into()).file().is_some();
    if is_path || is_file { folder.join(text).display().to_string() } else { text.to_owned() }
}

/// Asks clap, of this flag alone.
fn accepts(flag: &Arg, flags: &[String]) -> Result<(), String> {
    let lone = Arg::new("lone").long("lone");
    let lone = lone.action(flag.get_action().clone()).value_parser(flag.get_value_parser().clone());
    let lone = match flag.get_value_delimiter() {
        Some(delimiter) => lone.value_delimiter(delimiter),
        None => lone,
    };
    let long = flag.get_long().unwrap_or_default();
    let as_lone = |text: &String| text.replacen(&format!("--{long}="), "--lone=", 1);
    let given = std::iter::once("pgseal".to_owned()).chain(flags.iter().map(as_lone));
    let Err(error) = Command::new("pgseal").arg(lone).try_get_matches_from(given) else { return Ok(()) };
    let error = error.to_string();
    let said = error.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = said.trim_start_matches("error: ").split_whitespace().collect();
    Err(words.join(" ").replace("'--lone <lone>'", long))
}

#[cfg(test)]
mod tests;

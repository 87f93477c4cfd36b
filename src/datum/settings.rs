//! The session's settings that text formats depend on, followed by ParameterStatus.

use super::datetime::zone::Zone;

/// Settings of one session; the defaults are PostgreSQL's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `DateStyle`: form and order of dates.
    pub date_style: DateStyle,
    /// `TimeZone`.
    pub time_zone: Zone,
    /// `IntervalStyle`.
    pub interval_style: IntervalStyle,
    /// `extra_float_digits`.
    pub extra_float_digits: i32,
    /// `bytea_output`.
    pub bytea_output: ByteaOutput,
}

/// `DateStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateStyle {
    /// How dates are printed.
    pub form: DateForm,
    /// How ambiguous dates are read, and some printed.
    pub order: DateOrder,
}

/// The output form in `DateStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's words")]
pub enum DateForm {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// The order of fields in `DateStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's words")]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

/// `IntervalStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's words")]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// `bytea_output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's words")]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            date_style: DateStyle::default(),
            time_zone: Zone::parse("GMT"),
            interval_style: IntervalStyle::default(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::default(),
        }
    }
}

impl Settings {
    /// Takes in a setting as the server reports it; true if it is one of these. A time zone that is not
    /// known makes conversions that need it fail, not this.
    pub fn apply(&mut self, name: &str, value: &str) -> bool {
        if name.eq_ignore_ascii_case("DateStyle") {
            for word in value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
                match word.as_str() {
                    "iso" => self.date_style.form = DateForm::Iso,
                    "sql" => self.date_style.form = DateForm::Sql,
                    "postgres" => self.date_style.form = DateForm::Postgres,
                    "german" => self.date_style.form = DateForm::German,
                    "mdy" | "us" | "noneuro" | "noneuropean" => self.date_style.order = DateOrder::Mdy,
                    "dmy" | "euro" | "european" => self.date_style.order = DateOrder::Dmy,
                    "ymd" => self.date_style.order = DateOrder::Ymd,
                    _ => {}
                }
            }
        } else if name.eq_ignore_ascii_case("TimeZone") {
            self.time_zone = Zone::parse(value);
        } else if name.eq_ignore_ascii_case("IntervalStyle") {
            self.interval_style = match value {
                "postgres_verbose" => IntervalStyle::PostgresVerbose,
                "sql_standard" => IntervalStyle::SqlStandard,
                "iso_8601" => IntervalStyle::Iso8601,
                _ => IntervalStyle::Postgres,
            };
        } else if name.eq_ignore_ascii_case("extra_float_digits") {
            self.extra_float_digits = value.trim().parse().unwrap_or(self.extra_float_digits);
        } else if name.eq_ignore_ascii_case("bytea_output") {
            self.bytea_output =
                if value.eq_ignore_ascii_case("escape") { ByteaOutput::Escape } else { ByteaOutput::Hex };
        } else {
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_settings_are_taken_in_by_name() {
        let mut settings = Settings::default();
        for (name, value, known) in [
            ("DateStyle", "German, DMY", true),
            ("IntervalStyle", "iso_8601", true),
            ("timezone", "Europe/Berlin", true),
            ("extra_float_digits", "0", true),
            ("bytea_output", "escape", true),
            ("application_name", "x", false),
        ] {
            assert_eq!(settings.apply(name, value), known, "{name}");
        }
        let expected = Settings {
            date_style: DateStyle { form: DateForm::German, order: DateOrder::Dmy },
            time_zone: Zone::parse("Europe/Berlin"),
            interval_style: IntervalStyle::Iso8601,
            extra_float_digits: 0,
            bytea_output: ByteaOutput::Escape,
        };
        assert_eq!(settings, expected);
    }
}

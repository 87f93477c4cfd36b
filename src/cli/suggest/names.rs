//! Which columns look sensitive, by their names and types.
//!
//! A modest list: it finds what is usually meant, and a person decides. Names are cut into words at `_`, other
//! signs, digits and capitals, so `pin` is found in `card_pin` and not in `shipping`.

use crate::datum::{Base, Type};

/// What a column's type holds, as far as a name goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Date,
    Number,
    Network,
    Uuid,
    Json,
}

/// What columns may hold that is sensitive.
struct Kind {
    /// For people.
    name: &'static str,
    /// The types that it can have.
    types: &'static [Holds],
    /// Names, their words put together: `firstname` is found in `first_name`, `firstName` and `firstname`.
    words: &'static [&'static str],
}

/// The kinds, in docs/cli.md too; the first that fits counts.
const KINDS: [Kind; 13] = [
    Kind { name: "e-mail address", types: &[Holds::Text], words: &["email", "emailaddress", "mailaddress"] },
    Kind {
        name: "phone number",
        types: &[Holds::Text, Holds::Number],
        words: &["phone", "telephone", "tel", "mobile", "cellphone", "fax", "msisdn"],
    },
    Kind {
        name: "number of an identity document or a tax payer",
        types: &[Holds::Text, Holds::Number],
        words: &[
            "ssn",
            "socialsecurity",
            "socialsecuritynumber",
            "nationalid",
            "nationalinsurance",
            "nino",
            "taxid",
            "taxnumber",
            "taxpayerid",
            "tin",
            "cpf",
            "bsn",
            "aadhaar",
            "passport",
            "driverlicense",
            "driverslicense",
            "driverlicence",
            "drivinglicence",
            "idcard",
        ],
    },
    Kind {
        name: "date of birth",
        types: &[Holds::Date, Holds::Text, Holds::Number],
        words: &["birth", "birthday", "birthdate", "birthyear", "dateofbirth", "dob", "born", "bornon"],
    },
    Kind {
        name: "network address",
        types: &[Holds::Network, Holds::Text],
        words: &["ip", "ipaddress", "ipaddr", "remoteaddr", "macaddress"],
    },
    Kind {
        name: "address or place",
        types: &[Holds::Text, Holds::Json, Holds::Number],
        words: &[
            "address",
            "street",
            "postcode",
            "postalcode",
            "zip",
            "zipcode",
            "latitude",
            "longitude",
            "geolocation",
        ],
    },
    Kind {
        name: "payment card",
        types: &[Holds::Text, Holds::Number],
        words: &["card", "creditcard", "cardholder", "cardnumber", "nameoncard", "pan", "cvv", "cvc"],
    },
    Kind {
        name: "bank account",
        types: &[Holds::Text, Holds::Number],
        words: &["iban", "accountnumber", "bankaccount", "routingnumber", "sortcode"],
    },
    Kind {
        name: "secret",
        types: &[Holds::Text, Holds::Uuid, Holds::Json],
        words: &[
            "token",
            "secret",
            "apikey",
            "accesskey",
            "privatekey",
            "password",
            "passwd",
            "passphrase",
            "otp",
            "totp",
            "pin",
            "pincode",
            "recoverycode",
            "backupcode",
            "securityanswer",
            "credential",
        ],
    },
    Kind {
        name: "health",
        types: &[Holds::Text, Holds::Json, Holds::Number],
        words: &[
            "diagnosis",
            "diagnoses",
            "medication",
            "prescription",
            "allergy",
            "allergies",
            "bloodtype",
            "disability",
            "medicalhistory",
            "medicalrecord",
            "medicalnotes",
            "health",
            "symptom",
            "insurancenumber",
        ],
    },
    Kind { name: "income", types: &[Holds::Number, Holds::Text], words: &["salary", "income", "wage"] },
    Kind {
        name: "personal trait",
        types: &[Holds::Text],
        words: &[
            "gender",
            "sex",
            "religion",
            "ethnicity",
            "sexualorientation",
            "nationality",
            "maritalstatus",
            "politicalopinion",
        ],
    },
    Kind {
        name: "name of a person",
        types: &[Holds::Text],
        words: &[
            "firstname",
            "lastname",
            "surname",
            "familyname",
            "givenname",
            "middlename",
            "maidenname",
            "forename",
            "fullname",
            "realname",
            "legalname",
            "patientname",
        ],
    },
];

/// Tables of people, in which `name` is the name of one.
const PEOPLE: [&str; 16] = [
    "applicant",
    "client",
    "contact",
    "customer",
    "employee",
    "guest",
    "member",
    "patient",
    "people",
    "person",
    "persons",
    "profile",
    "staff",
    "student",
    "subscriber",
    "user",
];

/// Last words that say something about a value and are none: `email_verified`, `token_type`, `card_id`.
const ABOUT: [&str; 30] = [
    "at",
    "attempt",
    "changed",
    "confirmed",
    "count",
    "created",
    "disabled",
    "domain",
    "enabled",
    "expire",
    "expires",
    "expired",
    "expiry",
    "expiration",
    "id",
    "kind",
    "notification",
    "opt",
    "provider",
    "required",
    "sent",
    "state",
    "status",
    "subject",
    "subscribed",
    "template",
    "type",
    "updated",
    "valid",
    "verified",
];

/// First words of the same sort: `is_email_valid`, `has_card`.
const ASKING: [&str; 6] = ["has", "is", "allow", "num", "requires", "send"];

/// What a column looks like to hold, if that is sensitive.
pub(super) fn sensitive(table: &str, column: &str, ty: Option<&Type>) -> Option<&'static str> {
    let words = words(column);
    let holds = ty.map(holds);
    if holds == Some(None) || words.first().is_some_and(|first| ASKING.contains(&first.as_str())) {
        return None;
    }
    for kind in &KINDS {
        let fits = holds.flatten().is_none_or(|holds| kind.types.contains(&holds));
        if fits && kind.words.iter().any(|wanted| is_found(&words, wanted)) {
            return Some(kind.name);
        }
    }
    let is_name = words == ["name"] && holds.flatten().is_none_or(|holds| holds == Holds::Text);
    let of_person = self::words(table)
        .last()
        .is_some_and(|last| PEOPLE.contains(&last.as_str()) || PEOPLE.contains(&singular(last)));
    (is_name && of_person).then_some("name of a person")
}

/// `None` for what no kind goes with: booleans, times, and bytes.
fn holds(ty: &Type) -> Option<Holds> {
    match ty.base.element().unwrap_or(&ty.base) {
        Base::Text | Base::Varchar | Base::Bpchar | Base::Enum(_) => Some(Holds::Text),
        Base::Date | Base::Timestamp | Base::Timestamptz => Some(Holds::Date),
        Base::Int2 | Base::Int4 | Base::Int8 | Base::Numeric | Base::Float4 | Base::Float8 => {
            Some(Holds::Number)
        }
        Base::Inet | Base::Cidr | Base::Macaddr => Some(Holds::Network),
        Base::Uuid => Some(Holds::Uuid),
        Base::Json | Base::Jsonb => Some(Holds::Json),
        // What is bytea is looked at by its name: it may be encrypted already, which is said.
        Base::Bytea => Some(Holds::Text),
        Base::Bool | Base::Time | Base::Interval | Base::Array(_) => None,
    }
}

/// Whether some of the words, put together, are the wanted ones, and the last word does not make it something else.
fn is_found(words: &[String], wanted: &str) -> bool {
    (0..words.len()).any(|start| {
        (start..words.len()).any(|end| {
            let found = words.get(start..=end).unwrap_or_default().concat();
            let rest = words.get(end + 1..).unwrap_or_default();
            let is_about =
                rest.iter().any(|word| ABOUT.contains(&word.as_str()) || ABOUT.contains(&singular(word)));
            (found == wanted || singular(&found) == wanted) && !is_about
        })
    })
}

fn singular(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}

/// The words of an identifier, in small letters, numbers left out.
fn words(identifier: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_small = false;
    for c in identifier.chars() {
        let ends = !c.is_alphabetic() || (c.is_uppercase() && was_small);
        if ends && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datum::TypeName;

    fn found(table: &str, column: &str, ty: &str) -> Option<&'static str> {
        let Ok(TypeName::Builtin(ty)) = Type::parse(ty) else { panic!("{ty}") };
        sensitive(table, column, Some(&ty))
    }

    #[test]
    fn names_are_found_by_their_words() {
        let cases = [
            ("email", "text", Some("e-mail address")),
            ("e_mail", "varchar(80)", Some("e-mail address")),
            ("billingEmail", "text", Some("e-mail address")),
            ("emails", "text[]", Some("e-mail address")),
            ("email2", "text", Some("e-mail address")),
            ("email_verified", "bool", None),
            ("email_verified_at", "timestamptz", None),
            ("email_id", "int", None),
            ("email_type", "text", None),
            ("is_email", "text", None),
            ("phone_number", "text", Some("phone number")),
            ("ssn", "char(11)", Some("number of an identity document or a tax payer")),
            ("tax_id", "text", Some("number of an identity document or a tax payer")),
            ("tax", "text", None),
            ("passport_no", "text", Some("number of an identity document or a tax payer")),
            ("born", "date", Some("date of birth")),
            ("date_of_birth", "date", Some("date of birth")),
            ("birthYear", "int", Some("date of birth")),
            ("birthday", "bool", None),
            ("first_name", "text", Some("name of a person")),
            ("lastname", "text", Some("name of a person")),
            ("address", "jsonb", Some("address or place")),
            ("address_line_1", "text", Some("address or place")),
            ("address_id", "int", None),
            ("ip_address", "inet", Some("network address")),
            ("shipping", "text", None),
            ("card_pin", "text", Some("payment card")),
            ("pin", "text", Some("secret")),
            ("password_reset_token", "uuid", Some("secret")),
            ("token_expires_at", "timestamptz", None),
            ("iban", "text", Some("bank account")),
            ("health_notes", "text", Some("health")),
            ("salary", "numeric(10,2)", Some("income")),
            ("company", "text", None),
            ("pan", "bytea", Some("payment card")),
        ];
        for (column, ty, kind) in cases {
            assert_eq!(found("things", column, ty), kind, "{column} {ty}");
        }
    }

    #[test]
    fn a_name_is_a_persons_in_a_table_of_people() {
        assert_eq!(found("users", "name", "text"), Some("name of a person"));
        assert_eq!(found("app_user", "name", "text"), Some("name of a person"));
        assert_eq!(found("products", "name", "text"), None);
        assert_eq!(found("users", "name_id", "int"), None);
    }
}

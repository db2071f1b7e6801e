//! Queries, as the published clients write them.

use serde::Serialize;
use serde_json::Value;

use crate::Error;

/// Appends what `query` holds: of an object within it each value under both names, with a dot between them
/// (`meta.team`). What is null is left out (contract/contacts-and-secrets, section 1.8).
pub(crate) fn append(
    pairs: &mut Vec<(String, String)>,
    query: &impl Serialize,
) -> Result<(), Error> {
    let value = serde_json::to_value(query)
        .map_err(|error| Error::Invalid(format!("the query cannot be written: {error}")))?;
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(pairs, name, value);
            }
            Ok(())
        }
        Value::Null => Ok(()),
        _ => Err(Error::Invalid("a query is a struct or a map".into())),
    }
}

fn flatten(pairs: &mut Vec<(String, String)>, name: String, value: Value) {
    match value {
        Value::Null => {}
        Value::String(text) => pairs.push((name, text)),
        Value::Bool(is) => pairs.push((name, is.to_string())),
        Value::Number(number) => pairs.push((name, digits(&number))),
        Value::Object(fields) => {
            for (inner, value) in fields {
                flatten(pairs, format!("{name}.{inner}"), value);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.into_iter().enumerate() {
                flatten(pairs, format!("{name}.{index}"), value);
            }
        }
    }
}

/// A number as JavaScript writes it (ECMA-262, `Number::toString`): whole ones without a point, and no exponent where
/// up to 21 digits will do.
fn digits(number: &serde_json::Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    match float.abs() {
        0.0 => "0".to_owned(),
        1e-6..1e21 => float.to_string(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(query: &Value) -> String {
        let mut pairs = Vec::new();
        append(&mut pairs, query).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    #[test]
    fn objects_become_names_with_dots_and_what_is_null_is_left_out() {
        let query = json!({"take": 5, "meta": {"team": "x y", "trial": true, "none": null, "n": 1.0}, "cursor": null});
        assert_eq!(written(&query), "meta.n=1&meta.team=x y&meta.trial=true&take=5");
        assert_eq!(
            written(&json!({"ids": ["a", "b"], "deep": {"er": {"x": 1.5}}})),
            "deep.er.x=1.5&ids.0=a&ids.1=b"
        );
        assert_eq!(written(&Value::Null), "");
    }

    #[test]
    fn numbers_are_written_as_javascript_does() {
        let numbers =
            json!({"n": [1.0, -0.0, 1e16, 0.00001, 1e20, 1e21, 1e-7, -2.5, u64::MAX, -3]});
        let written = written(&numbers);
        let written: Vec<_> =
            written.split('&').filter_map(|pair| pair.split('=').nth(1)).collect();
        let wanted = "1 0 10000000000000000 0.00001 100000000000000000000 1e+21 1e-7 -2.5 18446744073709551615 -3";
        assert_eq!(written.join(" "), wanted);
    }

    #[test]
    fn what_has_no_names_is_no_query() {
        assert!(append(&mut Vec::new(), &json!([1])).is_err());
        assert!(append(&mut Vec::new(), &"text").is_err());
    }
}
